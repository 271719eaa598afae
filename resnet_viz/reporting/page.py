"""A report as one HTML file: charts that answer the mouse, in light and dark, on paper, and without a network."""

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from resnet_viz.figures.data_urls import data_url
from resnet_viz.figures.theme import DARK, LIGHT
from resnet_viz.figures.untitled import untitled
from resnet_viz.nets.labels import visible
from resnet_viz.reporting.columns import meanings_of, title_of
from resnet_viz.reporting.pieces import Contents, Piece, ReportImage

# The most that a report may weigh in bytes, of which the charts' library takes 4.8 MB.
MOST_BYTES = 8_000_000
# Numbers of more bytes than this are not in the report a second time.
MOST_NUMBERS = 200_000
# What stays free for the frame of the page.
RESERVE = 20_000
# Pixels between the margins of a sheet of A4.
PAPER = 700
FEW_PIXELS = 112
# What only the app can do.
CLICK = re.compile(r"\s*Click [^.]*\.")
CONFIG = {"displaylogo": False, "showSendToCloud": False, "responsive": False, "modeBarButtons": [["toImage"]]}
# The colours that differ between the two themes.
SWAPS = [(getattr(LIGHT, name), getattr(DARK, name)) for name in ("text", "muted", "line", "surface", "raised")]


@dataclass(frozen=True)
class Origin:
    """Where a report comes from: the address of the view, and the Python that makes it; empty where there is none."""

    link: str = ""
    code: str = ""


def page(contents: Contents, origin: Origin | None = None) -> str:
    """Write a report of at most 8 MB; spare charts that do not fit are left out, and a sentence says how many."""
    head = _head(contents)
    tail = f"{_table(contents.table, contents.table_title)}{_origin(origin or Origin())}"
    room = MOST_BYTES - RESERVE - sum(_size(part) for part in (head, tail, get_plotlyjs()))
    figures, omitted = _figures(contents.pieces, room)
    note = f"<p class='notes'>{_omission(omitted)}</p>" if omitted else ""
    return f"{head}<main>{''.join(figures)}{note}{tail}</main>{_scripts()}</body></html>\n"


def swapped(text: str) -> str:
    """Write the JSON of a chart of the light theme in the colours of the dark one, as the report's script does."""
    for light, dark in SWAPS:
        text = text.replace(light, dark)
    return text


def _head(contents: Contents) -> str:
    title = _said(contents.title)
    notes = "".join(f"<p>{_said(note)}</p>" for note in contents.notes)
    pictures = "".join(map(_picture, contents.pictures))
    style = files(__package__).joinpath("page.css").read_text()
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>'
        f"<body><h1>{title}</h1><div class='notes'>{notes}</div><div class='input'>{pictures}</div>"
    )


def _picture(picture: ReportImage) -> str:
    few = max(picture.image.size) <= FEW_PIXELS
    source, look = data_url(picture.image, "PNG" if few else "JPEG"), " class='few'" if few else ""
    caption = _said(picture.caption)
    return f"<figure><img src='{source}' alt='{caption}'{look}><figcaption>{caption}</figcaption></figure>"


def _figures(pieces: Sequence[Piece], room: int) -> tuple[list[str], int]:
    """Draw what fits into so many bytes, and count the spare charts that do not."""
    written: dict[int, str] = {}
    # What a person looks at comes first, whatever stands between.
    order = sorted(range(len(pieces)), key=lambda number: pieces[number].spare)
    for number in order:
        piece = pieces[number]
        text = _figure(piece)
        room -= _size(text)
        if room < 0 and piece.spare:
            break
        written[number] = text
    return [written[number] for number in sorted(written)], len(pieces) - len(written)


def _figure(piece: Piece) -> str:
    figure = piece.figure()
    meta = figure.layout.meta
    return (
        f'<figure data-name="{escape(piece.name)}" role="group" aria-label="{_said(meta["alt"])}">'
        f"<h2>{_said(meta['finding'])}</h2><figcaption>{_said(CLICK.sub('', meta['how_to_read']))}</figcaption>"
        f'<div class="plot" style="{_on_paper(figure)}"></div>{_data(piece)}'
        f'<script type="application/json">{_json(untitled(figure))}</script></figure>'
    )


def _on_paper(figure: go.Figure) -> str:
    width = figure.layout.width
    return f"--on-paper: {min(1, PAPER / width):.3f}" if width else f"max-width: {PAPER}px"


def _json(figure: go.Figure) -> str:
    # Inside a script, only the end of the element has a meaning.
    return str(figure.to_json()).replace("</", "<\\/")


def _data(piece: Piece) -> str:
    data = piece.data()
    if len(data) > MOST_NUMBERS:
        return ""
    source = f"data:{piece.mime};base64,{base64.b64encode(data).decode()}"
    return f'<p class="data"><a download="{escape(piece.file_name)}" href="{source}">Data ({piece.kind})</a></p>'


def _omission(count: int) -> str:
    many = "One chart is" if count == 1 else f"{count} charts are"
    return f"{many} left out, because this file would be larger than {MOST_BYTES / 1e6:.0f} MB."


def _table(table: pd.DataFrame | None, heading: str) -> str:
    if table is None:
        return ""
    known = table.dropna(axis="columns", how="all")
    named = known.rename(columns=title_of)
    sentences = "".join(
        f"<dt><b>{escape(meaning.symbol)}</b> ({escape(meaning.unit)})</dt><dd>{escape(meaning.sentence)}</dd>"
        for meaning in meanings_of(known)
    )
    numbers = named.to_html(float_format=lambda value: f"{value:.4g}", border=0)
    return f'<h2>{escape(heading)}</h2><div class="scroll">{numbers}</div><dl>{sentences}</dl>'


def _origin(origin: Origin) -> str:
    code = f"<h2>Python code of this view</h2><pre><code>{escape(origin.code)}</code></pre>" if origin.code else ""
    link = f' <a href="{escape(origin.link)}">Open this view</a>.' if origin.link else ""
    return f"{code}<footer><p>Made with ResNet Viz.{link}</p></footer>"


def _scripts() -> str:
    script = files(__package__).joinpath("page.js").read_text()
    return "".join(
        [
            f'<script type="application/json" id="swaps">{json.dumps(SWAPS)}</script>',
            f'<script type="application/json" id="config">{json.dumps(CONFIG)}</script>',
            f"<script>{get_plotlyjs()}</script>",
            f"<script>{script}</script>",
        ]
    )


def _said(text: str) -> str:
    return escape(visible(text))


def _size(text: str) -> int:
    return len(text.encode())
