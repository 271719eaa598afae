"""Charts in rows and columns on one figure.

Plotly's `make_subplots`, and updates of its figures, do bookkeeping for interactive widgets: six charts take 100 ms with them,
and 10 ms if traces and layout name their axes themselves and each part of the layout is set once, as a whole
(`overwrite=True`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resnet_viz.figures.theme import Theme

Domain = tuple[float, float]

# A figure with fewer pixels than this across puts its images one below the other.
STACKED = 640


@dataclass(frozen=True)
class Cell:
    """A chart's position, as shares of the figure; `number` is the suffix of Plotly's axis names, empty for the first."""

    number: str
    across: Domain
    up: Domain

    @property
    def axes(self) -> dict[str, str]:
        """The arguments for a trace in this cell."""
        return {"xaxis": f"x{self.number}", "yaxis": f"y{self.number}"}

    @property
    def references(self) -> dict[str, str]:
        """The arguments for an annotation in this cell's coordinates."""
        return {"xref": f"x{self.number}", "yref": f"y{self.number}"}

    def layout(self, x: Mapping[str, Any], y: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """The cell's part of the figure's layout: its axes and their appearance."""
        return {
            f"xaxis{self.number}": {"anchor": f"y{self.number}", "domain": self.across, **x},
            f"yaxis{self.number}": {"anchor": f"x{self.number}", "domain": self.up, **y},
        }

    def title(self, text: str, theme: Theme) -> dict[str, Any]:
        """An annotation above the cell."""
        return {
            "text": text,
            "font": {"size": 14, "color": theme.text},
            "x": sum(self.across) / 2,
            "y": self.up[1],
            "xref": "paper",
            "yref": "paper",
            "xanchor": "center",
            "yanchor": "bottom",
            "showarrow": False,
        }

    def upright(self, x: float, theme: Theme) -> dict[str, Any]:
        """A dotted line from the cell's bottom to its top, as a shape."""
        line = {"color": theme.muted, "width": 1, "dash": "dot"}
        place = {"x0": x, "x1": x, "y0": 0, "y1": 1, "xref": f"x{self.number}", "yref": f"y{self.number} domain"}
        return {"type": "line", "line": line, **place}


def cells(widths: Sequence[float], rows: int = 1, gap: float = 0.0, row_gap: float = 0.0) -> list[Cell]:
    """Return cells row by row from the upper left; columns share the space between the gaps in proportion to their `widths`."""
    room = (1 - gap * (len(widths) - 1)) / sum(widths)
    height = (1 - row_gap * (rows - 1)) / rows
    found: list[Cell] = []
    for row in range(rows):
        top, left = 1 - row * (height + row_gap), 0.0
        for width in widths:
            number = str(len(found) + 1) if found else ""
            found.append(Cell(number, (left, left + width * room), (max(0.0, top - height), top)))
            left += width * room + gap
    return found
