"""A class of 20 minutes: which lessons in which order, how long each takes, and what the speaker says and asks.

The address holds the route, so that the speaker's own device can show the notes while the projector presents.
"""

from dataclasses import dataclass

import streamlit as st

from app import query, show
from app.views.lessons.lesson import LESSON, PRESENTING, ROUTE, Lesson
from app.views.lessons.track import TRACK

CLASS = "class"


@dataclass(frozen=True)
class ClassStop:
    """A lesson of the route by its slug, the minutes that it takes, what to show, and what to ask the class."""

    slug: str
    minutes: int
    show: str
    ask: str


STOPS = (
    ClassStop(
        "adding",
        3,
        "Start with the smallest example: type two short vectors and add them, then concatenate them. The sum keeps the length,"
        " the concatenation does not.",
        "What must be true of two tensors before they can be added?",
    ),
    ClassStop(
        "residual-image",
        3,
        "Show the blurred input, the target, and the residual between them. Flip the sign of the residual and let the class see"
        " the sum go wrong.",
        "If the input is almost the target already, what is left for the network to learn?",
    ),
    ClassStop(
        "block",
        4,
        "Go through one block step by step, from the convolution to the addition and the last ReLU. Stop at the sum: the"
        " printed error of identity + residual is 0.",
        "Which step would you have to change so that the block returns its input unchanged?",
    ),
    ClassStop(
        "chain",
        5,
        "Press Play (or the space bar) and let the signal pass through all blocks without a word. Then play it again and stop"
        " where the predicted class changes.",
        "After which block is the answer settled, and what do the later blocks still do?",
    ),
    ClassStop(
        "degradation",
        4,
        "Compare the error curves of the plain networks with 20 and 56 layers, then switch to the residual networks. The deeper"
        " plain network is worse on its own training set, so overfitting is not the reason.",
        "Would a deeper network have to be worse? What could its extra layers do in the best case?",
    ),
    ClassStop(
        "fewer-blocks",
        1,
        "Close by switching off one block of the trained network: the prediction usually stays. Do the same in the"
        " plain network.",
        "What does that say about how residual networks share their work among blocks?",
    ),
)
MINUTES = sum(stop.minutes for stop in STOPS)


def lessons() -> tuple[Lesson, ...]:
    """The lessons of the route, in its order."""
    by_slug = {lesson.slug: lesson for lesson in TRACK}
    return tuple(by_slug[stop.slug] for stop in STOPS)


def is_on() -> bool:
    """Whether the address asks for the route."""
    return query.value(ROUTE) == CLASS


def overview() -> None:
    """The route on the page of all lessons: its stops with their minutes, and the button that starts it."""
    with st.expander(f"A class of {MINUTES} minutes, with speaker's notes", icon=":material/co_present:"):
        st.caption(
            "Six lessons in an order that tells the whole story. Open the class on your own device to read the notes, and open"
            " the same lesson with Present on the projector."
        )
        for stop, lesson in zip(STOPS, lessons(), strict=True):
            st.markdown(f"**{stop.minutes} min · {show.escape(lesson.title)}.** {show.escape(lesson.question)}")
        st.button("Start the class", icon=":material/play_arrow:", key="start-class", type="primary", on_click=_start)


def notes(lesson: Lesson) -> None:
    """What the speaker says at a lesson of the route."""
    if st.query_params.get(PRESENTING) == "1":
        return
    stop = next((each for each in STOPS if each.slug == lesson.slug), None)
    if stop is None:
        return
    passed = sum(each.minutes for each in STOPS[: STOPS.index(stop)])
    with st.expander(
        f"Speaker's notes · {stop.minutes} min (from minute {passed} to {passed + stop.minutes})",
        expanded=True,
        icon=":material/speaker_notes:",
    ):
        st.markdown(f"**Show.** {show.escape(stop.show)}")
        st.markdown(f"**Ask.** {show.escape(stop.ask)}")


def _start() -> None:
    st.query_params.from_dict({LESSON: STOPS[0].slug, ROUTE: CLASS})
