"""Iterative refinement: does each residual reduce the loss, and what is the loss after each block?"""

import math
from typing import cast

import streamlit as st

import resnet_viz as rv
from app import show, waiting
from app.views.lessons import lesson, own_picture, subject
from app.views.lessons.lesson import Lesson
from resnet_viz.figures.theme import short


def body() -> str:
    """The target class, the cosines and the losses."""
    with lesson.doing():
        image = own_picture.picker()
        network = subject.network_picker(lambda name: not subject.is_plain(name))
        target = _target(network.labels)
    found = cast("rv.Refinement", waiting.answer(network, "pass", "refinement", image, target, "refinement"))
    left, right = st.columns(2, gap="large")
    with left:
        figure = rv.figures.refinement_cosines(found, show.theme())
        show.heading(figure, level=5)
        show.chart(figure, "refinement-cosines")
    with right:
        figure = rv.figures.refinement_losses(found, show.theme())
        show.heading(figure, level=5)
        show.chart(figure, "refinement-losses")
    return _sentence(found)


def _target(labels: tuple[str, ...]) -> int | None:
    """The class whose loss is measured: the predicted class, or the true class if the user knows it."""
    indices = [-1, *range(len(labels))]
    chosen = lesson.value("target", -1, indices)
    st.selectbox(
        "Loss of class",
        indices,
        format_func=lambda index: "predicted class" if index < 0 else labels[index],
        width=220,
        help="Choose the true class if you know it.",
        **lesson.bound("target", chosen),
    )
    return None if chosen < 0 else chosen


def _sentence(found: rv.Refinement) -> str:
    steps = list(zip(found.losses, found.losses[1:], found.blocks, strict=False))
    before, after, block = min(steps, key=lambda step: step[1] - step[0])
    known = [step for step in found.blocks if not math.isnan(step.cosine_input)]
    half = len(known) // 2
    compared = ""
    if half:
        early, late = known[:half], known[half:]
        compared = (
            f"In the earlier blocks, F(x) has on average {_mean(early, 'ratio'):.0%} of the norm of its input and a cosine of"
            f" {_mean(early, 'cosine_input'):+.3f} with the negative gradient. In the later blocks, the averages are"
            f" {_mean(late, 'ratio'):.0%} and {_mean(late, 'cosine_input'):+.3f}. "
        )
    return (
        f"{compared}Block {short(block.name)} reduces the loss of {found.target_label} most, from {before:.2f} to {after:.2f}."
    )


def _mean(blocks: list[rv.BlockStep], field: str) -> float:
    return float(sum(getattr(block, field) for block in blocks)) / len(blocks)


LESSON = Lesson(
    slug="refinement",
    title="Blocks as steps down the loss",
    question="Does each block improve on the one before?",
    do="Look for the blocks that lower the loss, and choose another class.",
    rows=(),
    sources="Greff et al. 2017, arXiv 1612.07771. Jastrzebski et al. 2018, arXiv 1710.04773.",
    body=body,
)
