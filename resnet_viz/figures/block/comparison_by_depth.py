"""One measure of two networks, or of two images, by depth: one line per side, on the same axes.

x is the block if both sides have the same blocks, otherwise the relative depth from 0 (image) to 1 (classes).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import plotly.graph_objects as go

from resnet_viz.analyses.comparison import Comparison
from resnet_viz.analyses.inspection import Inspection
from resnet_viz.figures.block.map_measures import STYLES, MapMeasure, is_plain, measures_for, name_of, value_of
from resnet_viz.figures.theme import LIGHT, PLAIN, RESIDUAL, Theme, finish, short

WIDTH, HEIGHT = 860, 380
TOP, BOTTOM, LEFT, RIGHT = 44, 50, 64, 172
LABEL_HEIGHT, LONGEST_LABEL = 18, 20


@dataclass(frozen=True)
class Words:
    """A measure as the subject of a sentence, as the title of the y axis with its unit, and the format of its numbers."""

    subject: str
    axis: str
    ticks: str = ""


WORDS: dict[MapMeasure, Words] = {
    "ratio": Words("|F| / |x|", "|F| / |x| (ratio)"),
    "cosine": Words("cos(x, F)", "cos(x, F), −1 to 1"),
    "gradient": Words("The gradient through F", "gradient through F, share", ".0%"),
    "cam_mass": Words("The Grad-CAM mass", "Grad-CAM mass (logits)"),
    "response_std": Words("The std of F", "std of F (standard deviation)"),
    "ablation": Words("The logit lost without F", "logit lost without F (logits)"),
}


def comparison_by_depth(
    comparison: Comparison, measure: MapMeasure | None = None, selected: str | None = None, theme: Theme = LIGHT
) -> go.Figure:
    """Draw one line per side; `selected` is the name of a pair of blocks, which is marked by rings.

    `measure` is one of `measures_for` both sides, by default the first. Raises ValueError for another one.
    """
    offered = measures_for(comparison.left, comparison.right)
    chosen = measure or offered[0]
    if chosen not in offered:
        raise ValueError(f"the two sides cannot be compared by {chosen!r}: choose one of {', '.join(offered)}")
    lines = _lines(comparison, chosen)
    span = _span(lines)
    fig = go.Figure(lines)
    if selected is not None:
        fig.add_trace(_rings(comparison, selected, lines, theme))
    fig.update_layout(
        xaxis={**_depth_axis(comparison, lines[0]), "showline": True, "showgrid": False},
        yaxis={"title": WORDS[chosen].axis, "range": span, "tickformat": WORDS[chosen].ticks},
        annotations=list(_labels(lines, span, theme)),
        width=WIDTH,
        height=HEIGHT,
        margin={"l": LEFT, "r": RIGHT, "t": TOP, "b": BOTTOM},
        showlegend=False,
        overwrite=True,
    )
    finding = _finding(comparison, chosen)
    return finish(fig, theme, finding=finding, how_to_read=_reading(comparison), alt=_alt(finding, lines, chosen))


def _lines(comparison: Comparison, measure: MapMeasure) -> list[go.Scatter]:
    alike = is_plain(comparison.left) == is_plain(comparison.right)
    left = _line(comparison.left, measure, comparison.aligned_by)
    right = _line(comparison.right, measure, comparison.aligned_by)
    left.update(name=comparison.left_name, marker_symbol="circle")
    # Two networks of one kind have the same colour.
    right.update(name=comparison.right_name, marker_symbol="diamond", line_dash="6px,4px" if alike else "solid")
    return [left, right]


def _line(inspection: Inspection, measure: MapMeasure, along: Literal["name", "relative depth"]) -> go.Scatter:
    names = [short(block.name) for block in inspection.blocks]
    colour = RESIDUAL if measure in ("cosine", "ablation") else STYLES[measure].colour
    written = STYLES[measure].template.replace("{:", "%{y:")
    return go.Scatter(
        x=names if along == "name" else [(i + 0.5) / len(names) for i in range(len(names))],
        y=[value_of(block, measure) for block in inspection.blocks],
        mode="lines+markers",
        line={"color": PLAIN if is_plain(inspection) else colour, "width": 2.5},
        marker={"size": 8},
        customdata=names,
        hovertemplate=f"block %{{customdata}}<br>{name_of(measure)} {written}",
    )


def _rings(comparison: Comparison, selected: str, lines: list[go.Scatter], theme: Theme) -> go.Scatter:
    pair = comparison.pair(selected)
    places = [line.customdata.index(short(block)) for line, block in zip(lines, (pair.left, pair.right), strict=True)]
    return go.Scatter(
        x=[line.x[place] for line, place in zip(lines, places, strict=True)],
        y=[line.y[place] for line, place in zip(lines, places, strict=True)],
        mode="markers",
        marker={"symbol": "circle-open", "size": 16, "color": theme.text, "line": {"width": 2}},
        hoverinfo="skip",
    )


def _depth_axis(comparison: Comparison, line: go.Scatter) -> dict[str, Any]:
    if comparison.aligned_by == "relative depth":
        return {"range": [0, 1], "title": "relative depth, 0 = image, 1 = classes"}
    every = math.ceil(len(line.x) / 14)
    return {"type": "category", "tickvals": line.x[::every], "tickangle": 0, "title": "block"}


def _span(lines: list[go.Scatter]) -> tuple[float, float]:
    """The y axis: from 0, or from below the smallest value, to above the largest."""
    known = [value for line in lines for value in line.y if not math.isnan(value)]
    low, high = min(0.0, *known), max(0.0, *known)
    room = 0.06 * (high - low) or 1.0
    return (low - room if low < 0 else 0.0), high + room


def _labels(lines: list[go.Scatter], span: tuple[float, float], theme: Theme) -> Iterator[dict[str, Any]]:
    """Each line's name at its end, moved apart where the ends meet."""
    pixels = (HEIGHT - TOP - BOTTOM) / (span[1] - span[0])
    left, right = (next((value for value in reversed(line.y) if not math.isnan(value)), 0.0) for line in lines)
    apart = pixels * (left - right)
    push = max(0.0, LABEL_HEIGHT - abs(apart)) / 2 * (1 if apart >= 0 else -1)
    for line, value, shift in zip(lines, (left, right), (push, -push), strict=True):
        yield {
            # A category axis would read a block's name as a number.
            "x": len(line.x) - 1 if isinstance(line.x[-1], str) else line.x[-1],
            "y": value,
            "text": line.name if len(line.name) <= LONGEST_LABEL else f"{line.name[: LONGEST_LABEL - 1]}…",
            "font": {"color": theme.text, "size": 14},
            "xanchor": "left",
            "xshift": 14,
            "yshift": shift,
            "showarrow": False,
        }


def _finding(comparison: Comparison, measure: MapMeasure) -> str:
    values = [
        (value_of(comparison.left.block(pair.left), measure), value_of(comparison.right.block(pair.right), measure))
        for pair in comparison.pairs
    ]
    more, fewer = sum(left > right for left, right in values), sum(left < right for left, right in values)
    subject, rows = WORDS[measure].subject, "blocks" if comparison.aligned_by == "name" else "pairs of blocks"
    if not more and not fewer:
        return f"{subject} is the same on both sides in all {len(values)} {rows}"
    names = comparison.left_name, comparison.right_name
    larger, smaller = names if more >= fewer else names[::-1]
    return f"{subject} is larger for {larger} than for {smaller} in {max(more, fewer)} of {len(values)} {rows}"


def _reading(comparison: Comparison) -> str:
    return f"Circles are {comparison.left_name}, diamonds {comparison.right_name}; a ring marks the open block."


def _alt(finding: str, lines: list[go.Scatter], measure: MapMeasure) -> str:
    template = STYLES[measure].template
    series = (f"{line.name}: {', '.join(template.format(value) for value in line.y)}" for line in lines)
    return f"{finding}. {WORDS[measure].axis} by block. {'; '.join(series)}."
