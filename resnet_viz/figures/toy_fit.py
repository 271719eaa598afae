"""The toy while it is learned: what the network draws without the skip, what is left to draw with it, and both errors by step.

x goes from -4 to 4. Blue is the x that is handed on, orange what the network adds, green their sum; grey has no skip.
"""

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from resnet_viz.analyses.activations import Array
from resnet_viz.figures.theme import IDENTITY, LIGHT, PLAIN, RESIDUAL, SUM, Theme, finish
from resnet_viz.lessons.toy import REACH, ToyFit

HEIGHT, LIMIT = 430, 5.4
TITLES = ("Without the skip: N(x) is all of it", "With the skip: N(x) is what is left", "Error by step")


def toy_fit(fit: ToyFit, frame: int | None = None, theme: Theme = LIGHT) -> go.Figure:
    """Draw both fits at one of the frames, by default the last; ValueError for a frame that there is not."""
    place = len(fit.steps) - 1 if frame is None else frame
    if not 0 <= place < len(fit.steps):
        raise ValueError(f"this fit has frames 0 to {len(fit.steps) - 1}, not {place}")
    fig = make_subplots(1, 3, column_widths=[0.35, 0.35, 0.3], horizontal_spacing=0.055, subplot_titles=TITLES)
    wanted = {"color": theme.text, "width": 1.5, "dash": "dot"}
    without, beside = fit.without[place], fit.beside[place]
    _line(fig, 1, fit.x, fit.target, "x + sin(3x), wanted", wanted)
    _line(fig, 1, fit.x, without, "N(x)", {"color": PLAIN, "width": 4})
    _line(fig, 2, fit.x, fit.target, "x + sin(3x), wanted", wanted)
    _line(fig, 2, fit.x, fit.x, "x, handed on", {"color": IDENTITY, "width": 2})
    _line(fig, 2, fit.x, np.sin(3 * fit.x), "sin(3x), left to learn", wanted)
    _line(fig, 2, fit.x, beside, "N(x)", {"color": RESIDUAL, "width": 4})
    _line(fig, 2, fit.x, fit.x + beside, "x + N(x)", {"color": SUM, "width": 4})
    errors = fit.errors
    names = (("without", PLAIN, "dash"), ("with", SUM, "solid"))
    for error, (name, colour, dash) in zip(errors, names, strict=True):
        _line(fig, 3, fit.steps, error, f"{name} the skip", {"color": colour, "width": 3, "dash": dash})
    fig.add_vline(x=float(fit.steps[place]), line={"color": theme.muted, "width": 1, "dash": "dot"}, row=1, col=3)
    fig.update_annotations(font={"size": 14, "color": theme.text})
    _axes(fig, errors, float(fit.steps[-1]))
    _name_lines(fig, fit, place, theme)
    fig.update_layout(width=1080, height=HEIGHT, margin={"l": 40, "r": 8, "t": 74, "b": 44}, showlegend=False, dragmode=False)
    finding = _finding(fit, place)
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="Dotted is what is wanted. Errors are root mean squares over the line; lower is better, log scale.",
        alt=f"{finding}. Errors at the first step: {errors[0][0]:.2g} without, {errors[1][0]:.2g} with the skip.",
    )


def _line(fig: go.Figure, column: int, x: Array, y: Array, name: str, look: dict[str, object]) -> None:
    mode = "lines" if len(x) > 1 else "markers"
    hover = f"{name}<br>%{{x:.3g}}: %{{y:.3g}}<extra></extra>"
    marker = {"color": look["color"], "size": 8}
    fig.add_trace(go.Scatter(x=x, y=y, mode=mode, name=name, line=look, marker=marker, hovertemplate=hover), row=1, col=column)


def _axes(fig: go.Figure, errors: tuple[Array, Array], last: float) -> None:
    for column in (1, 2):
        fig.update_xaxes(title="x", range=[-REACH, REACH], showgrid=False, fixedrange=True, row=1, col=column)
        fig.update_yaxes(range=[-LIMIT, LIMIT], zeroline=True, fixedrange=True, row=1, col=column)
    low = float(np.log10(max(1e-4, min(error.min() for error in errors)))) - 0.35
    high = float(np.log10(max(error.max() for error in errors))) + 0.15
    fig.update_xaxes(title="training step", range=[0, max(1.0, last)], showgrid=False, fixedrange=True, row=1, col=3)
    fig.update_yaxes(type="log", range=[low, high], dtick=1, fixedrange=True, row=1, col=3)


def _name_lines(fig: go.Figure, fit: ToyFit, place: int, theme: Theme) -> None:
    """Names beside the lines, so that no colour stands alone."""
    notes = (
        (1, 2.2, -3.2, "N(x)", PLAIN),
        (2, -3.1, -1.6, "x", IDENTITY),
        (2, 3.3, -1.9, "N(x)", RESIDUAL),
        (2, 1.2, 3.6, "x + N(x)", SUM),
    )
    for column, x, y, text, colour in notes:
        fig.add_annotation(
            x=x, y=y, text=f"<b>{text}</b>", showarrow=False, font={"size": 14, "color": theme.text}, row=1, col=column,
            bordercolor=colour, borderwidth=2, borderpad=2, bgcolor=theme.surface,
        )  # fmt: skip
    for error, text in zip(fit.errors, ("without", "with"), strict=True):
        fig.add_annotation(
            x=float(fit.steps[place]), y=float(np.log10(error[place])), text=f"{text} {error[place]:.2g}", showarrow=True,
            ax=-46 if fit.steps[place] > fit.steps[-1] / 2 else 46, ay=-30 if text == "without" else 26, arrowhead=0,
            arrowcolor=theme.muted, font={"size": 13, "color": theme.text}, row=1, col=3,
        )  # fmt: skip


def _finding(fit: ToyFit, place: int) -> str:
    without, beside = (float(error[place]) for error in fit.errors)
    step = f"After {fit.steps[place]:,.0f} steps"
    if beside < without:
        return f"{step} the error is {without / beside:.1f} times smaller with the skip: {beside:.2g} against {without:.2g}"
    return f"{step} the skip does not help: error {beside:.2g} with it, {without:.2g} without"
