"""Figures on the page: the finding as a heading that wraps, the reading aid under it, the chart with its alternative text."""

import html
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import plotly.graph_objects as go
import streamlit as st
from PIL import Image

from resnet_viz.figures.data_urls import data_url
from resnet_viz.figures.theme import DARK, LIGHT, Theme
from resnet_viz.nets.labels import visible

Width = Literal["stretch", "content"]

# The rest of the top margin in pixels without the title.
EDGE, PANEL_TITLES = 4, (30, 46)

CONFIG = {"displaylogo": False, "displayModeBar": False, "showSendToCloud": False}

# The chart is drawn after this script runs, so the script waits for it, for two seconds at most.
SCROLL = """<script>
(function scroll(left) {{
  const box = document.querySelector(".st-key-scroll-{key}");
  if (box && box.scrollWidth > box.clientWidth) box.scrollTo({{left: {focus} * box.scrollWidth - box.clientWidth / 2}});
  else if (left) setTimeout(scroll, 100, left - 1);
}})(20);
</script>"""


def theme() -> Theme:
    """The theme of the person's browser."""
    return DARK if st.context.theme.type == "dark" else LIGHT


def product(facts: str) -> None:
    """The product's name, and below it the subject of the page, as plain text."""
    st.html(f"<h1 class='product'>ResNet Viz</h1><p class='model'>{html.escape(visible(facts))}</p>")


def facts(rows: Mapping[str, str]) -> None:
    """Names and values in two columns, as plain text."""
    cells = "".join(
        f"<dt>{html.escape(visible(name))}</dt><dd>{html.escape(visible(value))}</dd>" for name, value in rows.items()
    )
    st.html(f"<dl class='facts'>{cells}</dl>")


def facts_in_line(about: str, rows: Mapping[str, str]) -> None:
    """What the facts are about, and names above their values, side by side as space permits, as plain text."""
    cells = "".join(f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>" for name, value in rows.items())
    st.html(f"<p class='facts-about'>{html.escape(about)}</p><dl class='facts facts-in-line'>{cells}</dl>")


def heading(figure: go.Figure, *, level: int = 3) -> None:
    """The figure's finding, and how to read it."""
    with st.container():
        st.markdown(f"{'#' * level} {escape(figure.layout.meta['finding'])}")
        st.caption(escape(figure.layout.meta["how_to_read"]))


def chart(
    figure: go.Figure,
    key: str,
    *,
    width: Width = "stretch",
    least: int | None = None,
    on_click: Callable[[str], None] | None = None,
) -> None:
    """The chart without its title, which `heading` shows; `on_click` is called with the `customdata` of the clicked point.

    If the window is narrower than the figure's natural width, the chart keeps its width and scrolls to `meta["focus"]`, if set:
    a position from 0 (left end) to 1 (right end). With `least`, it is never wider than the natural width, and shrinks to
    `least` pixels before it scrolls.
    """
    layout = figure.layout
    spare = layout.margin.t - _panel_titles(figure)
    layout.title, layout.margin.t, layout.height = None, layout.margin.t - spare, layout.height - spare
    options: dict[str, Any] = {"width": width, "theme": None, "config": CONFIG, "alt": figure.layout.meta["alt"], "key": key}
    if on_click is not None:
        options |= {"selection_mode": "points", "on_select": partial(_clicked, key, on_click)}
    with st.container(key=f"scroll-{key}"):
        natural = figure.layout.width or 0
        most = "" if least is None else f"max-width: {natural}px;"
        place = f".st-key-scroll-{key} > .st-key-{key}"
        st.html(f"<style>{place} {{ min-width: {natural if least is None else min(least, natural)}px; {most} }}</style>")
        st.plotly_chart(figure, **options)
    if "focus" in figure.layout.meta:
        st.html(SCROLL.format(key=key, focus=figure.layout.meta["focus"]), unsafe_allow_javascript=True)


def picture(image: Image.Image, alt: str, key: str, side: int) -> None:
    """An image `side` pixels wide without a chart around it, for immediate display before it is replaced."""
    source, style = data_url(image, "JPEG"), "image-rendering: pixelated; max-width: 100%"
    with st.container(key=key):
        st.html(f"<img src='{source}' alt='{html.escape(alt)}' width='{side}' style='{style}'>")


def photo(url: str, alt: str, side: int, *, pixelated: bool = False) -> None:
    """A photo without a chart around it, at most `side` pixels wide; `pixelated` shows few pixels as squares."""
    style = f"display:block;width:100%;max-width:{side}px" + (";image-rendering:pixelated" if pixelated else "")
    st.html(f"<img src='{url}' alt='{html.escape(alt)}' style='{style}'>")


def escape(text: str) -> str:
    """Escape text for Markdown: labels and file names come from outside."""
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]()<>#+-.!|$~:" else letter for letter in visible(text))


def _panel_titles(figure: go.Figure) -> int:
    """The pixels that titles above panels need, for one line or two."""
    titles = [note.text for note in figure.layout.annotations if note.yref == "paper" and note.y is not None and note.y >= 1]
    if not titles:
        return EDGE
    return PANEL_TITLES[1] if any("<br>" in title for title in titles) else PANEL_TITLES[0]


def _clicked(key: str, on_click: Callable[[str], None]) -> None:
    points = st.session_state[key].selection.points
    if points:
        on_click(str(points[0]["customdata"]))
