"""One definition of a residual for statistics, images and networks (S20)."""

from functools import partial

import streamlit as st

import resnet_viz as rv
from app import waiting
from app.views.lessons import lesson, own_picture, subject
from app.views.lessons.lesson import Finding, Lesson
from app.views.lessons.residual_answer import residual_image_of
from app.views.view_code import Script, quoted
from resnet_viz.figures.theme import short
from resnet_viz.lessons.residual_meaning import Line, line

MOST_LIFT = 5.0
FACTOR = 3


def body() -> Finding:
    """Three rows of prediction + residual = actual."""
    with lesson.doing():
        lift = min(MOST_LIFT, max(-MOST_LIFT, lesson.value("lift", 0.0)))
        st.slider(
            "Lift the circled point", -MOST_LIFT, MOST_LIFT, step=0.5, format="%.1f", width=250, **lesson.bound("lift", lift)
        )
        image = own_picture.picker()
        network = subject.network_picker(lambda name: not subject.is_plain(name))
        block = subject.block_picker(network)
    found = line(lift)
    picture = residual_image_of(image, FACTOR)
    inspected = waiting.inspection(network, image, None, block).block(block)
    drawn = {"residual-meaning": partial(rv.figures.residual_meaning, found, picture, inspected)}
    lesson.chart(drawn, "residual-meaning", level=3, width="content")
    script = Script.of(network, image)
    script.add(
        f"picture = residual_image(image, factor={FACTOR})",
        f"block = rv.inspect(net, image).block({quoted(block)})",
        f"chart = rv.figures.residual_meaning(line({lift}), picture, block)",
        imports=(
            "from resnet_viz.lessons.residual_image import residual_image",
            "from resnet_viz.lessons.residual_meaning import line",
        ),
    )
    points = {"x": found.x, "predicted": found.predicted, "residual": found.residual, "actual": found.actual}
    return Finding(_sentence(found, inspected.measures.ratio, block), drawn, script, {"residual-meaning": points})


def _sentence(found: Line, ratio: float, block: str) -> str:
    moved = found.residual[found.moved]
    side = "above" if moved >= 0 else "below"
    return (
        f"The circled point lies {abs(moved):.1f} {side} its prediction of {found.predicted[found.moved]:.1f}; this "
        f"difference is its residual. Block {short(block)} computes the same sum: the identity is the prediction, and the "
        f"residual has {ratio:.0%} of its norm."
    )


LESSON = Lesson(
    slug="one-residual",
    title="One word, one meaning",
    question="Is this the same residual as in statistics?",
    do="Move a point away from the line and watch all three terms.",
    rows=("S20",),
    sources="He et al. 2015, arXiv 1512.03385, section 3.1. The line is least squares.",
    body=body,
)
