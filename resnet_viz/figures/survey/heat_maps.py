"""What the matrices of a survey share: the axis of blocks, and a colour bar above the cells, where it fits a narrow window."""

import math
from collections.abc import Sequence
from typing import Any

# Pixels above the cells for the colour bar.
BAR = 40
MOST_TICKS = 18


def block_axis(blocks: Sequence[str]) -> dict[str, Any]:
    """The axis of the blocks, of which at most 18 are named; the names turn where there is no room for them."""
    ticks = blocks[:: math.ceil(len(blocks) / MOST_TICKS)]
    return {"type": "category", "title": "block", "showgrid": False, "tickvals": ticks}


def colour_bar(values: Sequence[float], names: Sequence[str]) -> dict[str, Any]:
    """A colour bar with short names of values, above the first cells: the camera is at the right of the same line."""
    return {
        "orientation": "h",
        "tickvals": list(values),
        "ticktext": list(names),
        "x": 0,
        "xanchor": "left",
        "xpad": 0,
        "y": 1,
        "yanchor": "bottom",
        "ypad": 4,
        "lenmode": "pixels",
        "len": 180,
        "thickness": 10,
    }
