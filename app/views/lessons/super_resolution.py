"""The problem of super-resolution: what is given, what is wanted, and how close bicubic interpolation comes (S1)."""

from functools import partial
from typing import cast

import streamlit as st

import resnet_viz as rv
from app import waiting
from app.state import Selection
from app.views.lessons import lesson, own_picture
from app.views.lessons.factor_picker import factor_picker
from app.views.lessons.lesson import Finding, Lesson
from app.views.view_code import Script
from resnet_viz.lessons.super_resolution import Problem

LOOKS = {"whole": "The whole image", "detail": "Where the bicubic error is largest"}


def body() -> Finding:
    """The given image, the upsampled image and the target."""
    with lesson.doing():
        image = own_picture.picker()
        factor = factor_picker(3)
        look = lesson.value("look", "whole", list(LOOKS))
        st.segmented_control("Look at", list(LOOKS), format_func=LOOKS.__getitem__, required=True, **lesson.bound("look", look))
    network = waiting.network(Selection().model, trained=True)
    found = cast("Problem", waiting.answer(network, "image", "problem", image, None, "lesson problem", factor=factor))
    detail = look == "detail"
    drawn = {"problem": partial(rv.figures.problem_pictures, found, detail=detail)}
    lesson.chart(drawn, "problem", level=3, width="content")
    script = Script()
    script.image(image)
    script.add(f"p = problem(image, factor={factor})", imports="from resnet_viz.lessons.super_resolution import problem")
    script.add(f"chart = rv.figures.problem_pictures(p, detail={detail})")
    pixels = {"low": found.low, "upsampled": found.upsampled, "target": found.target}
    return Finding(_sentence(found), drawn, script, {"problem": pixels})


def _sentence(found: Problem) -> str:
    small, large = found.low.shape[0], found.target.shape[0]
    quality = found.quality
    return (
        f"{small} × {small} pixels have to become {large} × {large}: {found.factor**2 - 1} of every {found.factor**2} pixels "
        f"are"
        f" missing. Bicubic interpolation reaches a PSNR of {quality.psnr:.1f} dB and an SSIM of {quality.ssim:.2f} (the"
        f" target itself has 1). The networks start from this blurred image."
    )


LESSON = Lesson(
    slug="problem",
    title="The problem",
    question="Can a small image be enlarged again?",
    do="Choose an image and a factor, and compare the input with the target.",
    rows=("S1",),
    sources="Dong et al. 2014, arXiv 1501.00092: networks for super-resolution. Wang et al. 2004: SSIM.",
    body=body,
)
