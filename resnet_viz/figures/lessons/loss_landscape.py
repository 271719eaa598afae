"""The loss over a plane around trained weights, as contours or as a surface, on one scale for all networks compared."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from resnet_viz.analyses.activations import Array
from resnet_viz.figures.cells import Cell, cells
from resnet_viz.figures.loss_scale import SCALE, WIDEST, LossScale, scale_of
from resnet_viz.figures.theme import LIGHT, Theme, finish, plain
from resnet_viz.lessons.loss_landscape import Landscape

View = Literal["contours", "surface"]

SIDE, BAR, TOP, GAP = 360, 90, 64, 0.08
# Surfaces are wider than high, and the losses are named beside them.
ACROSS, APART = 520, 0.01


def loss_contours(found: Sequence[Landscape], theme: Theme = LIGHT) -> go.Figure:
    """Draw the loss of one or two networks over their planes, on one logarithmic scale."""
    places, scale = cells([1] * len(found), gap=GAP), scale_of([each.loss for each in found])
    fig = go.Figure()
    for number, (each, cell) in enumerate(zip(found, places, strict=True)):
        fig.add_trace(
            go.Contour(
                z=scale.powers(each.loss),
                x=each.axis,
                y=each.axis,
                customdata=each.loss,
                contours={"start": scale.low, "end": scale.high, "size": scale.step},
                colorscale=SCALE,
                zmin=scale.low,
                zmax=scale.high,
                line={"width": 0.7, "color": theme.muted},
                showscale=number == len(found) - 1,
                colorbar=scale.bar(theme),
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
    fig, scale = go.Figure(), scale_of([each.loss for each in found])
    scenes: dict[str, Any] = {}
    width = (1 - APART * (len(found) - 1)) / len(found)
    for number, each in enumerate(found):
        scene = f"scene{number + 1 if number else ''}"
        fig.add_trace(
            go.Surface(
                z=scale.powers(each.loss),
                x=each.axis,
                y=each.axis,
                customdata=each.loss,
                colorscale=SCALE,
                cmin=scale.low,
                cmax=scale.high,
                showscale=number == len(found) - 1,
                colorbar=scale.bar(theme),
                hovertemplate="a %{x:.2f}, b %{y:.2f}<br>loss %{customdata:.3g}<extra></extra>",
                scene=scene,
            )
        )
        left = number * (width + APART)
        scenes[scene] = _scene((left, left + width), scale, theme)
    notes = [
        {
            "text": plain(each.title),
            "x": number * (width + APART) + width / 2,
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
        width=ACROSS * len(found) + BAR,
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
            z=WIDEST.powers(loss),
            x=axis,
            y=axis,
            colorscale=SCALE,
            zmin=WIDEST.low,
            zmax=WIDEST.high,
            colorbar=WIDEST.bar(theme),
            hoverinfo="skip",
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


def _axes(cell: Cell) -> dict[str, dict[str, Any]]:
    ticks = {"tickvals": [-1, -0.5, 0, 0.5, 1], "showgrid": False, "constrain": "domain"}
    x = {**ticks, "title": "direction a"}
    y = {**ticks, "title": "" if cell.number else "direction b", "scaleanchor": f"x{cell.number}"}
    return cell.layout(x, y)


def _weights_mark(cell: Cell, theme: Theme) -> go.Scatter:
    marker = {"symbol": "cross", "size": 11, "color": theme.raised, "line": {"color": theme.text, "width": 1.5}}
    return go.Scatter(x=[0], y=[0], mode="markers", marker=marker, hoverinfo="skip", **cell.axes)


def _scene(across: tuple[float, float], scale: LossScale, theme: Theme) -> dict[str, Any]:
    axis = {"gridcolor": theme.line, "color": theme.muted, "backgroundcolor": "rgba(0,0,0,0)"}
    # Not at the corners, where the losses are named; what they are, the colour bar says.
    ticks = {"tickvals": [-0.5, 0, 0.5]}
    return {
        "domain": {"x": across, "y": (0, 1)},
        "xaxis": {**axis, **ticks, "title": "a"},
        "yaxis": {**axis, **ticks, "title": "b"},
        "zaxis": {**axis, "title": "", "range": [scale.low, scale.high], **scale.ticks()},
        "dragmode": "turntable",
        # Networks that are compared get boxes of one shape.
        "aspectmode": "manual",
        "aspectratio": {"x": 1, "y": 1, "z": 0.9},
        "camera": {"eye": {"x": 1.3, "y": -1.3, "z": 0.65}, "center": {"x": 0, "y": 0, "z": -0.12}},
    }
