"""Common questions about residual networks, each with a short answer and a lesson that shows it."""

from dataclasses import dataclass

import streamlit as st

from app import show
from app.views.lessons import layout
from app.views.lessons.lesson import LESSON, Lesson
from app.views.lessons.track import TRACK


@dataclass(frozen=True)
class Question:
    """A question, its answer, and the experiment of the source material that a lesson shows."""

    asked: str
    answer: str
    row: str


QUESTIONS = (
    Question(
        "Is the residual the target minus the input, or the input minus the target?",
        "Target minus input: the residual is what must be added to the input to get the target. With the opposite sign, the "
        "sum is not the target; the lesson shows the largest error of input + residual.",
        "S2",
    ),
    Question(
        "In statistics, a residual is an error. Why is it useful here?",
        "It is the same quantity: the observed value minus the fitted one in statistics, the target minus the input here. A "
        "residual block learns to predict this difference, and adds its prediction to the input.",
        "S20",
    ),
    Question(
        "Is the signal added to the channels, or concatenated with them?",
        "It is added element by element. Both tensors must have the same shape, and the sum has that shape too. A "
        "concatenation would make the tensor larger with every block; other networks, such as DenseNet, do that.",
        "S7",
    ),
    Question(
        "Why does the second ReLU come after the addition?",
        "It does not have to. This position works well, and so do others. If the ReLU is moved into the residual branch, "
        "nothing acts on the shortcut any more, which helps very deep networks.",
        "S8",
    ),
    Question(
        "What is the residual when a network classifies? No input looks like a class.",
        "The network as a whole has no residual. Each block has one: its correction F(x) to the output of the previous "
        "block. The lesson shows how large it is, in which direction it points, and what the network would predict without "
        "the later blocks.",
        "S17",
    ),
    Question(
        "If a block may do nothing, can it be removed?",
        "For most images, one block can be removed and the prediction stays the same; over many images, each removed block "
        "costs some accuracy. In a plain network, layers cannot be removed in this way, because the next layer was never "
        "trained on an input without them.",
        "S10",
    ),
    Question(
        "Why are the channels doubled when height and width are halved?",
        "Half the height and half the width leave a quarter of the positions. Twice the input channels and twice the output "
        "channels require four times the work at each position. The two cancel, so every layer costs the same.",
        "S11",
    ),
    Question(
        "How can padding turn 64×64 pixels into 32×32?",
        "It cannot; the stride does. Taking every second pixel halves height and width. The zeros are padded along the "
        "channels, because the next stage has twice as many.",
        "S13",
    ),
    Question(
        "Does a projection preserve the input?",
        "Not exactly: it mixes the channels, and with stride 2 it uses only every second pixel. The lesson measures how much "
        "of the input can be recovered from its output, and compares it with zero padding.",
        "S14",
    ),
    Question(
        "Did ReLU and batch norm not solve vanishing gradients?",
        "They largely did, and still deep plain networks train worse than shallow ones: even their training error is higher. "
        "The lesson shows both the errors and the gradients, which do reach the first layers of the plain network.",
        "S15",
    ),
    Question(
        "Are residual blocks the best way to enlarge images?",
        "Not necessarily. A small network that starts from a bicubic enlargement and learns only the missing detail does "
        "well for its size and training time. The lesson trains several networks side by side.",
        "S19",
    ),
)


def page() -> None:
    """Every question with its answer, and the way to the lesson."""
    st.html(layout.CSS)
    st.markdown("# Questions people ask")
    st.caption("A lesson shows each answer on real tensors and on your own image.")
    left, right = st.columns(2, gap="large")
    half = (len(QUESTIONS) + 1) // 2
    for number, question in enumerate(QUESTIONS):
        with left if number < half else right:
            _question(question)


def lesson_of(row: str) -> Lesson | None:
    """The lesson that shows an experiment of the source material."""
    return next((lesson for lesson in TRACK if row in lesson.rows), None)


def _question(question: Question) -> None:
    st.markdown(f"##### {show.escape(question.asked)}")
    lesson = lesson_of(question.row)
    st.markdown(show.escape(question.answer))
    if lesson is not None:
        st.page_link(
            st.session_state["pages"]["Learn"],
            label=f"Open the lesson: {show.escape(lesson.title)}",
            icon=":material/arrow_forward:",
            query_params={LESSON: lesson.slug},
        )
