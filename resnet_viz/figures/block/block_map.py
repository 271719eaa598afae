"""The block map: the whole network as a chain, the identity path a straight line, each residual branch an arc above it.

One unit is one pixel of the natural size; x runs from the image to the classes, y has no meaning. Every block has an invisible
point for the mouse, whose `customdata` is its name.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from resnet_viz.analyses.ablation import AblationSweep
from resnet_viz.analyses.inspection import BlockInspection, Inspection
from resnet_viz.figures.block.block_equation import residual_name
from resnet_viz.figures.block.chain_layout import PAD, RIGHT, Place, focus_of, natural_width, places_of
from resnet_viz.figures.block.map_measures import (
    OF_THE_TARGET,
    STYLES,
    ArcScale,
    MapMeasure,
    arc_scale_of,
    map_values,
    measures_for,
    name_of,
)
from resnet_viz.figures.block_names import brief, fitted
from resnet_viz.figures.theme import IDENTITY, LIGHT, PLAIN, SIGNED, SUM, Theme, finish, plain, short, with_minus

# The shortcuts that do something to x.
CHANGED = ("zero-pad", "projection", "pool", "norm", "mixed")
CHANGED_WORDS = {
    "norm": "shortcut normalises x",
    "mixed": "shortcut has several layers",
}
HEIGHT = 290
LINE_Y = 128
ARC = 84
TOP, BOTTOM = 40, 36
HOW_TO_READ = (
    "Read left to right: the image enters at the left. The straight line is the identity x; each arc is a residual branch F(x),"
    " which is added to it at the +. Click a block to open it."
)
HOW_TO_READ_PLAIN = (
    "Read left to right: the image enters at the left. A plain network has no identity path: each arc replaces its input."
)


@dataclass(frozen=True)
class BlockFrame:
    """The position of a block on its block map, in map coordinates: the frame around it, and its arc.

    The arc is a cubic Bézier curve from (`start`, `line`) to (`end`, `line`); `top` is the height of its control points.
    """

    name: str
    x0: float
    x1: float
    y0: float
    y1: float
    start: float
    end: float
    line: float = LINE_Y
    top: float = LINE_Y + ARC * 4 / 3


def block_frames(inspection: Inspection) -> tuple[BlockFrame, ...]:
    """Return where `block_map` draws each block, for elements that are laid over it."""
    return tuple(_frame_of(place) for place in places_of(inspection))


def block_map(
    inspection: Inspection,
    measure: MapMeasure | None = None,
    selected: str | None = None,
    theme: Theme = LIGHT,
    scale: ArcScale | None = None,
    ablation: AblationSweep | None = None,
) -> go.Figure:
    """Draw the network as a chain; arcs are wide and strong where `measure` is large, and the `selected` block is framed.

    `measure` is one of `measures_for(inspection)`, by default the first, or "ablation" with the sweep of the same network,
    image and class. `scale` is the result of `arc_scale` for several maps, by default the map's own. Raises ValueError for a
    measure that the network cannot be drawn by.
    """
    chosen = measure or measures_for(inspection)[0]
    values = map_values(inspection, chosen, ablation)
    places = places_of(inspection)
    width = natural_width(places)
    fig = go.Figure()
    shapes = [*_bands(places, theme), *_frame(places, selected, theme), *_line(places, width), *_sums(places, theme)]
    arcs = _arcs(places, values, chosen, scale or arc_scale_of(values, places[0].step))
    fig.update_layout(
        shapes=[*shapes, *arcs, *_cut_bars(places, theme)],
        annotations=[*_labels(places, values, chosen, theme), *_ends(inspection, chosen, width, theme)],
        overwrite=True,
    )
    _legend(fig, places, chosen)
    fig.add_trace(_targets(places, values, chosen))
    _freeze(fig, width)
    finding = _finding(inspection, values, chosen)
    alt = f"Block map of {inspection.title}, {len(places)} blocks. {finding}. {_spoken(places, values, chosen)}"
    plain = places[0].block.shortcut == "none"
    finish(fig, theme, finding=finding, how_to_read=HOW_TO_READ_PLAIN if plain else HOW_TO_READ, alt=alt)
    # What a window that is too narrow for the whole chain should scroll to.
    return fig.update_layout(meta=fig.layout.meta | {"focus": focus_of(inspection, selected or "")})


def _bands(places: list[Place], theme: Theme) -> Iterator[dict[str, Any]]:
    for stage in sorted({place.block.stage for place in places}):
        inside = [place for place in places if place.block.stage == stage]
        left, right = inside[0].centre - inside[0].step / 2 - PAD, inside[-1].centre + inside[-1].step / 2 + PAD
        yield _box(left, right, 22, HEIGHT - 6, theme.surface, theme.surface)


def _frame_of(place: Place) -> BlockFrame:
    half = place.step / 2 - 2
    return BlockFrame(place.block.name, place.centre - half, place.centre + half, 30, HEIGHT - 34, place.start, place.end)


def _frame(places: list[Place], selected: str | None, theme: Theme) -> Iterator[dict[str, Any]]:
    for place in places:
        if place.block.name == selected:
            at = _frame_of(place)
            yield _box(at.x0, at.x1, at.y0, at.y1, theme.raised, theme.text, 2)


def _box(x0: float, x1: float, y0: float, y1: float, fill: str, line: str, width: int = 0) -> dict[str, Any]:
    r = 9
    path = (
        f"M{x0 + r},{y0} L{x1 - r},{y0} Q{x1},{y0} {x1},{y0 + r} L{x1},{y1 - r} Q{x1},{y1} {x1 - r},{y1} "
        f"L{x0 + r},{y1} Q{x0},{y1} {x0},{y1 - r} L{x0},{y0 + r} Q{x0},{y0} {x0 + r},{y0} Z"
    )
    return {"type": "path", "path": path, "fillcolor": fill, "line": {"color": line, "width": width}, "layer": "below"}


def _line(places: list[Place], width: int) -> Iterator[dict[str, Any]]:
    """The identity path: solid, dotted where a shortcut changes the shape, grey between the blocks of a plain network."""
    x = 8.0
    for place in places:
        plain = place.block.shortcut == "none"
        if place.block.shortcut != "identity":
            yield _segment(x, place.start, PLAIN if plain else IDENTITY, "solid")
            x = place.end
        if place.block.shortcut in CHANGED:
            yield _segment(place.start, place.end, IDENTITY, "4px,4px")
    yield _segment(x, width - RIGHT + 6, PLAIN if places[-1].block.shortcut == "none" else IDENTITY, "solid")


def _segment(x0: float, x1: float, colour: str, dash: str) -> dict[str, Any]:
    line = {"color": colour, "width": 5, "dash": dash}
    return {"type": "line", "x0": x0, "x1": x1, "y0": LINE_Y, "y1": LINE_Y, "line": line, "layer": "below"}


def _arcs(places: list[Place], values: list[float], measure: MapMeasure, scale: ArcScale) -> Iterator[dict[str, Any]]:
    for place, value in zip(places, values, strict=True):
        strength = 0 if math.isnan(value) else abs(value) / scale.largest
        at = _frame_of(place)
        path = f"M{at.start},{at.line} C{at.start},{at.top} {at.end},{at.top} {at.end},{at.line}"
        line = {"color": _colour(place.block, value, measure), "width": 2.5 + scale.pixels * strength}
        yield {"type": "path", "path": path, "line": line, "opacity": 0.55 + 0.45 * strength, "layer": "below"}


def _colour(block: BlockInspection, value: float, measure: MapMeasure) -> str:
    if block.shortcut == "none" and measure == "response_std":
        return PLAIN
    if measure in ("cosine", "ablation"):
        return str(sample_colorscale(SIGNED, [0.5 + 0.35 * math.copysign(1, value)])[0])
    return STYLES[measure].colour


def _sums(places: list[Place], theme: Theme) -> Iterator[dict[str, Any]]:
    for place in places:
        r = 4 if place.block.shortcut == "none" else 8
        corners = {"x0": place.end - r, "x1": place.end + r, "y0": LINE_Y - r, "y1": LINE_Y + r}
        yield {"type": "circle", **corners, "fillcolor": theme.raised, "line": {"color": SUM, "width": 2.5}}


def _cut_bars(places: list[Place], theme: Theme) -> Iterator[dict[str, Any]]:
    for place in places:
        half = min(27.0, 0.34 * place.step)
        x0, x1 = place.centre - half, place.centre + half
        if math.isnan(place.block.measures.cut):
            continue
        middle = x0 + (x1 - x0) * place.block.measures.cut
        for left, right, colour in ((x0, x1, theme.line), (x0, middle, SUM)):
            line = {"color": colour, "width": 0}
            yield {"type": "rect", "x0": left, "x1": right, "y0": 60, "y1": 65, "fillcolor": colour, "line": line}


def _labels(places: list[Place], values: list[float], measure: MapMeasure, theme: Theme) -> Iterator[dict[str, Any]]:
    roomy = places[0].step > 85
    stages_seen = set()
    names = brief([place.block.name for place in places])
    for place, value, named in zip(places, values, names, strict=True):
        block = place.block
        if block.stage not in stages_seen:
            stages_seen.add(block.stage)
            text = f"stage {block.stage} · {block.shape[0]} channels · {positions(block)}"
            yield _text(place.centre - place.step / 2, HEIGHT - 20, text, theme.muted, 12, "left")
        if block.shortcut != "none":
            yield _text(place.end, LINE_Y, "+", SUM, 15)
        written = f"<b>{_written(value, measure)}</b>"
        yield _text(place.centre - 0.015 * place.step, LINE_Y + 25, written, theme.text, 15 if roomy else 12)
        label = fitted(named, round(place.step / 7))
        lower = LINE_Y - (29 if "<br>" in label else 24)
        yield _text(place.centre, lower, label, theme.text, 13 if len(named) < place.step / 8 else 11)
        if block.shortcut in CHANGED:
            name = f"{block.shortcut}, stride 2" if roomy and _halves(places, place) else block.shortcut
            yield _text(place.centre, lower - 18, name, theme.muted, 11)
        yield _text(place.centre, 46, _cut(block, roomy=roomy), theme.muted, 11)


def _cut(block: BlockInspection, *, roomy: bool) -> str:
    """Say what share of the sum the ReLU sets to 0, or what stands there instead of one."""
    if math.isnan(block.measures.cut):
        return block.activated if roomy or block.activation else ""
    return f"{block.activation} zeroes {block.measures.cut:.0%}" if roomy else f"{block.measures.cut:.0%} zero"


def positions(block: BlockInspection) -> str:
    """Describe the number of positions in the maps of a block, and the tokens next to them: "14×14 + class token"."""
    _, height, width = block.shape
    size = f"{height}×{width}" if block.spatial else f"{width} position{'s' if width > 1 else ''}"
    others = block.tokens_apart if len(block.tokens_apart) < 3 else (f"{len(block.tokens_apart)} tokens",)
    return " + ".join((size, *others))


def _halves(places: list[Place], place: Place) -> bool:
    position = places.index(place)
    return position > 0 and places[position - 1].block.shape[1] == 2 * place.block.shape[1]


def _ends(inspection: Inspection, measure: MapMeasure, width: int, theme: Theme) -> Iterator[dict[str, Any]]:
    yield _text(8, LINE_Y + 20, "image", theme.muted, 12, "left")
    # In two lines, which the space beside the blocks is wide enough for.
    start, end = inspection.ends[0].replace(" ", "<br>", 1), inspection.ends[1].replace(", ", ",<br>")
    yield _text(8, LINE_Y - (26 if "<br>" in start else 20), start, theme.muted, 11, "left")
    best = next(p for p in inspection.predictions if measure not in OF_THE_TARGET or p.index == inspection.target)
    label = best.label if len(best.label) < 18 else f"{best.label[:16]}…"
    yield _text(width - RIGHT + 14, LINE_Y + (20 if "<br>" in end else 12), end, theme.muted, 11, "left")
    yield _text(width - RIGHT + 14, LINE_Y - 8, f"<b>{plain(label)} {best.probability:.0%}</b>", theme.text, 14, "left")


def _text(x: float, y: float, text: str, colour: str, size: int, anchor: str = "center") -> dict[str, Any]:
    font = {"color": colour, "size": size}
    place = {"x": x, "y": y, "xanchor": anchor, "yanchor": "middle", "align": anchor}
    return place | {"text": text, "showarrow": False, "font": font}


def _legend(fig: go.Figure, places: list[Place], measure: MapMeasure) -> None:
    plain = places[0].block.shortcut == "none"
    arc = _colour(places[0].block, 1.0, measure)
    lines = [(f"{residual_name(plain=plain)}, width = {STYLES[measure].legend}", {"color": arc, "width": 7})]
    if not plain:
        lines.insert(0, ("identity x", {"color": IDENTITY, "width": 5}))
        kinds = dict.fromkeys(place.block.shortcut for place in places if place.block.shortcut in CHANGED)
        words = dict.fromkeys(CHANGED_WORDS.get(kind, "shortcut changes shape") for kind in kinds)
        lines += [(word, {"color": IDENTITY, "width": 5, "dash": "dot"}) for word in words]
    for name, line in lines:
        fig.add_trace(go.Scatter(x=[None], y=[None], mode="lines", line=line, name=name, hoverinfo="skip"))
    ring = {"symbol": "circle-open", "size": 13, "color": SUM, "line": {"width": 2.5}}
    name = "output" if plain else "sum"
    if not all(math.isnan(place.block.measures.cut) for place in places):
        name = f"{name}, bar = share that the ReLU zeroes"
    fig.add_trace(go.Scatter(x=[None], y=[None], mode="markers", marker=ring, name=name, hoverinfo="skip"))


def _targets(places: list[Place], values: list[float], measure: MapMeasure) -> go.Scatter:
    """Invisible squares, three per block, that receive clicks and show the hover text."""
    rows = [(place, value, y) for place, value in zip(places, values, strict=True) for y in (70, 130, 200)]
    still = {"marker": {"opacity": 0}}
    return go.Scatter(
        x=[place.centre for place, _, _ in rows],
        y=[y for _, _, y in rows],
        mode="markers",
        marker={"size": min(64.0, rows[0][0].step), "symbol": "square", "opacity": 0},
        selected=still,
        unselected=still,
        customdata=[place.block.name for place, _, _ in rows],
        text=[_hover(place.block, value, measure) for place, value, _ in rows],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _hover(block: BlockInspection, value: float, measure: MapMeasure) -> str:
    m = block.measures
    first = f"<b>Block {short(block.name)}</b> · {block.shape[0]} × {positions(block).replace('×', ' × ')}"
    last = f"<br>{name_of(measure)}: {_written(value, measure)}"
    if block.shortcut == "none":
        return f"{first}<br>no shortcut<br>std of F {m.response_std:.3g}, Grad-CAM mass {m.cam_mass:.3g}{last}"
    return (
        f"{first}<br>shortcut: {block.shortcut}<br>|x| {m.identity_norm:.4g}, |F| {m.residual_norm:.4g}, ratio {m.ratio:.2f}"
        f"<br>cos(x, F) {with_minus(f'{m.cosine:+.2f}')}<br>gradient through F {m.residual_share:.0%}{last}"
    )


def _written(value: float, measure: MapMeasure) -> str:
    return "–" if math.isnan(value) else with_minus(STYLES[measure].template.format(value))


def _freeze(fig: go.Figure, width: int) -> None:
    fig.update_layout(
        xaxis={"range": [0, width], "visible": False},
        yaxis={"range": [20, HEIGHT], "visible": False},
        width=width,
        height=HEIGHT - 20 + TOP + BOTTOM,
        margin={"l": 0, "r": 0, "t": TOP, "b": BOTTOM},
        clickmode="event+select",
        legend={
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 0,
            "yanchor": "top",
            "itemclick": False,
            "itemdoubleclick": False,
        },
        overwrite=True,
    )


def _finding(inspection: Inspection, values: list[float], measure: MapMeasure) -> str:
    names = [short(block.name) for block in inspection.blocks]
    known = [(value, name) for name, value in zip(names, values, strict=True) if not math.isnan(value)]
    if not known:
        return "No block has this measure"
    most, least = max(known), min(known)
    start = STYLES[measure].most.format(label=inspection.target_label)
    if measure != "ablation":
        return f"{start} in block {most[1]}, {STYLES[measure].least} in {least[1]}"
    if most[0] <= 0:
        return f"The logit of {inspection.target_label} does not fall without F(x) of any block"
    rises = f"; without that of block {least[1]} it rises by {-least[0]:.2f}" if least[0] < 0 else ""
    return f"{start} of block {most[1]}, by {most[0]:.2f}{rises}"


def _spoken(places: list[Place], values: list[float], measure: MapMeasure) -> str:
    pairs = (f"{short(place.block.name)} {_written(value, measure)}" for place, value in zip(places, values, strict=True))
    return f"{STYLES[measure].legend} by block: {', '.join(pairs)}."
