"""The toy x + sin(3x), with and without the skip, while both are learned (S18)."""

from collections.abc import Hashable
from itertools import count
from typing import cast

import streamlit as st

import resnet_viz as rv
from app import results, show, waiting
from app.views.lessons import lesson
from app.views.lessons.lesson import Lesson
from resnet_viz.analyses.activations import Array
from resnet_viz.lessons.toy import STEPS, WIDTHS, ToyFit, moments, of_frames

MOST_SEEDS = 99


def body() -> str:
    """Both fits, at any moment of their training."""
    with lesson.doing():
        width = lesson.value("width", 16, WIDTHS)
        st.segmented_control("Width of both networks", WIDTHS, required=True, **lesson.bound("width", width))
        seed = lesson.value("seed", 0, range(MOST_SEEDS + 1))
        st.number_input("Seed", 0, MOST_SEEDS, width=120, help="Another start for both networks.", **lesson.bound("seed", seed))
        steps = sorted(moments(STEPS))
        moment = lesson.value("step", STEPS, steps)
        st.select_slider("After how many steps", steps, format_func="{:,}".format, width=460, **lesson.bound("step", moment))
    # The fit before must not stay below the progress of this one.
    above, below = st.container(), st.empty()
    with above:
        found = _fit(width, seed)
    if found is None:
        return "Stopped: nothing is learned yet."
    place = steps.index(moment)
    figure = rv.figures.toy_fit(found, place, show.theme())
    with below.container():
        show.heading(figure)
        show.chart(figure, "toy")
    return _sentence(found, place)


def _fit(width: int, seed: int) -> ToyFit | None:
    drawn = count()

    def preview(frames: Array) -> None:
        figure = rv.figures.toy_fit(of_frames(width, STEPS, frames), theme=show.theme())
        show.heading(figure)
        show.chart(figure, f"toy-{next(drawn)}")

    key: Hashable = ("toy", width, seed)
    ask = [lambda: results.practise("toy", "lesson toy", width=width, seed=seed)]
    answers = waiting.long("Both fits, step", key, ask, preview=preview)
    return None if answers is None else cast("ToyFit", answers[0])


def _sentence(found: ToyFit, place: int) -> str:
    without, beside = (float(error[place]) for error in found.errors)
    start = float(found.errors[1][0])
    reached = [(int(found.steps[i]), error) for i, error in enumerate(found.errors[0]) if error <= start]
    catching = f"needs {reached[0][0]:,} steps to get as near as the other starts" if reached else "never gets so near"
    return (
        f"With x handed on, N has only sin(3x) to learn and starts at an error of {start:.2f}; without it the same network"
        f" {catching}. After {found.steps[place]:,.0f} steps: {beside:.2g} with, {without:.2g} without."
    )


LESSON = Lesson(
    slug="toy",
    title="A toy: x + sin(3x)",
    question="With a skip connection, what is left to learn?",
    do="Move through the training, then make the networks wider or narrower.",
    rows=("S18",),
    sources="He et al. 2015, arXiv 1512.03385, section 3.1: learn F(x) = H(x) − x. Two tanh layers, one start for both.",
    body=body,
)
