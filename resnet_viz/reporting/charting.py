"""Charts that stand for themselves in a report, for example those of a lesson: their numbers are read from the figures."""

from collections.abc import Callable

import pandas as pd
import plotly.graph_objects as go

from resnet_viz.reporting.pieces import Piece, ReportNumbers


def of_chart(name: str, draw: Callable[[], go.Figure], numbers: ReportNumbers | None = None) -> Piece:
    """Describe a chart. Its numbers are those of its lines and bars, unless others are given; its title comes from its name."""
    title = name.replace("-", " ").capitalize()
    if numbers is None:
        return Piece(name, title, draw, lambda: plotted(draw()))
    return Piece(name, title, draw, lambda: numbers, "CSV" if isinstance(numbers, pd.DataFrame) else "NPZ")


def plotted(figure: go.Figure) -> pd.DataFrame:
    """Return the points of the lines and bars of a figure, one row each, by the names of these series.

    The columns are named by the titles of the axes. A figure of several panels numbers them in the column `panel`. Where some
    series have names, the others are marks and labels, and left out.
    """
    drawn = [trace for trace in figure.data if trace.name] or list(figure.data)
    panels = sorted({trace.xaxis or "x" for trace in drawn})
    return pd.concat([_points(figure, trace, panels) for trace in drawn]).set_index("series")


def _points(figure: go.Figure, trace: go.Scatter | go.Bar, panels: list[str]) -> pd.DataFrame:
    layout = figure.layout
    x, y = (trace[axis] or axis[0] for axis in ("xaxis", "yaxis"))
    across, up = (layout[f"{axis[0]}axis{axis[1:]}"].title.text or axis[0] for axis in (x, y))
    columns = {"series": trace.name or ""} | ({"panel": panels.index(x) + 1} if len(panels) > 1 else {})
    whiskers = {}
    if trace.error_y.array is not None:
        above, below = trace.error_y.array, trace.error_y.arrayminus
        whiskers = {"whisker above": above, "whisker below": above if below is None else below}
    return pd.DataFrame({**columns, across: trace.x, up: trace.y, **whiskers})
