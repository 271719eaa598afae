"""S13: option A, stride 2 and channels of zeros, on real features."""

from functools import partial
from typing import cast

import streamlit as st

from app import show, waiting
from app.views.lessons import lesson
from app.views.lessons.lesson import Finding, Lesson
from app.views.view_code import Script, quoted
from resnet_viz.figures.lessons.matching import kept_and_zero
from resnet_viz.figures.theme import short
from resnet_viz.lessons.matching import PICTURE, Matched

MODEL = "resnet20-cifar10"
SOURCES = {PICTURE: "the image, 64×64", "layer2.0": "block 2.0", "layer3.0": "block 3.0"}


def body() -> Finding:
    """Which pixels are kept, and which channels are zeros."""
    source = lesson.value("source", PICTURE, list(SOURCES))
    with lesson.doing():
        st.segmented_control(
            "Option A on", list(SOURCES), format_func=SOURCES.__getitem__, required=True, **lesson.bound("source", source)
        )
    subject = waiting.network(MODEL, trained=True)
    found = cast(
        "Matched", waiting.answer(subject, "image", "matched", lesson.picture(), None, "lesson padding", source=source)
    )
    draw = partial(kept_and_zero, found)
    figure = draw(theme=show.theme())
    show.chart(figure, "kept-and-zero")
    st.caption(show.escape(figure.layout.meta["how_to_read"]))
    script = Script.of(subject, lesson.picture())
    script.add(
        f"chart = kept_and_zero(run(net, image, {quoted(source)}))",
        imports=(
            "from resnet_viz.figures.lessons.matching import kept_and_zero",
            "from resnet_viz.lessons.matching import run",
        ),
    )
    return Finding(
        sentence(found),
        {"kept-and-zero": draw},
        script,
        {"kept-and-zero": {"input": found.input, "zero_padded": found.zero_padded}},
    )


def sentence(found: Matched) -> str:
    """What does the shrinking, and what does not."""
    after, before = found.kept
    side, small = found.input.shape[1], found.zero_padded.shape[1]
    where = "" if found.source == PICTURE else f" in block {short(found.source)}"
    return (
        f"Not the padding but the stride of {found.stride} makes the map smaller: it keeps {after:,} of {before:,} pixels,"
        f" so {side}×{side} becomes {small}×{small}{where}."
        f" The padding then adds {len(found.zeros)} channels of zeros to {len(found.input)}, so"
        f" {len(found.zeros) / len(found.zero_padded):.0%} of the channels are 0, with 0 parameters."
    )


LESSON = Lesson(
    slug="padding",
    title="Option A: zeros",
    question="How can padding turn 64×64 into 32×32?",
    do="Start with the image, then choose the features of a block.",
    rows=("S13",),
    sources="He et al. 2015, arXiv 1512.03385, section 3.3, option A.",
    body=body,
    page="Inspect",
    elsewhere=(("model", MODEL), ("block", "layer2.0"), ("term", "identity")),
)
