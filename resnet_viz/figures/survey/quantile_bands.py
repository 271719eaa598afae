"""One measure of many images by depth: the median as a line, and the bands that hold 50% and 90% of the images."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from resnet_viz.analyses.measures import MEANINGS
from resnet_viz.analyses.survey.result import Survey
from resnet_viz.analyses.survey.statistics import Grouping, groups, quantiles, usable
from resnet_viz.counting import counted
from resnet_viz.figures.log_axis import log_axis
from resnet_viz.figures.survey.heat_maps import block_axis
from resnet_viz.figures.survey.wording import axis_of, colour_of, kind_of_class, kinds_of_class
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
    banded = grouping in ("all", "right or wrong")
    names = [short(name) for name in survey.block_names]
    apart = None if banded else _furthest_apart(tables)
    named = () if apart is None else (apart.high, apart.low)
    # The lines that are named lie over the others.
    ordered = sorted(tables, key=lambda group: group in named)
    traces = [
        trace
        for group in ordered
        for trace in _traces(tables[group], names, measure, group, banded=banded, named=banded or group in named)
    ]
    fig = go.Figure(traces)
    scale = _scale(measure, tables)
    marks = [] if selected is None else [_upright(names.index(short(selected)), theme)]
    fig.update_layout(
        xaxis=_across(names),
        yaxis={"title": axis_of(measure), **scale},
        shapes=marks,
        annotations=[] if apart is None else _labels(apart, survey, theme, log=scale.get("type") == "log"),
        width=WIDTH,
        height=HEIGHT,
        margin={"l": 64, "r": 8, "t": 48, "b": 48},
        showlegend=banded and len(tables) > 1,
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
        overwrite=True,
    )
    counts = {name: int(mask.sum()) for name, mask in found.items()}
    finding = _finding(tables, measure, grouping, apart, kinds_of_class(survey) if grouping == "class" else "classes")
    reading = (
        "The line is the median. The dark band holds the middle 50% of the images, the light band 90%."
        if banded
        else f"Each line is the median of one {kind_of_class(survey) if grouping == 'class' else grouping}; point at a line to"
        " see its name."
    ) + _left_out(survey, found)
    alt = f"{finding}. {MEANINGS[measure].symbol} by block for " + ", ".join(
        f"{name} ({counted(count, 'image')})" for name, count in counts.items()
    )
    return finish(fig, theme, finding=finding, how_to_read=f"{reading} {MEANINGS[measure].sentence}", alt=alt)


@dataclass(frozen=True)
class _Apart:
    """The block in which the medians of two groups are furthest apart, and the two."""

    block: str
    high: str
    low: str
    highest: float
    lowest: float


def _furthest_apart(tables: dict[str, pd.DataFrame]) -> _Apart | None:
    """The largest difference in the unit of the axis; None with fewer than two groups."""
    medians = pd.DataFrame({name: table[0.5] for name, table in tables.items()}).dropna(axis=1, how="all")
    if medians.shape[1] < 2:
        return None
    block = str((medians.max(axis=1) - medians.min(axis=1)).idxmax())
    values = medians.loc[block].dropna()
    at = {str(name): float(value) for name, value in zip(values.index, values.to_numpy(dtype=float), strict=True)}
    high, low = max(at, key=at.__getitem__), min(at, key=at.__getitem__)
    return _Apart(block, high, low, at[high], at[low])


def _labels(apart: _Apart, survey: Survey, theme: Theme, *, log: bool) -> list[dict[str, Any]]:
    """The names of the two groups above and below their lines. On a logarithmic axis, positions are powers of ten."""
    # The number of the block: Plotly takes a name such as "3.2" for a number.
    place = survey.manifest.block_number(apart.block)
    ends = ((apart.high, apart.highest, "bottom"), (apart.low, apart.lowest, "top"))
    return [
        {
            "x": place,
            "y": math.log10(value) if log else value,
            "text": plain(group),
            "showarrow": False,
            "yanchor": anchor,
            "yshift": 5 if anchor == "bottom" else -5,
            "font": {"color": theme.text},
        }
        for group, value, anchor in ends
        if not log or value > 0
    ]


def _left_out(survey: Survey, found: dict[str, NDArray[np.bool_]]) -> str:
    """Say which images are in no group that is drawn."""
    total = len(usable(survey))
    drawn = sum(int(mask.sum()) for mask in found.values())
    if drawn == total or not found:
        return ""
    which = f"those of the {MOST_CLASSES} largest groups" if len(found) == MOST_CLASSES else "those whose class is known"
    return f" {drawn:,} of {counted(total, 'image')} count here: {which}."


def _traces(
    table: pd.DataFrame, names: list[str], measure: str, group: str, *, banded: bool, named: bool
) -> Iterator[go.Scatter]:
    colour = colour_of(measure, group) if named else translucent(PLAIN, 0.6)
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
        line={"color": colour, "width": 2.5 if named else 1.5},
        marker={"size": 7 if named else 5, "symbol": "x" if group == "wrong" else "circle"},
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
    return {**block_axis(names), "showline": True}


def _scale(measure: str, tables: dict[str, pd.DataFrame]) -> dict[str, Any]:
    values = np.concatenate([table.to_numpy().ravel() for table in tables.values()]) if tables else np.array([])
    known = values[np.isfinite(values)]
    if measure.endswith(LOGARITHMIC) and len(known) and known.min() > 0 and known.max() > 30 * known.min():
        return log_axis(known)
    return {}


def _upright(place: int, theme: Theme) -> dict[str, Any]:
    line = {"color": theme.muted, "width": 1, "dash": "dot"}
    return {"type": "line", "x0": place, "x1": place, "y0": 0, "y1": 1, "yref": "paper", "line": line}


def _finding(tables: dict[str, pd.DataFrame], measure: str, grouping: Grouping, furthest: _Apart | None, kinds: str) -> str:
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
    if furthest is not None:
        return (
            f"The medians of {symbol} of the {kinds} are furthest apart in block {short(furthest.block)}:"
            f" {furthest.highest:.3g} for {furthest.high}, {furthest.lowest:.3g} for {furthest.low}"
        )
    values = next(iter(medians.values()))
    largest, smallest = str(values.idxmax()), str(values.idxmin())
    return (
        f"The median of {symbol} is largest in block {short(largest)} ({values.max():.3g}) and smallest in block"
        f" {short(smallest)} ({values.min():.3g})"
    )
