"""One measure of many images by depth: the median as a line, and the bands that hold 50% and 90% of the images."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from resnet_viz.analyses.measures import MEANINGS
from resnet_viz.analyses.survey.result import Survey
from resnet_viz.analyses.survey.statistics import Grouping, groups, quantiles
from resnet_viz.figures.log_axis import log_axis
from resnet_viz.figures.survey.wording import axis_of, colour_of, images_in_words
from resnet_viz.figures.theme import LIGHT, PLAIN, Theme, finish, plain, short, translucent

WIDTH, HEIGHT = 1080, 400
MOST_CLASSES = 30
# Norms of different blocks differ by orders of magnitude.
LOGARITHMIC = ("norm",)


def survey_by_depth(
    survey: Survey, measure: str, grouping: Grouping = "all", selected: str | None = None, theme: Theme = LIGHT
) -> go.Figure:
    """Draw a measure by block: with bands for all images or for right and wrong ones, or one line of medians per class."""
    found = groups(survey, grouping, MOST_CLASSES)
    tables = {name: quantiles(survey, measure, mask) for name, mask in found.items()}
    banded = len(tables) <= 2
    names = [short(name) for name in survey.block_names]
    traces = [trace for group, table in tables.items() for trace in _traces(table, names, measure, group, banded=banded)]
    fig = go.Figure(traces)
    marks = [] if selected is None else [_upright(names.index(short(selected)), theme)]
    fig.update_layout(
        xaxis=_across(names),
        yaxis={"title": axis_of(measure), **_scale(measure, tables)},
        shapes=marks,
        width=WIDTH,
        height=HEIGHT,
        margin={"l": 64, "r": 8, "t": 48, "b": 48},
        showlegend=banded and len(tables) > 1,
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
        overwrite=True,
    )
    counts = {name: int(mask.sum()) for name, mask in found.items()}
    finding = _finding(tables, measure, grouping)
    reading = (
        "The line is the median. The dark band holds the middle 50% of the images, the light band 90%."
        if banded
        else "Each line is the median of one class; point at a line to see its name."
    )
    alt = f"{finding}. {MEANINGS[measure].symbol} by block for " + ", ".join(
        f"{name} ({images_in_words(count)})" for name, count in counts.items()
    )
    return finish(fig, theme, finding=finding, how_to_read=f"{reading} {MEANINGS[measure].sentence}", alt=alt)


def _traces(table: pd.DataFrame, names: list[str], measure: str, group: str, *, banded: bool) -> Iterator[go.Scatter]:
    colour = colour_of(measure, group) if banded else PLAIN
    if banded:
        yield _band(table, names, (0.05, 0.95), translucent(colour, 0.14))
        yield _band(table, names, (0.25, 0.75), translucent(colour, 0.26))
    hover = "<br>".join(
        [f"{plain(group)}, block %{{x}}", "median %{y:.4g}", "middle 50%: %{customdata[0]:.3g} to %{customdata[1]:.3g}"]
    )
    yield go.Scatter(
        x=names,
        y=table[0.5],
        customdata=table[[0.25, 0.75]].to_numpy(),
        mode="lines+markers",
        name=plain(group),
        line={"color": colour, "width": 2.5 if banded else 1.5},
        marker={"size": 7 if banded else 5, "symbol": "x" if group == "wrong" else "circle"},
        hovertemplate=f"{hover}<extra></extra>",
    )


def _band(table: pd.DataFrame, names: list[str], between: tuple[float, float], colour: str) -> go.Scatter:
    low, high = (table[quantile].tolist() for quantile in between)
    return go.Scatter(
        x=names + names[::-1],
        y=low + high[::-1],
        fill="toself",
        fillcolor=colour,
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
    )


def _across(names: list[str]) -> dict[str, Any]:
    ticks = names[:: math.ceil(len(names) / 18)]
    return {"type": "category", "tickvals": ticks, "tickangle": 0, "showgrid": False, "showline": True, "title": "block"}


def _scale(measure: str, tables: dict[str, pd.DataFrame]) -> dict[str, Any]:
    values = np.concatenate([table.to_numpy().ravel() for table in tables.values()]) if tables else np.array([])
    known = values[np.isfinite(values)]
    if measure.endswith(LOGARITHMIC) and len(known) and known.min() > 0 and known.max() > 30 * known.min():
        return log_axis(known)
    return {}


def _upright(place: int, theme: Theme) -> dict[str, Any]:
    line = {"color": theme.muted, "width": 1, "dash": "dot"}
    return {"type": "line", "x0": place, "x1": place, "y0": 0, "y1": 1, "yref": "paper", "line": line}


def _finding(tables: dict[str, pd.DataFrame], measure: str, grouping: Grouping) -> str:
    symbol = MEANINGS[measure].symbol
    medians = {name: table[0.5].dropna() for name, table in tables.items()}
    medians = {name: values for name, values in medians.items() if len(values)}
    if not medians:
        return (
            f"No image has a value of {symbol}"
            if grouping == "all"
            else f"{symbol} by group: no group is known for these images"
        )
    if grouping == "right or wrong" and len(medians) == 2:
        apart = (medians["wrong"] - medians["right"]).abs()
        block = str(apart.idxmax())
        wrong, right = medians["wrong"][block], medians["right"][block]
        return f"{symbol} differs most in block {short(block)}: median {wrong:.3g} if wrong, {right:.3g} if right"
    if len(medians) > 2:
        block = str(pd.DataFrame(medians).pipe(lambda table: table.max(axis=1) - table.min(axis=1)).idxmax())
        at = {name: values[block] for name, values in medians.items() if block in values}
        low, high = min(at, key=at.__getitem__), max(at, key=at.__getitem__)
        return (
            f"{symbol} differs most between classes in block {short(block)}: {at[low]:.3g} for {low}, {at[high]:.3g} for {high}"
        )
    values = next(iter(medians.values()))
    largest, smallest = str(values.idxmax()), str(values.idxmin())
    return (
        f"The median of {symbol} is largest in block {short(largest)} ({values.max():.3g}) and smallest in block"
        f" {short(smallest)} ({values.min():.3g})"
    )
