"""Results at the end of a notebook's cell: a heading, a picture and a table, without a script, a font or a network.

The colours follow the notebook's theme, light or dark.
"""

from html import escape

import numpy as np
import pandas as pd
from PIL import Image

from resnet_viz import display, figures
from resnet_viz.analyses.attribution import Attribution
from resnet_viz.analyses.comparison import Comparison
from resnet_viz.analyses.comparison_words import sentences
from resnet_viz.analyses.conductance import Conductance
from resnet_viz.analyses.gradients import Gradients
from resnet_viz.analyses.inspection import Inspection
from resnet_viz.analyses.methods import METHODS
from resnet_viz.figures.attribution.attribution_map import attribution_so_far, drawn, scale_of
from resnet_viz.figures.block.map_measures import arc_scale, measures_for
from resnet_viz.figures.block_names import brief
from resnet_viz.figures.data_urls import data_url
from resnet_viz.figures.theme import IDENTITY, PLAIN, RESIDUAL
from resnet_viz.figures.tiles import signed_pixels
from resnet_viz.figures.vector import chain_svg, stacks_svg
from resnet_viz.nets.labels import visible
from resnet_viz.reporting.columns import meaning_of, title_of
from resnet_viz.reporting.explaining import shares, sums

SIDE = 256
BEST = 5


def register() -> None:
    """Let notebooks show the results."""
    display.write_with(Inspection, inspection_html)
    display.write_with(Comparison, comparison_html)
    display.write_with(Gradients, gradients_html)
    display.write_with(Conductance, conductance_html)
    display.write_with(Attribution, attribution_html)


def inspection_html(inspection: Inspection) -> str:
    """The predictions, the block map, and every measure of every block."""
    figure = figures.block_map(inspection)
    best = ", ".join(f"{each.label} {each.probability:.1%}" for each in inspection.predictions[:BEST])
    return _cell(
        f"{inspection.title}: {inspection.target_label}",
        [f"Predictions: {best}.", f"{inspection.title}: {inspection.weights.note}.", f"{figure.layout.meta['finding']}."],
        [_wide(chain_svg(figure)), _table(inspection.table())],
    )


def comparison_html(comparison: Comparison) -> str:
    """What differs, in words; both block maps on one scale; and every measure that both sides have."""
    measure = measures_for(comparison.left, comparison.right)[0]
    scale = arc_scale(measure, comparison.left, comparison.right)
    maps = []
    for name, side in ((comparison.left_name, comparison.left), (comparison.right_name, comparison.right)):
        maps += [_heading(_sentence_case(name), 5), _wide(chain_svg(figures.block_map(side, measure, scale=scale)))]
    said = [f"{sentence}." for sentence in sentences(comparison)]
    return _cell(
        _sentence_case(f"{comparison.left_name} and {comparison.right_name}"), said, [*maps, _table(comparison.table())]
    )


def gradients_html(gradients: Gradients) -> str:
    """How the gradient divides between shortcut and branch at every block, and the table of it."""
    table = gradients.table()
    through = {"through the shortcut": IDENTITY, "through F": RESIDUAL}
    columns = ("shortcut_share", "residual_share")
    parts = {
        what: (colour, [100 * value for value in table[column].fillna(0)])
        for (what, colour), column in zip(through.items(), columns, strict=True)
    }
    names = brief([str(name) for name in table.index])
    bars = [] if table["shortcut_share"].isna().all() else [_wide(stacks_svg(names, parts, "Shares of the gradient by block"))]
    return _cell(
        f"{gradients.title}: gradients of {gradients.objective_name}",
        ["The gradient at each block's input, in parts of 100%." if bars else "A plain network has no shortcut."],
        [*bars, _table(table)],
    )


def conductance_html(conductance: Conductance) -> str:
    """What every block carries of the logit's difference, by path, and the table of it."""
    table = shares(conductance)
    parts = {
        "identity x": (IDENTITY, list(table["identity"])),
        "residual F(x)": (RESIDUAL, list(table["residual"])),
        "switching of the last activation": (PLAIN, list(table["last_activation"])),
    }
    names = brief([str(name) for name in table.index])
    said = f"logit(image) − logit(baseline) is {conductance.difference:.3f}; the largest error of a block's sum is"
    return _cell(
        f"{conductance.model}: conductance of {conductance.target_label}'s logit",
        [f"{said} {conductance.delta:+.3f}."],
        [_wide(stacks_svg(names, parts, "Conductance by block, in logits")), _table(table)],
    )


def attribution_html(attribution: Attribution) -> str:
    """The map over the photo, the map with its sign, and what it adds up to."""
    values, method = drawn(attribution), METHODS[attribution.method]
    over = attribution_so_far(attribution.seen, values, "exact" if attribution.cells is None else "smooth")
    signed = Image.fromarray(signed_pixels(values, scale_of(attribution)))
    captions = {"over the photo, positive values": over, "red is positive, blue negative": signed}
    pictures = "".join(_picture(image, f"{method.title}, {caption}") for caption, image in captions.items())
    row = f'<div style="display: flex; flex-wrap: wrap; gap: 16px">{pictures}</div>'
    table = pd.DataFrame(
        {
            "sum of the map": [float(attribution.attributions.sum(dtype=np.float64))],
            "logit(image) − logit(baseline)": [attribution.difference],
            "convergence delta": [attribution.delta],
        },
        index=[method.title],
    )
    title = f"{attribution.model}, {method.title}: {attribution.target_label}"
    return _cell(title, [sums(attribution)], [row, _table(table.astype(float))])


def _cell(title: str, said: list[str], parts: list[str]) -> str:
    """One result; styles are written at the elements, so that nothing else in the notebook changes."""
    lines = "".join(f'<p style="margin: 2px 0; max-width: 75ch">{escape(visible(line))}</p>' for line in said)
    return f'<div class="resnet-viz">{_heading(title, 4)}{lines}{"".join(parts)}</div>'


def _heading(text: str, level: int) -> str:
    return f'<h{level} style="margin: 8px 0 4px">{escape(visible(text))}</h{level}>'


def _sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]


def _wide(picture: str) -> str:
    return f'<div style="overflow-x: auto; margin: 8px 0">{picture}</div>'


def _picture(image: Image.Image, alt: str) -> str:
    few = max(image.size) < SIDE
    source = data_url(image, "PNG" if few else "JPEG")
    look = "; image-rendering: pixelated" if few else ""
    return (
        f'<figure style="margin: 8px 0"><img src="{source}" alt="{escape(alt)}" width="{SIDE}" height="{SIDE}"'
        f' style="display: block; max-width: 100%{look}"><figcaption>{escape(alt)}</figcaption></figure>'
    )


def _table(table: pd.DataFrame) -> str:
    """All rows, in a box that scrolls; pointing at a column's name gives its meaning."""
    known = table.dropna(axis="columns", how="all")
    numbers = known.rename(columns=title_of).to_html(float_format=lambda value: f"{value:.4g}", border=0, na_rep="–")
    for name in known.columns:
        meaning, title = meaning_of(name), escape(title_of(name))
        if meaning is not None:
            sentence = escape(f"{meaning.sentence} Unit: {meaning.unit}.")
            numbers = numbers.replace(f"<th>{title}</th>", f'<th title="{sentence}">{title}</th>', 1)
    return f'<div style="overflow: auto; max-height: 26em">{numbers}</div>'
