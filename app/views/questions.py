"""Questions people ask about residual networks, each with a short answer and the lesson in which one can see it."""

from dataclasses import dataclass

import streamlit as st

from app import show
from app.views.lessons import layout
from app.views.lessons.lesson import LESSON, Lesson
from app.views.lessons.track import TRACK


@dataclass(frozen=True)
class Question:
    """What somebody asked, the answer, and the row of the source that a lesson shows."""

    asked: str
    answer: str
    row: str


QUESTIONS = (
    Question(
        "Is the residual the target minus the input, or the other way round?",
        "Target minus input: it is what must be added to the input to get the target. With the other sign the sum would"
        " go the wrong way, which the lesson shows with the largest error of input + residual.",
        "S2",
    ),
    Question(
        "The residual in statistics is an error. Why is it a good thing here?",
        "It is the same quantity, what one thing lacks to be another: the observed value and the fitted one there, the"
        " target and the input here. A block is given the task to predict it, and what it predicts is added.",
        "S20",
    ),
    Question(
        "Is the signal added, or put beside the other channels?",
        "Added, entry by entry, so that the shape stays what it was and both must have the same one. Putting channels"
        " side by side would make the tensor larger with every block; other networks do that.",
        "S7",
    ),
    Question(
        "Why does the second ReLU come after the addition?",
        "There is no proof that it must. It works, and so do other places: with the ReLU moved into the branch nothing"
        " cuts the shortcut any more, which very deep networks profit from.",
        "S8",
    ),
    Question(
        "What is the residual when a network classifies? There is no input that looks like the answer.",
        "From end to end there is none. Each block has one of its own: its correction F(x) to what the block before"
        " handed on. One can see how large it is, where it points, and what the network would say if it stopped there.",
        "S17",
    ),
    Question(
        "If blocks may do nothing, could one take them out?",
        "For most pictures one block can go and the answer stays; over many pictures each that is gone costs some"
        " accuracy. Without shortcuts the same layers cannot be spared, because the next layer has never seen its input"
        " without them.",
        "S10",
    ),
    Question(
        "Why are the channels doubled when height and width are halved?",
        "Half the height and half the width leave a quarter of the places; twice the channels going in and twice coming"
        " out make four times the work at each. The two cancel, so that every layer costs the same.",
        "S11",
    ),
    Question(
        "How can padding turn 64×64 pixels into 32×32?",
        "It cannot: the stride does. Taking every second pixel halves height and width, and the zeros are padded along"
        " the channels, which the smaller map has too few of.",
        "S13",
    ),
    Question(
        "Does a projection still hand on the input?",
        "Not as it was: it mixes the channels, and with stride 2 it sees only every second pixel. How much of the input"
        " can be computed back from what it hands on is measured in the lesson, beside what zero padding keeps.",
        "S14",
    ),
    Question(
        "Were vanishing gradients not solved by ReLU and batch norm?",
        "Largely, yes, and deep plain networks still train worse than shallow ones: their error is higher on the training"
        " pictures too. The lesson shows both, the errors, and gradients that reach the first layers of the plain network.",
        "S15",
    ),
    Question(
        "Are residual blocks the best way to enlarge pictures?",
        "Not necessarily. A small network that starts from a bicubic enlargement and learns only what it lacks is a"
        " strong rival for its size and time; the lesson trains them side by side.",
        "S19",
    ),
)


def page() -> None:
    """Every question with its answer, and the way to the lesson."""
    st.html(layout.CSS)
    st.markdown("# Questions people ask")
    st.caption("Each answer can be seen in a lesson, on real tensors and on your own picture.")
    left, right = st.columns(2, gap="large")
    half = (len(QUESTIONS) + 1) // 2
    for number, question in enumerate(QUESTIONS):
        with left if number < half else right:
            _question(question)


def lesson_of(row: str) -> Lesson | None:
    """The lesson that shows a row of the source."""
    return next((lesson for lesson in TRACK if row in lesson.rows), None)


def _question(question: Question) -> None:
    st.markdown(f"##### {show.escape(question.asked)}")
    lesson = lesson_of(question.row)
    st.markdown(show.escape(question.answer))
    if lesson is not None:
        st.page_link(
            st.session_state["pages"]["Learn"],
            label=f"See it: {show.escape(lesson.title)}",
            icon=":material/arrow_forward:",
            query_params={LESSON: lesson.slug},
        )
