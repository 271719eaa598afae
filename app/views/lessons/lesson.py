"""What a lesson is, and how its controls keep their values in the URL."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import query, results, show, state
from app.state import Selection
from app.views.view_code import Script
from resnet_viz.reporting.pieces import ReportNumbers

Value = TypeVar("Value", str, int, float)

# The keys that the URL of a lesson has in addition to the lesson's own values.
LESSON, PRESENTING, ROUTE = "lesson", "present", "route"
DONE_COOKIE, YEAR = "resnet_viz_lessons", 365 * 24 * 3600
# Another tab may have added to the cookie since this session read it.
REMEMBER = """<script>{
  const kept = document.cookie.match(/(?:^|; )%s=([^;]+)/)?.[1].split(".") ?? [];
  const done = [...new Set([...kept, ...%s])].join(".");
  document.cookie = "%s=" + done + "; path=/; max-age=%d; samesite=lax";
}</script>"""


# Changes of the selection that open the same on another page: fields and values.
Elsewhere = tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class Finding:
    """What a lesson shows: a sentence, its charts by name, drawn in a `theme`, and the Python that makes them.

    `numbers` are those of charts that are more than lines and bars. `elsewhere` stands in for that of the lesson where what is
    shown has networks of its own.
    """

    sentence: str
    charts: Mapping[str, Callable[..., go.Figure]]
    script: Script
    numbers: Mapping[str, ReportNumbers] = field(default_factory=dict)
    elsewhere: Elsewhere | None = None


@dataclass(frozen=True)
class Lesson:
    """One question, one thing to do, one thing to see, one sentence computed from the figures.

    `rows` are the experiments of the source material that it covers, for example "S7"; `do` tells the reader what to do. `body`
    draws the controls inside `with doing():` and the figures below them, and returns what was found, or a sentence while there
    is nothing. `elsewhere` names the page that shows the same for any image, and the changes of the selection that open it
    there.
    """

    slug: str
    title: str
    question: str
    do: str
    rows: tuple[str, ...]
    sources: str
    body: Callable[[], Finding | str]
    page: str = "Inspect"
    elsewhere: Elsewhere = ()


def doing() -> DeltaGenerator:
    """The row of the lesson's controls."""
    return st.container(horizontal=True, vertical_alignment="bottom", key="lesson-doing")


def chart(charts: Mapping[str, Callable[..., go.Figure]], name: str, *, level: int = 5, width: show.Width = "stretch") -> None:
    """One of a lesson's charts, under its heading."""
    figure = charts[name](theme=show.theme())
    show.heading(figure, level=level)
    show.chart(figure, name, width=width)


def picture() -> str:
    """The image of a lesson: from the URL, or else the one of the other pages."""
    return query.value("image") or state.selection().image


def model(usual: str = Selection().model) -> str:
    """The network of a lesson: from the URL, if it is in the catalogue."""
    wanted = query.value("model")
    return wanted if wanted is not None and wanted in results.models() else usual


def value(name: str, usual: Value, values: Sequence[Value] | None = None) -> Value:
    """Read one of the lesson's own values from the URL; an invalid value gives the default."""
    text = query.value(name)
    if text is None:
        return usual
    try:
        found = type(usual)(text)
    except ValueError:
        return usual
    if isinstance(found, float) and not math.isfinite(found):
        return usual
    return usual if values is not None and found not in values else found


def bound(name: str, shown: object) -> dict[str, Any]:
    """Arguments that connect a widget to one of the lesson's own values: its key, and the callback that changes the URL."""
    key = f"lesson_{name}"
    st.session_state[key] = shown
    return {"key": key, "on_change": _changed, "args": (name, key)}


def change(**values: object) -> None:
    """Change values of the lesson from a widget's callback; a lesson in which something was changed counts as done."""
    for name, given in values.items():
        st.query_params[name] = str(given)
    done().add(st.query_params.get(LESSON, ""))


def done() -> set[str]:
    """The lessons in which something was changed, in this session or before in this browser, which keeps them in a cookie."""
    if "lessons_done" not in st.session_state:
        st.session_state["lessons_done"] = _kept()
    found: set[str] = st.session_state["lessons_done"]
    return found


def remember_done(slugs: Iterable[str]) -> None:
    """Have the browser keep the lessons that are done, for a year, beside those that it keeps already."""
    news = [slug for slug in slugs if slug in done() - _kept()]
    if news:
        st.html(REMEMBER % (DONE_COOKIE, json.dumps(news), DONE_COOKIE, YEAR), unsafe_allow_javascript=True)


def _kept() -> set[str]:
    """The lessons that the browser kept when this session started."""
    return set(st.context.cookies.get(DONE_COOKIE, "").split(".")) - {""}


def _changed(name: str, key: str) -> None:
    change(**{name: st.session_state[key]})
