"""The toy x + sin(3x), with and without the skip connection, during training (S18)."""

from collections.abc import Hashable
from functools import partial
from itertools import count
from typing import cast

import streamlit as st

import resnet_viz as rv
from app import jobs, show, waiting
from app.views.lessons import lesson
from app.views.lessons.lesson import Finding, Lesson
from app.views.view_code import Script, bare
from resnet_viz.analyses.activations import Array
from resnet_viz.lessons.toy import STEPS, WIDTHS, ToyFit, moments, of_frames

MOST_SEEDS = 99


def body() -> Finding | str:
    """Both fits at a chosen step of their training."""
    with lesson.doing():
        width = lesson.value("width", 16, WIDTHS)
        st.segmented_control("Width of both networks", WIDTHS, required=True, **lesson.bound("width", width))
        seed = lesson.value("seed", 0, range(MOST_SEEDS + 1))
        st.number_input(
            "Seed", 0, MOST_SEEDS, width=120, help="Sets the initial weights of both networks.", **lesson.bound("seed", seed)
        )
        steps = sorted(moments(STEPS))
        moment = lesson.value("step", STEPS, steps)
        st.select_slider("Training steps", steps, format_func="{:,}".format, width=460, **lesson.bound("step", moment))
    # The previous fit must not stay visible below the progress of this one.
    above, below = st.container(), st.empty()
    with above:
        found = _fit(width, seed)
    if found is None:
        return "Stopped before the first result."
    place = steps.index(moment)
    drawn = {"toy": partial(rv.figures.toy_fit, found, place)}
    with below.container():
        lesson.chart(drawn, "toy", level=3)
    script = Script()
    script.add(
        f"chart = rv.figures.toy_fit({bare('fit', width=width, seed=seed)}, {place})",
        imports="from resnet_viz.lessons.toy import fit",
    )
    return Finding(_sentence(found, place), drawn, script)


def _fit(width: int, seed: int) -> ToyFit | None:
    drawn = count()

    def preview(frames: Array) -> None:
        figure = rv.figures.toy_fit(of_frames(width, STEPS, frames), theme=show.theme())
        show.heading(figure)
        show.chart(figure, f"toy-{next(drawn)}")

    key: Hashable = ("toy", width, seed)
    ask = [lambda: jobs.submit_experiment("toy", "lesson toy", width=width, seed=seed)]
    answers = waiting.long("Both fits, step", key, ask, preview=preview)
    return None if answers is None else cast("ToyFit", answers[0])


def _sentence(found: ToyFit, place: int) -> str:
    without, beside = (float(error[place]) for error in found.errors)
    start = float(found.errors[1][0])
    reached = [(int(found.steps[i]), error) for i, error in enumerate(found.errors[0]) if error <= start]
    catching = f"needs {reached[0][0]:,} steps to reach that error" if reached else "never reaches that error"
    return (
        f"With the skip connection, N only has to learn sin(3x) and starts at an error of {start:.2f}. Without it, the same "
        f"network {catching}. After {found.steps[place]:,.0f} steps, the error is {beside:.2g} with it and {without:.2g} "
        f"without it."
    )


LESSON = Lesson(
    slug="toy",
    title="A toy: x + sin(3x)",
    question="With a skip connection, what is left to learn?",
    do="Move the slider through the training, then make the networks wider or narrower.",
    rows=("S18",),
    sources="He et al. 2015, arXiv 1512.03385, section 3.1: learn F(x) = H(x) − x. Two tanh layers, with the same initial "
    "weights for both.",
    body=body,
)
