"""Logarithmic axes with whole numbers as labels, and named lines across them.

Plotly's own axes label the digits "2" and "5" between powers of ten.
"""

import math
from collections.abc import Iterable
from typing import Any

import plotly.graph_objects as go

from resnet_viz.figures.theme import Theme

# Over this many powers of ten, labels at the powers alone are enough.
MOST_DECADES = 3


def log_axis(values: Iterable[float]) -> dict[str, Any]:
    """Return an axis's settings for values, of which only positive finite ones count: its type and its labels.

    Up to three decades get labels at 1, 2 and 5 times each power of ten; more decades get them at powers of ten, about ten at
    most.
    """
    known = [math.log10(value) for value in values if math.isfinite(value) and value > 0]
    if not known:
        return {"type": "log"}
    low, high = math.floor(min(known)), math.ceil(max(known))
    every = math.ceil(max(1, high - low) / 10)
    steps = (1, 2, 5) if high - low <= MOST_DECADES else (1,)
    ticks = [step * 10.0**power for power in range(low, high + 1, every) for step in steps]
    return {"type": "log", "tickvals": ticks, "ticktext": [_written(tick) for tick in ticks]}


def mark_level(fig: go.Figure, value: float, text: str, theme: Theme, dash: str = "solid") -> None:
    """Draw a named line across a figure at a value of its logarithmic y axis."""
    fig.add_hline(y=value, line={"color": theme.muted, "width": 1, "dash": dash})
    # On a logarithmic axis, the position of an annotation is a power of ten, unlike that of a line.
    place = {"x": 1, "xref": "paper", "xanchor": "right", "y": math.log10(value), "yanchor": "bottom"}
    fig.add_annotation(text=text, showarrow=False, font={"color": theme.muted}, **place)


def _written(tick: float) -> str:
    power = math.floor(math.log10(tick) + 1e-9)
    if -4 < power < 5:
        return f"{tick:,.{max(0, -power)}f}"
    digit = round(tick / 10.0**power)
    return f"{digit}×10<sup>{power}</sup>" if digit > 1 else f"10<sup>{power}</sup>"
