"""What a lesson is, and how its controls keep their values in the URL."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import query, results, state
from app.state import Selection

Value = TypeVar("Value", str, int, float)

# What the URL of a lesson holds beside the lesson's own values.
LESSON, PRESENTING, ROUTE = "lesson", "present", "route"


@dataclass(frozen=True)
class Lesson:
    """One question, one thing to do, one thing to see, one sentence computed from what is seen.

    `rows` are those of the source that it shows, "S7"; `do` says in a sentence what to do. `body` draws the controls inside
    `with doing():`, what there is to see below them, and returns the sentence. `elsewhere` names the page where the same is
    seen on any picture, and the changes of the selection that show it there.
    """

    slug: str
    title: str
    question: str
    do: str
    rows: tuple[str, ...]
    sources: str
    body: Callable[[], str]
    page: str = "Inspect"
    elsewhere: tuple[tuple[str, str], ...] = ()


def doing() -> DeltaGenerator:
    """The row in which the lesson's controls stand."""
    return st.container(horizontal=True, vertical_alignment="bottom", key="lesson-doing")


def picture() -> str:
    """The picture that a lesson works on: what the URL says, else the one of the other pages."""
    return query.value("image") or state.selection().image


def model(usual: str = Selection().model) -> str:
    """The network that a lesson works on: what the URL says, where it is in the catalogue."""
    wanted = query.value("model")
    return wanted if wanted is not None and wanted in results.models() else usual


def value(name: str, usual: Value, values: Sequence[Value] | None = None) -> Value:
    """Read one of the lesson's own values from the URL; what cannot be meant is the usual one."""
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
    """Arguments that tie a widget to one of the lesson's own values: its key, and the callback that changes the URL."""
    key = f"lesson_{name}"
    st.session_state[key] = shown
    return {"key": key, "on_change": _changed, "args": (name, key)}


def change(**values: object) -> None:
    """Change values of the lesson from a widget's callback; whoever changes something has done the lesson."""
    for name, given in values.items():
        st.query_params[name] = str(given)
    done().add(st.query_params.get(LESSON, ""))


def done() -> set[str]:
    """The lessons in which this session has done something."""
    found: set[str] = st.session_state.setdefault("lessons_done", set())
    return found


def _changed(name: str, key: str) -> None:
    change(**{name: st.session_state[key]})
