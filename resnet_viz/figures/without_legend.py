"""A figure without its legend, for a page on which the chart scrolls and the legend has to stay in view."""

from collections.abc import Iterator

import plotly.graph_objects as go


def without_legend(figure: go.Figure) -> go.Figure:
    """Take the legend and the bottom margin that holds it away, in place, and keep its entries in `meta`.

    Each entry of `meta["legend"]` has the `name` and `colour` of a trace, and the `width` and `dash` of its line; the width is
    0 for markers.
    """
    layout = figure.layout
    meta = layout.meta | {"legend": list(_entries(figure))}
    return figure.update_layout(showlegend=False, meta=meta, height=layout.height - layout.margin.b, margin={"b": 0})


def _entries(figure: go.Figure) -> Iterator[dict[str, object]]:
    for trace in figure.data:
        if trace.showlegend is False:
            continue
        line, marked = trace.line, trace.mode == "markers"
        yield {
            "name": trace.name,
            "colour": trace.marker.color if marked else line.color,
            "width": 0 if marked else line.width,
            "dash": line.dash or "solid",
        }
