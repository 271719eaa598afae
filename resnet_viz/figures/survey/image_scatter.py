"""Every image as a point: a measure in one block against the probability of the predicted class. A click opens the image."""

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from resnet_viz.analyses.measures import MEANINGS
from resnet_viz.analyses.survey.result import Survey
from resnet_viz.analyses.survey.statistics import usable
from resnet_viz.counting import counted
from resnet_viz.figures.survey.wording import axis_of, colour_of
from resnet_viz.figures.theme import LIGHT, PLAIN, Theme, finish, plain, short

WIDTH, HEIGHT = 1080, 420
# As many points as a browser draws quickly. With more images, both extremes and an even selection of the others are drawn.
MOST_POINTS, EACH_END = 2500, 200
SYMBOLS = {"right": "circle", "wrong": "x", "class not known": "circle-open"}


def survey_scatter(survey: Survey, measure: str, block: str, picked: str | None = None, theme: Theme = LIGHT) -> go.Figure:
    """Draw every image. The `customdata` of a point is the name of the image; a ring marks the `picked` image."""
    images = usable(survey)
    values = survey.measure(measure)[:, survey.manifest.block_number(block)]
    names = images.index.to_numpy(dtype=str)
    shares = images["probability"].to_numpy(dtype=float)
    correct = images["correct"]
    masks = {
        "right": correct.eq(other=True).fillna(value=False).to_numpy(dtype=bool),
        "wrong": correct.eq(other=False).fillna(value=False).to_numpy(dtype=bool),
        "class not known": correct.isna().to_numpy(dtype=bool),
    }
    predicted = np.array([plain(str(label)) for label in images["predicted"]])
    drawn = _drawn(values)
    shown = {group: mask & drawn for group, mask in masks.items() if (mask & drawn).any()}
    traces = [_points(names[mask], values[mask], shares[mask], predicted[mask], group) for group, mask in shown.items()]
    fig = go.Figure(traces)
    if picked is not None and picked in images.index:
        fig.add_trace(_ring(names == picked, values, shares, theme))
    fig.update_layout(
        xaxis={"title": axis_of(measure), "showgrid": True},
        yaxis={"title": "probability of the predicted class", "range": [-0.03, 1.05], "tickformat": ".0%"},
        width=WIDTH,
        height=HEIGHT,
        margin={"l": 64, "r": 8, "t": 48, "b": 52},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
        showlegend=len(traces) > 1,
        clickmode="event+select",
        overwrite=True,
    )
    finding = _finding(measure, block, names, values)
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="Each point is an image. Click a point to choose its image." + _left_out(drawn),
        alt=f"{finding}. {counted(len(names), 'image')} by {MEANINGS[measure].symbol} and probability.",
    )


def _points(
    names: NDArray[np.str_],
    values: NDArray[np.float32],
    shares: NDArray[np.float64],
    predicted: NDArray[np.str_],
    group: str,
) -> go.Scatter:
    return go.Scatter(
        x=values,
        y=shares,
        customdata=names,
        text=[f"{plain(name)}<br>predicted: {label}" for name, label in zip(names, predicted, strict=True)],
        mode="markers",
        name=group,
        marker={"color": colour_of("", group) if group != "class not known" else PLAIN, "size": 7, "symbol": SYMBOLS[group]},
        opacity=0.75,
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 0.75}},
        hovertemplate="%{text}, %{y:.1%}<br>%{x:.4g}<extra></extra>",
    )


def _drawn(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which images are drawn."""
    drawn = np.ones(len(values), bool)
    if len(values) > MOST_POINTS:
        between = np.argsort(values, kind="stable")[EACH_END:-EACH_END]
        drawn[between] = False
        drawn[between[:: -(-len(between) // (MOST_POINTS - 2 * EACH_END))]] = True
    return drawn


def _left_out(drawn: NDArray[np.bool_]) -> str:
    if drawn.all():
        return ""
    return f" {drawn.sum():,} of {len(drawn):,} images are drawn: both extremes, and an even selection of the others."


def _ring(mask: NDArray[np.bool_], values: NDArray[np.float32], shares: NDArray[np.float64], theme: Theme) -> go.Scatter:
    marker = {"size": 16, "symbol": "circle-open", "color": theme.text, "line": {"width": 2}}
    return go.Scatter(
        x=values[mask], y=shares[mask], mode="markers", marker=marker, hoverinfo="skip", showlegend=False, name="chosen image"
    )


def _finding(measure: str, block: str, names: NDArray[np.str_], values: NDArray[np.float32]) -> str:
    symbol, known = MEANINGS[measure].symbol, np.isfinite(values)
    if not known.any():
        return f"No image has a value of {symbol} in block {short(block)}"
    low, high = int(np.nanargmin(values)), int(np.nanargmax(values))
    return (
        f"In block {short(block)}, {symbol} ranges from {values[low]:.3g} ({names[low]}) to {values[high]:.3g} ({names[high]}),"
        f" median {np.median(values[known]):.3g}"
    )
