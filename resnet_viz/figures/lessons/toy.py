"""The toy during training: the network's output without the skip connection, its output with it, and both errors by step.

x goes from -4 to 4. Blue is the x of the skip connection, orange the network's residual, green their sum; grey has no skip.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import plotly.graph_objects as go

from resnet_viz.analyses.activations import Array
from resnet_viz.figures.cells import Cell, cells
from resnet_viz.figures.theme import IDENTITY, LIGHT, PLAIN, RESIDUAL, SUM, Theme, finish
from resnet_viz.lessons.toy import REACH, ToyFit

HEIGHT, LIMIT = 430, 5.4
TITLES = ("Without the skip connection: y = N(x)", "With the skip connection: y = x + N(x)", "Error by training step")


def toy_fit(fit: ToyFit, frame: int | None = None, theme: Theme = LIGHT) -> go.Figure:
    """Draw both fits at one of the frames, by default the last; ValueError for a frame that does not exist."""
    place = len(fit.steps) - 1 if frame is None else frame
    if not 0 <= place < len(fit.steps):
        raise ValueError(f"this fit has frames 0 to {len(fit.steps) - 1}, not {place}")
    left, middle, right = places = cells((0.35, 0.35, 0.3), gap=0.055)
    wanted = {"color": theme.text, "width": 1.5, "dash": "dot"}
    without, beside = fit.without[place], fit.beside[place]
    errors = fit.errors
    names = (("without", PLAIN, "dash"), ("with", SUM, "solid"))
    fig = go.Figure(
        [
            _line(left, fit.x, fit.target, "target x + sin(3x)", wanted),
            _line(left, fit.x, without, "N(x)", {"color": PLAIN, "width": 4}),
            _line(middle, fit.x, fit.target, "target x + sin(3x)", wanted),
            _line(middle, fit.x, fit.x, "x from the skip", {"color": IDENTITY, "width": 2}),
            _line(middle, fit.x, np.sin(3 * fit.x), "sin(3x), left to learn", wanted),
            _line(middle, fit.x, beside, "N(x)", {"color": RESIDUAL, "width": 4}),
            _line(middle, fit.x, fit.x + beside, "x + N(x)", {"color": SUM, "width": 4}),
            *(
                _line(right, fit.steps, error, f"{name} the skip", {"color": colour, "width": 3, "dash": dash})
                for error, (name, colour, dash) in zip(errors, names, strict=True)
            ),
        ]
    )
    titles = [cell.title(title, theme) for cell, title in zip(places, TITLES, strict=True)]
    fig.update_layout(
        **_axes(places, errors, float(fit.steps[-1])),
        shapes=[right.upright(float(fit.steps[place]), theme)],
        annotations=[*titles, *_names(places, theme), *_errors(right, fit, place, theme)],
        width=1080,
        height=HEIGHT,
        margin={"l": 40, "r": 8, "t": 74, "b": 44},
        showlegend=False,
        overwrite=True,
    )
    finding = _finding(fit, place)
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="Dotted: the target. Errors are root mean squares over x on a logarithmic scale; lower is better.",
        alt=f"{finding}. Errors at the first step: {errors[0][0]:.2g} without, {errors[1][0]:.2g} with the skip connection.",
    )


def _line(cell: Cell, x: Array, y: Array, name: str, look: dict[str, object]) -> go.Scatter:
    mode = "lines" if len(x) > 1 else "markers"
    hover = f"{name}<br>%{{x:.3g}}: %{{y:.3g}}<extra></extra>"
    marker = {"color": look["color"], "size": 8}
    return go.Scatter(x=x, y=y, mode=mode, name=name, line=look, marker=marker, hovertemplate=hover, **cell.axes)


def _axes(places: list[Cell], errors: tuple[Array, Array], last: float) -> dict[str, Any]:
    left, middle, right = places
    low = float(np.log10(max(1e-4, min(error.min() for error in errors)))) - 0.35
    high = float(np.log10(max(error.max() for error in errors))) + 0.15
    still = {"showgrid": False}
    x = {**still, "title": "x", "range": [-REACH, REACH]}
    y = {"range": [-LIMIT, LIMIT], "zeroline": True}
    steps = {**still, "title": "training step", "range": [0, max(1.0, last)]}
    error = {"type": "log", "range": [low, high], "dtick": 1}
    return left.layout(x, y) | middle.layout(x, y) | right.layout(steps, error)


def _names(places: list[Cell], theme: Theme) -> Iterator[dict[str, Any]]:
    """Names next to the lines, so that the meaning does not depend on colour alone."""
    notes = (
        (0, 2.2, -3.2, "N(x)", PLAIN),
        (1, -3.1, -1.6, "x", IDENTITY),
        (1, 3.3, -1.9, "N(x)", RESIDUAL),
        (1, 1.2, 3.6, "x + N(x)", SUM),
    )
    for place, x, y, text, colour in notes:
        box = {"bordercolor": colour, "borderwidth": 2, "borderpad": 2, "bgcolor": theme.surface}
        font = {"size": 14, "color": theme.text}
        yield {"x": x, "y": y, "text": f"<b>{text}</b>", "showarrow": False, "font": font, **box, **places[place].references}


def _errors(cell: Cell, fit: ToyFit, place: int, theme: Theme) -> Iterator[dict[str, Any]]:
    """Both errors at the step that is drawn."""
    late = fit.steps[place] > fit.steps[-1] / 2
    for error, text, down in zip(fit.errors, ("without", "with"), (-30, 26), strict=True):
        yield {
            "x": float(fit.steps[place]),
            "y": float(np.log10(error[place])),
            "text": f"{text} {error[place]:.2g}",
            "showarrow": True,
            "arrowhead": 0,
            "arrowcolor": theme.muted,
            "ax": -46 if late else 46,
            "ay": down,
            "font": {"size": 13, "color": theme.text},
            **cell.references,
        }


def _finding(fit: ToyFit, place: int) -> str:
    without, beside = (float(error[place]) for error in fit.errors)
    step = f"After {fit.steps[place]:,.0f} steps,"
    if beside < without:
        return (
            f"{step} the error is {without / beside:.1f} times smaller with the skip connection: {beside:.2g} compared "
            f"with {without:.2g}"
        )
    return f"{step} the skip connection does not help: the error is {beside:.2g} with it and {without:.2g} without"
