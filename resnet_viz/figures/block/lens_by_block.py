"""What the network would predict if it stopped after each block, as lines under the block map, in the columns of its blocks.

x is that of the block map, in pixels of its natural size; y is the probability, from 0 to 1.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import plotly.graph_objects as go

from resnet_viz.analyses.inspection import Inspection
from resnet_viz.analyses.logit_lens import Lens
from resnet_viz.figures.block.chain_layout import LEFT, RIGHT, natural_width, places_of
from resnet_viz.figures.theme import LIGHT, PLAIN, SUM, Theme, finish, plain, short

LINES = 4
HEIGHT, TOP, BOTTOM = 104, 24, 4
SYMBOLS = ("circle", "square", "diamond", "x")
STEM = LEFT * 0.6
# The minimum distance of the names at the right end, as a share of the height of the chart.
APART = 0.2
HOW_TO_READ = (
    "Each point is the probability of a class if all later residual branches were left out, so that the block's output went"
    " along the shortcuts to the end."
)


def lens_by_block(inspection: Inspection, lens: Lens, theme: Theme = LIGHT) -> go.Figure:
    """Draw the leading classes and the most probable ones at the end; ValueError if the blocks differ from those of the map."""
    places = places_of(inspection)
    if lens.places[1:] != tuple(place.block.name for place in places):
        raise ValueError(f"the classes were decoded after the blocks of {lens.title}, and the map is of {inspection.title}")
    shares, lines = lens.probabilities, lens.lines(LINES)
    width = natural_width(places)
    xs = [STEM, *(place.centre for place in places)]
    names = ["the stem", *(f"block {short(place.block.name)}" for place in places)]
    fig = go.Figure([_line(lens, shares[:, index], number, xs, names) for number, index in reversed(list(enumerate(lines)))])
    ends = [float(shares[-1, index]) for index in lines]
    fig.update_layout(
        xaxis={"range": [0, width], "visible": False},
        yaxis={"range": [-0.06, 1.06], "visible": False},
        shapes=list(_grid(width, theme)),
        annotations=[*_names(lens, lines, ends, width, theme), *_ticks(theme)],
        showlegend=False,
        width=width,
        height=TOP + HEIGHT + BOTTOM,
        margin={"l": 0, "r": 0, "t": TOP, "b": BOTTOM},
        overwrite=True,
    )
    finding = f"If the network stopped here: {_settling(lens)}"
    spoken = ", ".join(
        f"after {name} {lens.labels[index]} {float(row[index]):.0%}"
        for name, row, index in zip(names, shares, lens.leaders, strict=True)
    )
    return finish(fig, theme, finding=finding, how_to_read=HOW_TO_READ, alt=f"{finding}. Most probable class {spoken}.")


def _settling(lens: Lens) -> str:
    label, at_end = lens.labels[lens.leaders[-1]], float(lens.probabilities[-1, lens.leaders[-1]])
    since = "leads from the stem on" if lens.settled == lens.places[0] else f"leads from block {short(lens.settled)} on"
    return f"{label} {since}, {at_end:.0%} at the end"


def _line(lens: Lens, values: Any, number: int, xs: Sequence[float], names: Sequence[str]) -> go.Scatter:  # noqa: ANN401 - numbers
    answer, label = number == 0, plain(lens.labels[lens.lines(LINES)[number]])
    return go.Scatter(
        x=list(xs),
        y=[float(value) for value in values],
        mode="lines+markers",
        name=label,
        line={"color": SUM if answer else PLAIN, "width": 4 if answer else 2, "dash": "solid" if answer else "dot"},
        marker={"size": 8 if answer else 6, "symbol": SYMBOLS[number]},
        customdata=list(names),
        hovertemplate=f"{label}<br>after %{{customdata}}: %{{y:.1%}}<extra></extra>",
    )


def _grid(width: int, theme: Theme) -> Iterator[dict[str, Any]]:
    for height in (0, 0.5, 1):
        line = {"color": theme.line, "width": 1}
        yield {"type": "line", "x0": 8, "x1": width - RIGHT, "y0": height, "y1": height, "line": line, "layer": "below"}


def _ticks(theme: Theme) -> Iterator[dict[str, Any]]:
    for height in (0, 0.5, 1):
        text, font = f"{height:.0%}", {"color": theme.muted, "size": 11}
        place = {"x": 8, "y": height, "xanchor": "left", "yanchor": "top" if height == 1 else "bottom"}
        yield {"text": text, "showarrow": False, "font": font, **place}


def _names(lens: Lens, lines: Sequence[int], ends: Sequence[float], width: int, theme: Theme) -> Iterator[dict[str, Any]]:
    """The name of each line at its right end, moved up or down if necessary."""
    order = sorted(range(len(lines)), key=lambda number: ends[number])
    heights = spread([ends[number] for number in order], APART)
    for number, height in zip(order, heights, strict=True):
        label = lens.labels[lines[number]]
        text = plain(label if len(label) < 16 else f"{label[:14]}…")
        font = {"color": theme.text if number == 0 else theme.muted, "size": 12}
        bold = f"<b>{text}</b>" if number == 0 else text
        place = {"x": width - RIGHT + 14, "y": height, "xanchor": "left", "yanchor": "middle"}
        yield {"text": f"{bold} {ends[number]:.0%}", "showarrow": False, "font": font, **place}


def spread(values: Sequence[float], apart: float) -> list[float]:
    """Move ascending values up until each is `apart` from the one before, then all down if the last exceeds 1."""
    placed: list[float] = []
    for value in values:
        placed.append(max(value, placed[-1] + apart) if placed else value)
    over = max(0.0, placed[-1] - 1) if placed else 0.0
    return [max(value - over, number * apart) for number, value in enumerate(placed)]
