"""A block as an equation of images: identity + residual = sum, then ReLU, then output.

Each image is a heatmap of the mean over channels, or of one channel; x and y are columns and rows of the feature map. The four
share one scale centred on 0, unless each is asked to use its own. They form a row, or a column if there is no space for a row.
"""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.inspection import BlockInspection
from resnet_viz.figures.block.equation_layout import EquationLayout, EquationPlace, layout_of
from resnet_viz.figures.block.equation_words import Term, alt, finding, notes, reading
from resnet_viz.figures.theme import IDENTITY, LIGHT, PLAIN, RESIDUAL, SIGNED, SUM, Theme, finish, short

Scale = Literal["shared", "each"]

TERM_COLOURS: dict[Term, str] = {"identity": IDENTITY, "residual": RESIDUAL, "sum": SUM, "output": SUM}
TERM_NAMES: dict[Term, str] = {"identity": "identity x", "residual": "residual F(x)", "sum": "sum", "output": "output"}
# The layers of a plain block do not compute a residual, because their output is not added to anything.
PLAIN_TERM_NAMES: dict[Term, str] = TERM_NAMES | {"residual": "layers' output F(x)"}
WIDTH = 1160
# Letters of a caption that fit between an image and the edge of a phone.
LONGEST_BESIDE = 14
HOVER = "row %{y}, column %{x}<br><b>%{z:.4~g}</b><extra></extra>"


def terms_of(block: BlockInspection) -> tuple[Term, ...]:
    """Name the images of a block's equation: a plain block has neither an identity nor a separate sum."""
    return ("residual", "output") if block.shortcut == "none" else ("identity", "residual", "sum", "output")


def term_name(block: BlockInspection, term: Term) -> str:
    """Return the name of a term in a block's equation."""
    return (PLAIN_TERM_NAMES if block.shortcut == "none" else TERM_NAMES)[term]


def residual_name(*, plain: bool) -> str:
    """Return the name of F(x) in a network with shortcuts, or without any."""
    return (PLAIN_TERM_NAMES if plain else TERM_NAMES)["residual"]


def term_maps(block: BlockInspection, term: Term) -> Array:
    """Return a term's maps, float32 (C, H, W); ValueError for the identity of a plain block."""
    maps: Array | None = getattr(block, term)
    if maps is None:
        raise ValueError(f"block {short(block.name)} is plain: it has no {term}")
    return maps


def block_equation(
    block: BlockInspection,
    channel: int | None = None,
    scale: Scale = "shared",
    theme: Theme = LIGHT,
    *,
    width: int = WIDTH,
) -> go.Figure:
    """Draw a block's equation for the channel mean, or for one `channel`; ValueError for a channel it does not have.

    Needs the block's maps (see `Inspection.keeping`). `width` is the available width in pixels; the figure may use less.
    """
    if channel is not None and not 0 <= channel < block.shape[0]:
        raise ValueError(f"block {short(block.name)} has channels 0 to {block.shape[0] - 1}, not {channel}")
    terms = terms_of(block)
    pictures = {term: _picture(term_maps(block, term), channel) for term in terms}
    limits = _limits(pictures, scale)
    layout = layout_of(terms, width, block.activation)
    traces: list[go.Heatmap] = []
    axes: dict[str, dict[str, Any]] = {}
    for number, (term, place) in enumerate(zip(terms, layout.places, strict=True), start=1):
        axis = "" if number == 1 else str(number)
        traces.append(_heatmap(pictures[term], axis, limits[term], scale))
        axes |= _axes(pictures[term], axis, place, _colour(block, term))
    small = notes(block, pictures, channel)
    fig = go.Figure(traces)
    fig.update_layout(
        **axes,
        annotations=[*_captions(block, terms, small, layout, theme), *_operators(block, terms, layout, theme)],
        coloraxis=_coloraxis(max(limits.values()), theme, layout, visible=scale == "shared"),
        width=layout.width,
        height=layout.height,
        margin=layout.margin,
        overwrite=True,
    )
    return finish(
        fig,
        theme,
        finding=finding(block, pictures, channel),
        how_to_read=reading(block, pictures, channel, None if scale == "each" else max(limits.values())),
        alt=alt(block, pictures, channel),
    )


def _picture(maps: Array, channel: int | None) -> Array:
    picture: Array = maps.mean(0) if channel is None else maps[channel]
    return picture


def _limits(pictures: dict[Term, Array], scale: Scale) -> dict[Term, float]:
    own = {term: float(np.abs(values).max()) or 1.0 for term, values in pictures.items()}
    return own if scale == "each" else dict.fromkeys(own, max(own.values()))


def _colour(block: BlockInspection, term: Term) -> str:
    return PLAIN if block.shortcut == "none" else TERM_COLOURS[term]


def _heatmap(picture: Array, axis: str, limit: float, scale: Scale) -> go.Heatmap:
    colours: dict[str, Any] = {"coloraxis": "coloraxis"}
    if scale == "each":
        colours = {"colorscale": SIGNED, "zmin": -limit, "zmax": limit, "showscale": False}
    return go.Heatmap(z=picture, xaxis=f"x{axis}", yaxis=f"y{axis}", hovertemplate=HOVER, **colours)


def _axes(picture: Array, axis: str, place: EquationPlace, colour: str) -> dict[str, dict[str, Any]]:
    height, width = picture.shape
    frame = {"showgrid": False, "zeroline": False, "showticklabels": False, "ticks": ""}
    frame |= {"constrain": "domain", "showline": True, "mirror": True, "linecolor": colour, "linewidth": 4}
    x = {"anchor": f"y{axis}", "domain": place.across, "range": [-0.5, width - 0.5]}
    y = {"anchor": f"x{axis}", "domain": place.up, "range": [height - 0.5, -0.5], "scaleanchor": f"x{axis}"}
    return {f"xaxis{axis}": x | frame, f"yaxis{axis}": y | frame | {"constraintoward": "bottom"}}


def _coloraxis(limit: float, theme: Theme, layout: EquationLayout, *, visible: bool) -> dict[str, Any]:
    bar = {"thickness": 10, "outlinewidth": 0, "tickfont": {"color": theme.muted}, **layout.colourbar}
    return {"colorscale": SIGNED, "cmin": -limit, "cmax": limit, "showscale": visible, "colorbar": bar}


def _captions(
    block: BlockInspection, terms: tuple[Term, ...], small: dict[Term, str], layout: EquationLayout, theme: Theme
) -> Iterator[dict[str, Any]]:
    for term, place in zip(terms, layout.places, strict=True):
        note = f"<span style='font-size:12px;color:{theme.muted}'>{small[term]}</span>"
        name = term_name(block, term)
        if layout.align == "left" and len(name) > LONGEST_BESIDE:
            name = "<br>".join(name.rsplit(" ", 1))
        text = f"<b>{name}</b><br>{note}"
        yield {
            "text": text,
            "align": layout.align,
            "showarrow": False,
            "font": {"color": theme.text, "size": 14},
            **place.caption,
        }


def _operators(
    block: BlockInspection, terms: tuple[Term, ...], layout: EquationLayout, theme: Theme
) -> Iterator[dict[str, Any]]:
    for term, place in zip(terms[1:], layout.places[1:], strict=True):
        sign = (
            {"residual": "+", "sum": "=", "output": layout.activation}[term] if block.shortcut != "none" else layout.activation
        )
        size = 30 if len(sign) == 1 else layout.activation_size
        yield {"text": sign, "showarrow": False, "font": {"color": theme.text, "size": size}, **place.operator}
