"""A block's steps as a diagram, and the tensor of one of them: all channels as tiles, or the mean over channels.

The diagram runs from left to right, one unit per step; y has no meaning. The identity is the blue line above, the residual
branch is the row of boxes below. Every step has an invisible point that receives clicks; its `customdata` is the step's name.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go

from resnet_viz.figures.block.channel_mosaic import mosaic
from resnet_viz.figures.theme import IDENTITY, LIGHT, PLAIN, RESIDUAL, SIGNED, SUM, Theme, finish, short
from resnet_viz.lessons.block_steps import Step, Walk

WIDTH, HEIGHT, TOP = 940, 148, 40
BRANCH_Y, SHORTCUT_Y = 0.0, 1.0
HALF_WIDTH, HALF_HEIGHT = 0.4, 0.3


def block_steps(walk: Walk, active: str, theme: Theme = LIGHT) -> go.Figure:
    """Draw a block as a chain of steps with the `active` one filled; KeyError for a step that the block does not have."""
    step = walk.step(active)
    places = _places(walk)
    fig = go.Figure()
    shapes = [
        *_lines(walk, places, theme),
        *(_box(each, places, walk, theme, chosen=each.name == active) for each in walk.steps),
    ]
    fig.update_layout(shapes=shapes, annotations=[*_texts(walk, places, active, theme)], overwrite=True)
    fig.add_trace(_targets(walk, places))
    last = places["output"][0] + 0.9
    fig.update_layout(
        xaxis={"range": [-0.65, last], "visible": False},
        yaxis={"range": [-0.72, 1.42], "visible": False},
        width=WIDTH,
        height=HEIGHT + TOP,
        margin={"l": 0, "r": 0, "t": TOP, "b": 0},
        clickmode="event+select",
        overwrite=True,
    )
    position = walk.names.index(active)
    finding = f"Step {position + 1} of {len(walk.steps)}: {step.operation}"
    spoken = ", ".join(f"{each.name} {_shape(each)}" for each in walk.steps)
    finish(
        fig,
        theme,
        finding=finding,
        how_to_read=(
            "Below, the residual branch F(x); above, the identity x that skips it. Click a step, or use the up and down keys."
        ),
        alt=f"Block {short(walk.block)} of {walk.title}. {finding}. All steps with their shapes: {spoken}.",
    )
    return fig.update_layout(meta=fig.layout.meta | {"focus": max(0.0, places[active][0] / last)})


def step_mosaic(walk: Walk, name: str, channel: int | None, highest: int, theme: Theme = LIGHT) -> go.Figure:
    """Draw every channel of a step as a tile, on one scale with the block's other steps; KeyError for an unknown step."""
    return mosaic(walk.step(name).values, _called(walk, name), channel, theme, limit=shared_limit(walk), highest=highest)


def step_map(walk: Walk, name: str, channel: int | None, side: int, theme: Theme = LIGHT) -> go.Figure:
    """Draw the mean over a step's channels, or one `channel`, `side` pixels wide and high; x and y are the map's pixels.

    ValueError for a channel that the step does not have.
    """
    values = walk.step(name).values
    if channel is not None and not 0 <= channel < len(values):
        raise ValueError(f"step {name} has channels 0 to {len(values) - 1}, not {channel}")
    picture = values.mean(0) if channel is None else values[channel]
    limit = float(np.abs(picture).max()) or 1.0
    fig = go.Figure(
        go.Heatmap(
            z=picture,
            zmin=-limit,
            zmax=limit,
            colorscale=SIGNED,
            colorbar={"thickness": 10, "outlinewidth": 0, "tickfont": {"color": theme.muted}},
            hovertemplate="x %{x}, y %{y}<br>%{z:.4f}<extra></extra>",
        )
    )
    fig.update_layout(
        xaxis={"visible": False, "constrain": "domain"},
        yaxis={"visible": False, "autorange": "reversed", "scaleanchor": "x", "constrain": "domain"},
        width=side + 70,
        height=side + TOP,
        margin={"l": 0, "r": 70, "t": TOP, "b": 0},
        overwrite=True,
    )
    what = "Mean of the channels" if channel is None else f"Channel {channel}"
    finding = f"{what}: {picture.min():.2f} to {picture.max():.2f}"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"Red is positive, blue negative, ±{limit:.3g}.",
        alt=f"{finding}, mean {picture.mean():.3g}, of {_called(walk, name)}.",
    )


def shared_limit(walk: Walk) -> float:
    """The limit of the block's common colour scale: at most one entry in a thousand is beyond it."""
    ends = [float(np.quantile(np.abs(step.values[:, ::2, ::2]), 0.999)) for step in walk.steps]
    return max(ends) or 1.0


def _called(walk: Walk, name: str) -> str:
    return f"{name} in block {short(walk.block)}"


def _places(walk: Walk) -> dict[str, tuple[float, float]]:
    """The position of each step: the branch in a row, the shortcut's own layer above its middle."""
    places: dict[str, tuple[float, float]] = {}
    x = 0.0
    for step in walk.steps:
        if step.name != "identity":
            places[step.name] = (x, BRANCH_Y)
            x += 1
    if "identity" in walk.names:
        places["identity"] = (places["sum"][0] / 2, SHORTCUT_Y)
    return places


def _colour(step: Step, walk: Walk) -> str:
    if walk.plain:
        return PLAIN
    return {"identity": IDENTITY, "residual": RESIDUAL, "sum": SUM, "output": SUM}[step.part]


def _box(step: Step, places: dict[str, tuple[float, float]], walk: Walk, theme: Theme, *, chosen: bool) -> dict[str, Any]:
    x, y = places[step.name]
    colour = _colour(step, walk)
    if step.name == "sum":
        # In pixels, so that it is round at every width.
        corners: dict[str, Any] = {"xsizemode": "pixel", "ysizemode": "pixel", "xanchor": x, "yanchor": y}
        corners |= {"type": "circle", "x0": -20, "x1": 20, "y0": -20, "y1": 20}
    else:
        corners = {"type": "rect", "x0": x - HALF_WIDTH, "x1": x + HALF_WIDTH, "y0": y - HALF_HEIGHT, "y1": y + HALF_HEIGHT}
    return {**corners, "fillcolor": colour if chosen else theme.raised, "line": {"color": colour, "width": 2.5}}


def _lines(walk: Walk, places: dict[str, tuple[float, float]], theme: Theme) -> Iterator[dict[str, Any]]:
    end = places["output"][0]
    for left, right, colour in _branch(walk, places):
        yield _segment(left, BRANCH_Y, right, BRANCH_Y, colour)
    yield _segment(end, BRANCH_Y, end + 0.8, BRANCH_Y, theme.muted if walk.plain else SUM)
    yield _segment(-0.62, BRANCH_Y, 0, BRANCH_Y, PLAIN if walk.plain else IDENTITY)
    if not walk.plain:
        across = places["sum"][0]
        yield _segment(0, BRANCH_Y, 0, SHORTCUT_Y, IDENTITY, 4)
        yield _segment(0, SHORTCUT_Y, across, SHORTCUT_Y, IDENTITY, 4)
        yield _segment(across, SHORTCUT_Y, across, BRANCH_Y, IDENTITY, 4)


def _branch(walk: Walk, places: dict[str, tuple[float, float]]) -> Iterator[tuple[float, float, str]]:
    row = [step for step in walk.steps if step.name != "identity"]
    for left, right in pairwise(row):
        colour = PLAIN if walk.plain else SUM if left.part == "sum" else RESIDUAL
        yield places[left.name][0], places[right.name][0], colour


def _segment(x0: float, y0: float, x1: float, y1: float, colour: str, width: float = 2.5) -> dict[str, Any]:
    line = {"color": colour, "width": width}
    return {"type": "line", "x0": x0, "y0": y0, "x1": x1, "y1": y1, "line": line, "layer": "below"}


def _texts(walk: Walk, places: dict[str, tuple[float, float]], active: str, theme: Theme) -> Iterator[dict[str, Any]]:
    for step in walk.steps:
        x, y = places[step.name]
        # White text has too little contrast on orange; dark text is readable on every colour of the palette.
        colour = "#10161C" if step.name == active else theme.text
        yield _text(x, y, f"<b>{_label(step)}</b>", colour, 14)
        yield _text(x, y - 0.5, _shape(step), theme.muted, 11)
    if not walk.plain and "identity" not in walk.names:
        yield _text(places["sum"][0] / 2, SHORTCUT_Y + 0.22, "identity x, unchanged", theme.muted, 12)


def _label(step: Step) -> str:
    if step.name.startswith("conv"):
        return f"{step.operation.split(' ', maxsplit=1)[0]} conv"
    names = {"x": "x", "identity": "shortcut", "sum": "+", "output": "ReLU"}
    return names.get(step.name, "batch norm" if step.name.startswith("bn") else "ReLU")


def _shape(step: Step) -> str:
    return "×".join(map(str, step.values.shape))


def _text(x: float, y: float, text: str, colour: str, size: int) -> dict[str, Any]:
    return {"x": x, "y": y, "text": text, "showarrow": False, "font": {"color": colour, "size": size}}


def _targets(walk: Walk, places: dict[str, tuple[float, float]]) -> go.Scatter:
    still = {"marker": {"opacity": 0}}
    return go.Scatter(
        x=[places[step.name][0] for step in walk.steps],
        y=[places[step.name][1] for step in walk.steps],
        mode="markers",
        marker={"size": 56, "symbol": "square", "opacity": 0},
        selected=still,
        unselected=still,
        customdata=[step.name for step in walk.steps],
        text=[f"<b>{step.name}</b><br>{step.operation}<br>{_shape(step)}" for step in walk.steps],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )
