"""The way of a training over its loss landscape, on the plane of its two principal components, and its losses on the way."""

import numpy as np
import plotly.graph_objects as go

from resnet_viz.figures.log_axis import log_axis, mark_level
from resnet_viz.figures.loss_scale import SCALE, scale_of
from resnet_viz.figures.theme import GRADIENT, LIGHT, Theme, finish
from resnet_viz.lessons.trajectory import Trajectory

HEIGHT, TOP = 420, 40


def trajectory_contours(found: Trajectory, theme: Theme = LIGHT, count: int | None = None) -> go.Figure:
    """Draw the loss over the plane as contours, and the first `count` checkpoints, by default all, as a line to a cross.

    ValueError if there are not so many checkpoints.
    """
    _check(found, count)
    scale = scale_of([found.loss])
    steps, losses = found.steps[:count], found.losses[:count]
    numbers = np.arange(1, len(steps) + 1)
    fig = go.Figure(
        [
            go.Contour(
                z=scale.powers(found.loss),
                x=found.first,
                y=found.second,
                customdata=found.loss,
                colorscale=SCALE,
                zmin=scale.low,
                zmax=scale.high,
                contours={"start": scale.low, "end": scale.high, "size": scale.step},
                line={"width": 0.7, "color": theme.muted},
                colorbar=scale.bar(theme),
                hovertemplate="loss on the plane %{customdata:.3g}<extra></extra>",
            ),
            go.Scatter(
                x=steps[:, 0],
                y=steps[:, 1],
                customdata=np.column_stack([numbers, losses]),
                mode="lines+markers",
                line={"color": GRADIENT, "width": 2.5},
                marker={
                    "size": [7] * (len(numbers) - 1) + [13],
                    "symbol": ["circle"] * (len(numbers) - 1) + ["cross"],
                    "color": theme.raised,
                    "line": {"color": GRADIENT, "width": 2},
                },
                hovertemplate="checkpoint %{customdata[0]}<br>its own loss %{customdata[1]:.3g}<extra></extra>",
                showlegend=False,
            ),
        ]
    )
    fig.update_layout(
        xaxis={"title": f"first component ({found.explained[0]:.0%} of the way)", "showgrid": False},
        yaxis={"title": f"second component ({found.explained[1]:.0%})", "showgrid": False},
        height=HEIGHT,
        margin={"l": 0, "r": 0, "t": TOP, "b": 0},
        overwrite=True,
    )
    first, last = float(losses[0]), float(losses[-1])
    explained = f"The plane explains {sum(found.explained):.0%} of the way of {found.title}"
    finding = f"{explained}, from a loss of {first:.3g} to {last:.3g}"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"Each circle is a checkpoint, the cross the last one shown. Colours are the loss of {found.images} images"
        " on the plane; a checkpoint itself lies beside it.",
        alt=f"{finding}. {len(numbers)} checkpoints; losses " + ", ".join(f"{loss:.3g}" for loss in losses.tolist()) + ".",
    )


def trajectory_losses(found: Trajectory, theme: Theme = LIGHT, count: int | None = None) -> go.Figure:
    """Draw the loss of every checkpoint, in order, and a cross at the last of the first `count`, by default of all.

    ValueError if there are not so many checkpoints.
    """
    _check(found, count)
    losses, shown = found.losses, (count or len(found.steps)) - 1
    numbers = np.arange(len(losses))
    marker = {"symbol": "cross", "size": 13, "color": theme.raised, "line": {"color": GRADIENT, "width": 2}}
    hover = "checkpoint %{customdata}<br>loss %{y:.3g}<extra></extra>"
    fig = go.Figure(
        [
            go.Scatter(
                x=numbers,
                y=losses,
                customdata=numbers + 1,
                mode="lines+markers",
                line={"color": GRADIENT, "width": 2},
                marker={"size": 5},
                hovertemplate=hover,
            ),
            go.Scatter(
                x=numbers[[shown]],
                y=losses[[shown]],
                customdata=numbers[[shown]] + 1,
                mode="markers",
                marker=marker,
                hovertemplate=hover,
            ),
        ]
    )
    mark_level(fig, found.guessing, "guessing", theme, dash="dot")
    rises = int((np.diff(losses) > 0).sum())
    fig.update_layout(
        xaxis={"title": "steps after the first checkpoint", "showgrid": False},
        yaxis={**log_axis([*losses.tolist(), found.guessing]), "title": "loss"},
        height=HEIGHT,
        margin={"l": 0, "r": 0, "t": TOP, "b": 0},
        showlegend=False,
        overwrite=True,
    )
    first, last = float(losses[0]), float(losses[-1])
    finding = f"The loss of {found.title} goes from {first:.3g} to {last:.3g}, and rises in {rises} of {len(losses) - 1} steps"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"The loss of {found.images} images at each checkpoint itself, on a logarithmic axis; the cross is the last"
        " one shown on the plane.",
        alt=f"{finding}. Losses: " + ", ".join(f"{loss:.3g}" for loss in losses.tolist()) + ".",
    )


def _check(found: Trajectory, count: int | None) -> None:
    if count is not None and not 1 <= count <= len(found.steps):
        raise ValueError(f"{count} checkpoints: choose 1 to {len(found.steps)}")
