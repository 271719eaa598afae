"""The loss over a plane around trained weights, as contours or as a surface, on one scale for all networks compared."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from resnet_viz.analyses.activations import Array
from resnet_viz.figures.cells import Cell, cells
from resnet_viz.figures.theme import LIGHT, Theme, finish, plain
from resnet_viz.lessons.loss_landscape import Landscape

View = Literal["contours", "surface"]

SIDE, BAR, TOP, GAP = 360, 90, 64, 0.08
# The range of the loss is 0.01 to 1000, with one colour per half power of ten.
LOW, HIGH, STEP = -2.0, 3.0, 0.5
TICKS = (-2, -1, 0, 1, 2, 3)
SCALE = "Cividis"


def loss_contours(found: Sequence[Landscape], theme: Theme = LIGHT) -> go.Figure:
    """Draw the loss of one or two networks over their planes, on one logarithmic scale."""
    places = cells([1] * len(found), gap=GAP)
    fig = go.Figure()
    for number, (each, cell) in enumerate(zip(found, places, strict=True)):
        fig.add_trace(
            go.Contour(
                z=_powers(each.loss),
                x=each.axis,
                y=each.axis,
                customdata=each.loss,
                contours={"start": LOW, "end": HIGH, "size": STEP},
                colorscale=SCALE,
                zmin=LOW,
                zmax=HIGH,
                line={"width": 0.7, "color": theme.muted},
                showscale=number == len(found) - 1,
                colorbar=_bar(theme),
                hovertemplate="a %{x:.2f}, b %{y:.2f}<br>loss %{customdata:.3g}<extra></extra>",
                **cell.axes,
            )
        )
        fig.add_trace(_weights_mark(cell, theme))
        fig.update_layout(_axes(cell), overwrite=True)
    notes = [cell.title(plain(each.title), theme) for each, cell in zip(found, places, strict=True)]
    fig.update_layout(
        annotations=notes,
        width=SIDE * len(found) + BAR,
        height=SIDE + TOP + 30,
        margin={"l": 0, "r": 0, "t": TOP, "b": 0},
        showlegend=False,
        overwrite=True,
    )
    return _finished(fig, found, theme)


def loss_surface(found: Sequence[Landscape], theme: Theme = LIGHT) -> go.Figure:
    """Draw the same as surfaces; height and colour are the loss, on one logarithmic scale."""
    fig = go.Figure()
    scenes: dict[str, Any] = {}
    width = (1 - GAP * (len(found) - 1)) / len(found)
    for number, each in enumerate(found):
        scene = f"scene{number + 1 if number else ''}"
        fig.add_trace(
            go.Surface(
                z=_powers(each.loss),
                x=each.axis,
                y=each.axis,
                customdata=each.loss,
                colorscale=SCALE,
                cmin=LOW,
                cmax=HIGH,
                showscale=number == len(found) - 1,
                colorbar=_bar(theme),
                hovertemplate="a %{x:.2f}, b %{y:.2f}<br>loss %{customdata:.3g}<extra></extra>",
                scene=scene,
            )
        )
        left = number * (width + GAP)
        scenes[scene] = _scene((left, left + width), theme)
    notes = [
        {
            "text": plain(each.title),
            "x": number * (width + GAP) + width / 2,
            "y": 1,
            "xref": "paper",
            "yref": "paper",
            "xanchor": "center",
            "yanchor": "bottom",
            "showarrow": False,
            "font": {"size": 14, "color": theme.text},
        }
        for number, each in enumerate(found)
    ]
    fig.update_layout(
        scenes,
        annotations=notes,
        width=SIDE * len(found) + BAR,
        height=SIDE + TOP + 30,
        margin={"l": 0, "r": 0, "t": TOP, "b": 0},
        overwrite=True,
    )
    return _finished(fig, found, theme)


def loss_so_far(loss: Array, span: float, theme: Theme = LIGHT) -> go.Figure:
    """Draw an unfinished plane (points, points): NaN where the loss is not yet known."""
    axis = np.linspace(-span, span, len(loss))
    (cell,) = cells([1])
    fig = go.Figure(
        go.Heatmap(
            z=_powers(loss), x=axis, y=axis, colorscale=SCALE, zmin=LOW, zmax=HIGH, colorbar=_bar(theme), hoverinfo="skip"
        )
    )
    fig.update_layout(_axes(cell), overwrite=True)
    fig.update_layout(width=SIDE + BAR, height=SIDE + TOP, margin={"l": 0, "r": 0, "t": TOP, "b": 0}, overwrite=True)
    known = int(np.isfinite(loss).sum())
    finding = f"{known} of {loss.size} points are computed"
    return finish(fig, theme, finding=finding, how_to_read="Rows are computed from the bottom up.", alt=f"{finding}.")


def _finished(fig: go.Figure, found: Sequence[Landscape], theme: Theme) -> go.Figure:
    shares = "; ".join(f"{each.title} {each.below_guessing:.0%}" for each in found)
    finding = f"Share of the plane with a lower loss than random guessing: {shares}"
    points = len(found[0].loss)
    spoken = "; ".join(
        f"{each.title}: {each.centre:.3g} at the weights, up to {np.nanmax(each.loss):.3g} on the plane" for each in found
    )
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"Loss of {found[0].measured_on}, {points} × {points} points. The mark in the middle is the network's own"
        " weights; at distance 1 every filter has moved by its own norm. Guessing has a loss of"
        f" {found[0].guessing:.2f}.",
        alt=f"{finding}. Loss: {spoken}.",
    )


def _powers(loss: Array) -> Array:
    """The logarithm of the loss, limited to the range of the scale."""
    with np.errstate(divide="ignore", invalid="ignore"):
        powers: Array = np.clip(np.log10(loss), LOW, HIGH).astype(np.float32).round(3)
    return powers


def _bar(theme: Theme) -> dict[str, Any]:
    texts = [f"≤ {10.0**LOW:g}", *(f"{10.0**tick:g}" for tick in TICKS[1:-1]), f"≥ {10.0**HIGH:g}"]
    return {
        "title": {"text": "loss"},
        "tickvals": list(TICKS),
        "ticktext": texts,
        "thickness": 10,
        "outlinewidth": 0,
        "tickfont": {"color": theme.muted},
    }


def _axes(cell: Cell) -> dict[str, dict[str, Any]]:
    ticks = {"tickvals": [-1, -0.5, 0, 0.5, 1], "showgrid": False, "constrain": "domain"}
    x = {**ticks, "title": "direction a"}
    y = {**ticks, "title": "" if cell.number else "direction b", "scaleanchor": f"x{cell.number}"}
    return cell.layout(x, y)


def _weights_mark(cell: Cell, theme: Theme) -> go.Scatter:
    marker = {"symbol": "cross", "size": 11, "color": theme.raised, "line": {"color": theme.text, "width": 1.5}}
    return go.Scatter(x=[0], y=[0], mode="markers", marker=marker, hoverinfo="skip", **cell.axes)


def _scene(across: tuple[float, float], theme: Theme) -> dict[str, Any]:
    axis = {"gridcolor": theme.line, "color": theme.muted, "backgroundcolor": "rgba(0,0,0,0)"}
    return {
        "domain": {"x": across, "y": (0, 1)},
        "xaxis": {**axis, "title": "a"},
        "yaxis": {**axis, "title": "b"},
        "zaxis": {
            **axis,
            "title": "loss",
            "range": [LOW, HIGH],
            "tickvals": list(TICKS),
            "ticktext": [f"{10.0**tick:g}" for tick in TICKS],
        },
        "dragmode": "turntable",
        "camera": {"eye": {"x": 1.5, "y": -1.5, "z": 0.9}},
    }
