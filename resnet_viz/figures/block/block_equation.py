"""A block as an equation of pictures: identity + residual = sum, then ReLU, then output.

Each picture is a true heatmap of the mean over channels, or of one channel; x and y are pixels of the feature map. The four
share one scale centred on 0, unless each is asked to fill its own.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.inspection import BlockInspection
from resnet_viz.figures.theme import IDENTITY, LIGHT, PLAIN, RESIDUAL, SIGNED, SUM, Theme, finish, short

Scale = Literal["shared", "each"]
Term = Literal["identity", "residual", "sum", "output"]

TERM_COLOURS: dict[Term, str] = {"identity": IDENTITY, "residual": RESIDUAL, "sum": SUM, "output": SUM}
TERM_NAMES: dict[Term, str] = {"identity": "identity x", "residual": "residual F(x)", "sum": "sum", "output": "output"}
# A plain block's layers are not a residual: nothing is added to what they compute.
PLAIN_TERM_NAMES: dict[Term, str] = TERM_NAMES | {"residual": "layers' output F(x)"}
OPERATORS: dict[Term, str] = {"identity": "+", "residual": "=", "sum": "→ ReLU →"}
PICTURE, WIDE_GAP, NARROW_GAP = 192, 126, 46
TOP, BOTTOM, COLOURBAR = 44, 52, 78


def terms_of(block: BlockInspection) -> tuple[Term, ...]:
    """Name the pictures of a block's equation: a plain block has neither identity nor a sum of its own."""
    return ("residual", "output") if block.shortcut == "none" else ("identity", "residual", "sum", "output")


def term_name(block: BlockInspection, term: Term) -> str:
    """Return what a term of a block's equation is called."""
    return (PLAIN_TERM_NAMES if block.shortcut == "none" else TERM_NAMES)[term]


def residual_name(*, plain: bool) -> str:
    """Return what F(x) is called in a network with shortcuts, or without any."""
    return (PLAIN_TERM_NAMES if plain else TERM_NAMES)["residual"]


def term_maps(block: BlockInspection, term: Term) -> Array:
    """Return a term's maps, float32 (C, H, W); ValueError for the identity of a plain block."""
    maps: Array | None = getattr(block, term)
    if maps is None:
        raise ValueError(f"block {short(block.name)} is plain: it has no {term}")
    return maps


def block_equation(
    block: BlockInspection, channel: int | None = None, scale: Scale = "shared", theme: Theme = LIGHT
) -> go.Figure:
    """Draw a block's equation for the channel mean, or for one `channel`; ValueError for a channel it does not have.

    Needs the block's maps (see `Inspection.keeping`).
    """
    if channel is not None and not 0 <= channel < block.shape[0]:
        raise ValueError(f"block {short(block.name)} has channels 0 to {block.shape[0] - 1}, not {channel}")
    terms = terms_of(block)
    pictures = {term: _picture(term_maps(block, term), channel) for term in terms}
    limits = _limits(pictures, scale)
    fig = go.Figure()
    spans, width = _spans(terms)
    for number, term in enumerate(terms, start=1):
        colours: dict[str, Any] = {"coloraxis": "coloraxis"}
        if scale == "each":
            colours = {"colorscale": SIGNED, "zmin": -limits[term], "zmax": limits[term], "showscale": False}
        _add_picture(fig, number, pictures[term], spans[term], _colour(block, term), colours)
    fig.update_layout(
        annotations=[*_captions(block, terms, spans, theme), *_operators(block, terms, spans, theme)],
        coloraxis=_coloraxis(max(limits.values()), theme, visible=scale == "shared"),
        width=width + COLOURBAR,
        height=PICTURE + TOP + BOTTOM,
        margin={"l": 2, "r": COLOURBAR - 2, "t": TOP, "b": BOTTOM},
        dragmode=False,
        overwrite=True,
    )
    what = "the mean over channels" if channel is None else f"channel {channel}"
    return finish(
        fig, theme, finding=_finding(block), how_to_read=_reading(what, limits, scale), alt=_alt(block, what, pictures)
    )


def _picture(maps: Array, channel: int | None) -> Array:
    picture: Array = maps.mean(0) if channel is None else maps[channel]
    return picture


def _limits(pictures: dict[Term, Array], scale: Scale) -> dict[Term, float]:
    own = {term: float(np.abs(values).max()) or 1.0 for term, values in pictures.items()}
    return own if scale == "each" else dict.fromkeys(own, max(own.values()))


def _spans(terms: tuple[Term, ...]) -> tuple[dict[Term, tuple[float, float]], int]:
    """The x domain of each picture, and the natural width in pixels."""
    gaps = [WIDE_GAP if term == "sum" or len(terms) == 2 else NARROW_GAP for term in terms[:-1]]
    total = PICTURE * len(terms) + sum(gaps)
    spans, x = {}, 0.0
    for term, gap in zip(terms, [*gaps, 0], strict=True):
        spans[term] = (x / total, (x + PICTURE) / total)
        x += PICTURE + gap
    return spans, total


def _colour(block: BlockInspection, term: Term) -> str:
    return PLAIN if block.shortcut == "none" else TERM_COLOURS[term]


def _add_picture(
    fig: go.Figure, number: int, picture: Array, span: tuple[float, float], colour: str, colours: dict[str, Any]
) -> None:
    axis = "" if number == 1 else str(number)
    hover = "x %{x}, y %{y}<br>%{z:.4f}<extra></extra>"
    fig.add_trace(go.Heatmap(z=picture, xaxis=f"x{axis}", yaxis=f"y{axis}", hovertemplate=hover, **colours))
    height, width = picture.shape
    frame = {"showgrid": False, "zeroline": False, "showticklabels": False, "ticks": "", "fixedrange": True}
    border = {"showline": True, "mirror": True, "linecolor": colour, "linewidth": 4}
    fig.update_layout(
        {
            f"xaxis{axis}": {"domain": span, "range": [-0.5, width - 0.5], "constrain": "domain", **frame, **border},
            f"yaxis{axis}": {
                "anchor": f"x{axis}",
                "range": [height - 0.5, -0.5],
                "scaleanchor": f"x{axis}",
                "constrain": "domain",
                **frame,
                **border,
            },
        },
        overwrite=True,
    )


def _coloraxis(limit: float, theme: Theme, *, visible: bool) -> dict[str, Any]:
    bar = {"thickness": 10, "len": 0.9, "outlinewidth": 0, "tickfont": {"color": theme.muted}, "title": {"text": "value"}}
    return {"colorscale": SIGNED, "cmin": -limit, "cmax": limit, "showscale": visible, "colorbar": bar}


def _captions(
    block: BlockInspection, terms: tuple[Term, ...], spans: dict[Term, tuple[float, float]], theme: Theme
) -> Iterator[dict[str, Any]]:
    m = block.measures
    small = {
        "identity": f"|x| = {m.identity_norm:.4g}",
        "residual": f"|F| = {m.residual_norm:.4g}",
        "sum": f"cos(x, F) = {m.cosine:+.2f}",
        "output": f"{m.cut:.0%} cut by ReLU",
    }
    for term in terms:
        text = f"<b>{term_name(block, term)}</b><br><span style='font-size:12px;color:{theme.muted}'>{small[term]}</span>"
        yield _paper(sum(spans[term]) / 2, -0.02, text, theme.text, 14) | {"yanchor": "top"}


def _operators(
    block: BlockInspection, terms: tuple[Term, ...], spans: dict[Term, tuple[float, float]], theme: Theme
) -> Iterator[dict[str, Any]]:
    for left, right in pairwise(terms):
        sign = "→ ReLU →" if block.shortcut == "none" else OPERATORS[left]
        yield _paper((spans[left][1] + spans[right][0]) / 2, 0.5, sign, theme.text, 20 if len(sign) > 1 else 30)


def _paper(x: float, y: float, text: str, colour: str, size: int) -> dict[str, Any]:
    font = {"color": colour, "size": size}
    return {
        "x": x,
        "y": y,
        "xref": "paper",
        "yref": "paper",
        "text": text,
        "showarrow": False,
        "font": font,
        "xanchor": "center",
    }


def _finding(block: BlockInspection) -> str:
    if block.shortcut == "none":
        return f"Block {short(block.name)} is plain: ReLU(F(x)), nothing is added"
    path = "x" if block.shortcut == "identity" else f"the {block.shortcut} shortcut"
    return f"Block {short(block.name)}: {path} + F(x), a correction {block.measures.ratio:.0%} the size of x"


def _reading(what: str, limits: dict[Term, float], scale: Scale) -> str:
    sizes = f"one colour scale, ±{max(limits.values()):.3g}" if scale == "shared" else "each picture on its own scale"
    return f"Each picture is {what}, {sizes}: red above 0, blue below, white at 0."


def _alt(block: BlockInspection, what: str, pictures: dict[Term, Array]) -> str:
    ranges = ", ".join(
        f"{term_name(block, term)} {values.min():.3g} to {values.max():.3g}" for term, values in pictures.items()
    )
    return f"{_finding(block)}. Each picture is {what}; values: {ranges}."
