"""Figures on the page: the finding as a heading that wraps, the reading aid under it, the chart with its alternative text."""

import html
from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any, Literal

import plotly.graph_objects as go
import streamlit as st
from PIL import Image
from streamlit.delta_generator import DeltaGenerator

from app.charts import Chart
from resnet_viz.figures.data_urls import data_url
from resnet_viz.figures.theme import DARK, LIGHT, Theme, with_minus
from resnet_viz.nets.labels import visible

Width = Literal["stretch", "content"]

# A camera over a chart that is pointed at saves it as a PNG.
CONFIG = {"displaylogo": False, "showSendToCloud": False, "modeBarButtons": [["toImage"]]}

# The chart is drawn after this script runs, so the script waits for it, for two seconds at most.
SCROLL = """<script>
(function scroll(left) {{
  const box = document.querySelector(".st-key-scroll-{key}");
  if (box && box.scrollWidth > box.clientWidth) box.scrollTo({{left: {focus} * box.scrollWidth - box.clientWidth / 2}});
  else if (left) setTimeout(scroll, 100, left - 1);
}})(20);
</script>"""


def theme() -> Theme:
    """The theme of the user's browser."""
    return DARK if st.context.theme.type == "dark" else LIGHT


def product(facts: str) -> None:
    """The product's name, and below it the subject of the page, as plain text."""
    st.html(f"<h1 class='product'>ResNet Viz</h1><p class='model'>{html.escape(visible(facts))}</p>")


def skip_link(text: str, key: str) -> None:
    """A link to the `skip_target` of that key for keyboard users, visible while it has the focus."""
    st.html(f"<a class='skip' href='#to-{key}'>{html.escape(text)}</a>")


def skip_target(key: str) -> None:
    """The target of a skip link."""
    st.html(f"<span class='skipped-to' id='to-{key}' tabindex='-1'></span>")


def facts(rows: Mapping[str, str]) -> None:
    """Names and values in two columns, as plain text."""
    cells = "".join(
        f"<dt>{html.escape(visible(name))}</dt><dd>{html.escape(visible(value))}</dd>" for name, value in rows.items()
    )
    st.html(f"<dl class='facts'>{cells}</dl>")


def facts_in_line(about: str, rows: Mapping[str, str]) -> None:
    """A line that says what the facts are about, and names above their values, side by side if space permits, as plain text."""
    cells = "".join(f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>" for name, value in rows.items())
    st.html(f"<p class='facts-about'>{html.escape(about)}</p><dl class='facts facts-in-line'>{cells}</dl>")


def heading(figure: go.Figure | Chart, *, level: int = 3) -> None:
    """The figure's finding, and how to read it."""
    meta = figure if isinstance(figure, Chart) else SimpleNamespace(**figure.layout.meta)
    with st.container():
        st.markdown(f"{'#' * level} {escape(meta.finding)}")
        st.caption(escape(meta.how_to_read))


def legend(*figures: Chart) -> None:
    """The entries of several charts without a legend of their own, each once, in lines that wrap."""
    entries = {entry["name"]: entry for figure in figures for entry in figure.legend}
    items = "".join(f"<span>{_symbol(entry)}{html.escape(visible(name))}</span>" for name, entry in entries.items())
    st.html(f"<p class='legend'>{items}</p>")


def chart(
    figure: go.Figure | Chart,
    key: str,
    *,
    width: Width = "stretch",
    least: int | None = None,
    narrowest: int | None = None,
    on_click: Callable[[str], None] | None = None,
    over: Callable[[], None] | None = None,
    focus: float | None = None,
) -> DeltaGenerator:
    """The chart without its title, which `heading` shows; `on_click` is called with the `customdata` of the clicked point.

    If the window is narrower than the figure's natural width, the chart keeps its width and scrolls to `focus`, or to the
    figure's own focus: a position from 0 (left end) to 1 (right end). With `least`, it is never wider than the natural width,
    and shrinks to `least` pixels before it scrolls; with `narrowest`, it only shrinks to so many pixels. `over` draws what lies
    over the chart and scrolls with it. Returns the box that scrolls, for what stands `under` the chart.
    """
    drawn = figure if isinstance(figure, Chart) else Chart.of(figure)
    options: dict[str, Any] = {"width": width, "theme": None, "config": config(key), "alt": drawn.alt, "key": key}
    if on_click is not None:
        options |= {"selection_mode": "points", "on_select": partial(_clicked, key, on_click)}
    box = st.container(key=f"scroll-{key}")
    with box:
        _width(key, key, drawn, least, narrowest)
        st.plotly_chart(drawn.drawn, **options)
        if over is not None:
            with st.container(key=f"over-{key}"):
                over()
    at = drawn.focus if focus is None else focus
    if at is not None:
        st.html(SCROLL.format(key=key, focus=at), unsafe_allow_javascript=True)
    return box


def under(box: DeltaGenerator, above: str, figure: Chart, key: str) -> None:
    """Another chart in the same box, which scrolls with the chart `above`; its finding is in the chart itself."""
    with box:
        _width(above, key, figure, None)
        st.plotly_chart(figure.drawn, width="stretch", theme=None, config=config(key), alt=figure.alt, key=key)


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
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]()<>#+-.!|$~:" else letter for letter in visible(with_minus(text)))


def config(name: str) -> dict[str, Any]:
    """Plotly's settings of a chart; `name` is that of the file that the camera saves."""
    return CONFIG | {"toImageButtonOptions": {"format": "png", "filename": name, "scale": 2}}


def _symbol(entry: Mapping[str, Any]) -> str:
    """A piece of the line, or the ring."""
    if not entry["width"]:
        return f"<i class='ring' style='border-color:{entry['colour']}'></i>"
    kind = "solid" if entry["dash"] == "solid" else "dashed"
    return f"<i style='border-top:{entry['width']}px {kind} {entry['colour']}'></i>"


def _width(box: str, key: str, drawn: Chart, least: int | None, shrinks_to: int | None = None) -> None:
    """The minimum and maximum width of a chart in its box."""
    most = "" if least is None else f"max-width: {drawn.natural}px;"
    narrowest = min(each for each in (drawn.natural, least, shrinks_to) if each is not None)
    st.html(f"<style>.st-key-scroll-{box} > .st-key-{key} {{ min-width: {narrowest}px; {most} }}</style>")


def _clicked(key: str, on_click: Callable[[str], None]) -> None:
    points = st.session_state[key].selection.points
    if points:
        on_click(str(points[0]["customdata"]))
