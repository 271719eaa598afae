"""The residual image, and why its sign matters (S2)."""

from functools import partial
from typing import Any

import streamlit as st
from numpy.typing import NDArray

import resnet_viz as rv
from app.views.lessons import lesson, own_picture
from app.views.lessons.factor_picker import factor_picker
from app.views.lessons.lesson import Finding, Lesson
from app.views.lessons.residual_answer import residual_image_of
from app.views.view_code import Script
from resnet_viz.lessons.residual_image import ResidualImage

SIGNS = {"right": "target − input", "flipped": "input − target"}


def body() -> Finding:
    """Target, input, their difference, and the sum of input and difference."""
    with lesson.doing():
        image = own_picture.picker()
        factor = factor_picker(3)
        sign = lesson.value("sign", "right", list(SIGNS))
        st.segmented_control(
            "The residual is", list(SIGNS), format_func=SIGNS.__getitem__, required=True, **lesson.bound("sign", sign)
        )
    found = residual_image_of(image, factor, flipped=sign == "flipped")
    drawn = {"residual-image": partial(rv.figures.residual_equation, found)}
    lesson.chart(drawn, "residual-image", level=3, width="content")
    script = Script()
    script.image(image)
    script.add(
        f"found = residual_image(image, factor={factor}, flipped={found.flipped})",
        "chart = rv.figures.residual_equation(found)",
        imports="from resnet_viz.lessons.residual_image import residual_image",
    )
    pixels: dict[str, NDArray[Any]] = {
        "target": found.problem.target,
        "input": found.problem.upsampled,
        "residual": found.residual,
        "sum": found.sum,
    }
    return Finding(_sentence(found), drawn, script, {"residual-image": pixels})


def _sentence(found: ResidualImage) -> str:
    count = found.sum.size
    if found.flipped:
        return (
            f"With the opposite sign, input + residual = 2 × input − target. The largest of {count:,} errors is "
            f"{found.error:.0f} of 255, and the blur is doubled instead of removed. Only target − input gives the target."
        )
    return (
        f"input + (target − input) = target: the largest of {count:,} errors is {found.error:.2g} in integer levels from 0 "
        f"to 255. For values from 0 to 1 it is {found.fraction_error:.1g}, the rounding error of 32-bit numbers."
    )


LESSON = Lesson(
    slug="residual-image",
    title="The residual image",
    question="What is missing between the input and the target?",
    do="Flip the sign of the residual, and see whether the sum still gives the target.",
    rows=("S2",),
    sources="Kim et al. 2016, arXiv 1511.04587: a network that learns only this difference.",
    body=body,
)
