"""Figures on the page: the finding as a heading that wraps, the reading aid under it, the chart with its alternative text."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import plotly.graph_objects as go
import streamlit as st

from resnet_viz.figures.theme import DARK, LIGHT, Theme

Width = Literal["stretch", "content"]

CONFIG = {"displaylogo": False, "displayModeBar": False, "showSendToCloud": False}


def theme() -> Theme:
    """The theme of the person's browser."""
    return DARK if st.context.theme.type == "dark" else LIGHT


def heading(figure: go.Figure, *, level: int = 3) -> None:
    """The figure's finding, and how to read it."""
    with st.container():
        st.markdown(f"{'#' * level} {escape(figure.layout.meta['finding'])}")
        st.caption(escape(figure.layout.meta["how_to_read"]))


def chart(figure: go.Figure, key: str, *, width: Width = "stretch", on_click: Callable[[str], None] | None = None) -> None:
    """The chart without its title, which `heading` shows; `on_click` gets the `customdata` of a point that is clicked."""
    margin = figure.layout.margin.t
    untitled = go.Figure(figure).update_layout(title=None, margin={"t": 4}, height=figure.layout.height - margin + 4)
    options: dict[str, Any] = {"width": width, "theme": None, "config": CONFIG, "alt": figure.layout.meta["alt"], "key": key}
    if on_click is not None:
        options |= {"selection_mode": "points", "on_select": partial(_clicked, key, on_click)}
    with st.container(key=f"scroll-{key}"):
        # Where the window is narrower than the figure's natural width, the chart keeps it and scrolls.
        st.html(f"<style>.st-key-scroll-{key} > .st-key-{key} {{ min-width: {figure.layout.width or 0}px; }}</style>")
        st.plotly_chart(untitled, **options)


def escape(text: str) -> str:
    """Make text plain in Markdown: labels and file names come from outside."""
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]()<>#+-.!|$~:" else letter for letter in text)


def _clicked(key: str, on_click: Callable[[str], None]) -> None:
    points = st.session_state[key].selection.points
    if points:
        data = points[0]["customdata"]
        on_click(str(data[0] if isinstance(data, list) else data))
