"""A signal in two chains of layers: how much of it is left, and how much gradient returns. Grey is plain, blue residual."""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from resnet_viz.analyses.activations import Array
from resnet_viz.figures.log_axis import log_axis
from resnet_viz.figures.theme import IDENTITY, LIGHT, PLAIN, SIGNED, Theme, finish
from resnet_viz.lessons.signal import DEPTHS, SignalThroughDepth

Measure = Literal["correlation", "at_input", "at_first_layer", "loss"]

AXES: dict[Measure, str] = {
    "correlation": "|correlation| with the input",
    "at_input": "gradient norm at the input",
    "at_first_layer": "gradient norm at the first layer",
    "loss": "loss before training",
}
PANELS_WIDTH, HEIGHT, TOP = 470, 430, 44
# Positions of the panels, as shares of the figure: left and right columns, lower and upper rows.
COLUMNS, ROWS = ((0.0, 0.47), (0.53, 1.0)), ((0.0, 0.43), (0.57, 1.0))
LABEL = 16


def signal_panels(result: SignalThroughDepth, depth: int, theme: Theme = LIGHT) -> go.Figure:
    """Draw the signal, the signal after one ReLU, and the output of each chain after `depth` layers."""
    place = DEPTHS.index(depth)
    panels: list[tuple[str, Array, str]] = [
        ("the signal", result.signal, theme.text),
        ("after one ReLU", np.maximum(result.signal, 0), theme.text),
        (f"{depth} plain layers", result.plain.maps[place], PLAIN),
        (f"{depth // 2} residual blocks", result.residual.maps[place], IDENTITY),
    ]
    fig = go.Figure()
    for number, (name, values, colour) in enumerate(panels):
        _add_panel(fig, number, values, colour, theme)
        x, y = COLUMNS[number % 2], ROWS[1 - number // 2]
        fig.add_annotation(_title(name, sum(x) / 2, y[1], theme))
    fig.update_layout(
        width=PANELS_WIDTH,
        height=HEIGHT,
        margin={"l": 4, "r": 4, "t": TOP, "b": 4},
        showlegend=False,
        overwrite=True,
    )
    finding = f"One ReLU sets {result.cut:.0%} of the signal's values to 0"
    kept = [chain.correlation[place] for chain in (result.plain, result.residual)]
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="One channel of each: the one that correlates most with the input, on its own scale. Red is positive, "
        "blue negative.",
        alt=f"{finding}. After {depth} layers the plain chain correlates {kept[0]:.2f} with it, the residual {kept[1]:.2f}.",
    )


def signal_depth(result: SignalThroughDepth, measure: Measure, depth: int, theme: Theme = LIGHT) -> go.Figure:
    """Draw a measure of both chains by depth, with the chosen depth marked."""
    fig = go.Figure()
    logarithmic = measure != "correlation"
    ends = {}
    for name, chain, colour, dash in (
        ("plain", result.plain, PLAIN, "dash"),
        ("residual", result.residual, IDENTITY, "solid"),
    ):
        values = getattr(chain, measure)
        ends[name] = (values, colour)
        fig.add_trace(_line(name, values, colour, dash, measure))
        fig.add_trace(_marker(depth, values, colour, theme))
    fig.add_vline(x=depth, line={"color": theme.muted, "width": 1, "dash": "dot"})
    drawn = [float(value) for values, _ in ends.values() for value in values]
    scale = log_axis(drawn) if logarithmic else {"range": [0, 1.02]}
    fig.update_layout(
        xaxis={
            "title": "depth (convolutions)",
            "range": [0, 122],
            "tickvals": [2, 20, 32, 44, 56, 80, 110],
            "showgrid": False,
            "showline": True,
        },
        yaxis={**scale, "title": {"text": AXES[measure], "standoff": 12}},
        width=420,
        height=HEIGHT,
        margin={"l": 0, "r": 8, "t": TOP, "b": 0},
        showlegend=False,
        overwrite=True,
    )
    for note in _labels(ends, theme, logarithmic=logarithmic):
        fig.add_annotation(note)
    place = DEPTHS.index(depth)
    plain, residual = (float(getattr(chain, measure)[place]) for chain in (result.plain, result.residual))
    finding = f"At depth {depth}, {AXES[measure]}: plain {_number(plain)}, residual {_number(residual)}"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"Before training, with weights from seed {result.seed} and {'with' if result.batch_norm else 'without'} "
        f"batch norm.",
        alt=f"{finding}. Two curves over depths from 2 to 110; the plain chain is dashed and grey, the residual one solid "
        f"and blue.",
    )


def _add_panel(fig: go.Figure, number: int, values: Array, colour: str, theme: Theme) -> None:
    axis = "" if number == 0 else str(number + 1)
    if values.ndim == 1:
        drawn = theme.text if colour == theme.text else colour
        fig.add_trace(go.Scatter(y=values, mode="lines", line={"color": drawn, "width": 2}, xaxis=f"x{axis}", yaxis=f"y{axis}"))
    else:
        limit = float(np.abs(values).max()) or 1.0
        fig.add_trace(
            go.Heatmap(
                z=values,
                zmin=-limit,
                zmax=limit,
                colorscale=SIGNED,
                showscale=False,
                xaxis=f"x{axis}",
                yaxis=f"y{axis}",
                hovertemplate="x %{x}, y %{y}<br>%{z:.3g}<extra></extra>",
            )
        )
    fig.update_layout(
        {f"xaxis{axis}": _x(number, colour, values, axis), f"yaxis{axis}": _y(number, colour, values, axis, theme)},
        overwrite=True,
    )


def _x(number: int, colour: str, values: Array, axis: str) -> dict[str, Any]:
    return {"domain": COLUMNS[number % 2], "anchor": f"y{axis}", "showgrid": False, "constrain": "domain", **_frame(colour)} | (
        {"range": [-0.5, values.shape[1] - 0.5]} if values.ndim == 2 else {}
    )


def _y(number: int, colour: str, values: Array, axis: str, theme: Theme) -> dict[str, Any]:
    place = {"domain": ROWS[1 - number // 2], "anchor": f"x{axis}", "showgrid": False, **_frame(colour)}
    if values.ndim == 1:
        most = float(np.abs(values).max()) * 1.1 or 1.0
        return place | {"range": [-most, most], "zeroline": True, "zerolinecolor": theme.line}
    return place | {"range": [values.shape[0] - 0.5, -0.5], "scaleanchor": f"x{axis}", "constrain": "domain"}


def _frame(colour: str) -> dict[str, Any]:
    return {
        "showline": True,
        "mirror": True,
        "linecolor": colour,
        "linewidth": 3,
        "showticklabels": False,
        "ticks": "",
    }


def _title(name: str, x: float, y: float, theme: Theme) -> dict[str, Any]:
    font = {"size": 14, "color": theme.text}
    place = {"x": x, "y": y, "xref": "paper", "yref": "paper", "xanchor": "center", "yanchor": "bottom"}
    return {"text": f"<b>{name}</b>", "showarrow": False, "font": font, **place}


def _line(name: str, values: Array, colour: str, dash: str, measure: Measure) -> go.Scatter:
    return go.Scatter(
        x=DEPTHS,
        y=values,
        mode="lines",
        name=name,
        line={"color": colour, "width": 3, "dash": dash},
        hovertemplate=f"{name}, depth %{{x}}<br>{AXES[measure]} %{{y:.3g}}<extra></extra>",
    )


def _marker(depth: int, values: Array, colour: str, theme: Theme) -> go.Scatter:
    return go.Scatter(
        x=[depth],
        y=[values[DEPTHS.index(depth)]],
        mode="markers",
        marker={"size": 11, "color": colour, "line": {"color": theme.raised, "width": 2}},
        hoverinfo="skip",
    )


def _labels(ends: dict[str, tuple[Array, str]], theme: Theme, *, logarithmic: bool) -> Iterator[dict[str, Any]]:
    """Name each curve at its right end; the upper name moves up and the lower one down where they would overlap."""
    heights = {
        name: float(np.log10(max(values[-1], 1e-30)) if logarithmic else values[-1]) for name, (values, _) in ends.items()
    }
    upper = max(heights, key=lambda name: heights[name])
    for name, height in heights.items():
        yield {
            "x": DEPTHS[-1],
            "y": height,
            "text": f"<b>{name}</b>",
            "xanchor": "left",
            "xshift": 6,
            "yshift": LABEL / 2 if name == upper else -LABEL / 2,
            "showarrow": False,
            "font": {"size": 13, "color": theme.text if name == "residual" else theme.muted},
        }


def _number(value: float) -> str:
    return f"{value:.2f}" if 0.01 <= value < 100 else f"{value:.1e}"
