"""An inspection as one HTML file that opens anywhere, without a network."""

from html import escape
from pathlib import Path

import plotly.graph_objects as go
from PIL import Image

from resnet_viz import figures
from resnet_viz.analyses.inspection import Inspection
from resnet_viz.analyses.measures import MEANINGS
from resnet_viz.figures.theme import FONT, LIGHT

CONFIG = {"displaylogo": False, "showSendToCloud": False, "responsive": False}
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 16px/1.5 {font}; color: {text}; margin: 2rem auto; max-width: 1200px; padding: 0 1rem; }}
figure {{ margin: 2rem 0; overflow-x: auto; }} figcaption {{ color: {muted}; }}
table {{ border-collapse: collapse; font-size: 13px; }} td, th {{ padding: 2px 10px; text-align: right; }}
div.scroll {{ overflow-x: auto; }}
</style></head><body><h1>{title}</h1><p>{weights}</p>{body}</body></html>
"""


def report(inspection: Inspection, path: str | Path, photo: Image.Image | None = None) -> Path:
    """Write predictions, block map, measures, Grad-CAM, the equations of the blocks with kept maps, and the table.

    `photo` is the background of Grad-CAM: the network's crop as `Preprocessing.sharp` returns it, or else the network's input.
    The file is self-contained, 5 MB of which are plotly.js. Returns its path; OSError if it cannot be written.
    """
    last = inspection.blocks[-1].name
    drawn = [
        figures.predictions(inspection),
        figures.block_map(inspection),
        *(figures.block_equation(block) for block in inspection.blocks if block.maps is not None),
        figures.measures_by_depth(inspection),
        figures.cam_overlay(inspection, last, photo=photo),
    ]
    body = "".join(_figure(figure, first=number == 0) for number, figure in enumerate(drawn)) + _table(inspection)
    title = f"{inspection.title}: {inspection.target_label}"
    page = PAGE.format(
        title=escape(title), weights=escape(inspection.weights.note), body=body, font=FONT, text=LIGHT.text, muted=LIGHT.muted
    )
    target = Path(path)
    target.write_text(page, encoding="utf-8")
    return target


def _figure(figure: go.Figure, *, first: bool) -> str:
    chart = figure.to_html(full_html=False, include_plotlyjs=first, config=CONFIG)
    alt, caption = escape(figure.layout.meta["alt"]), escape(figure.layout.meta["how_to_read"])
    return f'<figure role="group" aria-label="{alt}">{chart}<figcaption>{caption}</figcaption></figure>'


def _table(inspection: Inspection) -> str:
    known = inspection.table().dropna(axis="columns", how="all")
    table = known.rename(columns={name: meaning.symbol for name, meaning in MEANINGS.items()})
    sentences = "".join(
        f"<dt><b>{escape(meaning.symbol)}</b> ({escape(meaning.unit)})</dt><dd>{escape(meaning.sentence)}</dd>"
        for name, meaning in MEANINGS.items()
        if name in known
    )
    numbers = table.to_html(float_format=lambda value: f"{value:.4g}", border=0)
    return f'<h2>Every measure</h2><div class="scroll">{numbers}</div><dl>{sentences}</dl>'
