"""A figure without its title, for a page that has the finding as a heading above it."""

import plotly.graph_objects as go

# The remaining top margin in pixels without the title.
EDGE, PANEL_TITLES = 4, (30, 46)


def untitled(figure: go.Figure) -> go.Figure:
    """Take the title and its space away, in place; titles above panels keep theirs. Returns the same figure."""
    layout = figure.layout
    if layout.margin.t is None or layout.height is None:
        return figure.update_layout(title=None)
    spare = layout.margin.t - _panel_titles(figure)
    return figure.update_layout(title=None, margin={"t": layout.margin.t - spare}, height=layout.height - spare)


def _panel_titles(figure: go.Figure) -> int:
    """The height in pixels of titles above panels, with one line or two."""
    titles = [note.text for note in figure.layout.annotations if note.yref == "paper" and note.y is not None and note.y >= 1]
    if not titles:
        return EDGE
    return PANEL_TITLES[1] if any("<br>" in title for title in titles) else PANEL_TITLES[0]
