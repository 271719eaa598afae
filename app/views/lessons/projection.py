"""S14: option B, the trained 1x1 projection, and how much of the input it preserves."""

import math
from functools import partial
from typing import cast

import streamlit as st

from app import show, waiting
from app.views.lessons import lesson
from app.views.lessons.lesson import Finding, Lesson
from app.views.view_code import Script, quoted
from resnet_viz.figures.lessons.matching import survivors
from resnet_viz.figures.theme import short
from resnet_viz.lessons.matching import PICTURE, Matched, accuracies

MODEL, BESIDE = "resnet20b-cifar10", "resnet20-cifar10"
SOURCES = {"layer2.0": "block 2.0, trained", "layer3.0": "block 3.0, trained", PICTURE: "the image, six untrained kernels"}
TEST_IMAGES = 10_000


def body() -> Finding:
    """Both options on the same input, and how well the input can be recovered."""
    source = lesson.value("source", "layer2.0", list(SOURCES))
    with lesson.doing():
        st.segmented_control(
            "Option B on", list(SOURCES), format_func=SOURCES.__getitem__, required=True, **lesson.bound("source", source)
        )
    subject = waiting.network(MODEL, trained=True)
    found = cast(
        "Matched", waiting.answer(subject, "image", "matched", lesson.picture(), None, "lesson projection", source=source)
    )
    draw = partial(survivors, found)
    figure = draw(theme=show.theme())
    show.chart(figure, "survivors")
    st.caption(show.escape(figure.layout.meta["how_to_read"]))
    script = Script.of(subject, lesson.picture())
    script.add(
        f"chart = survivors(run(net, image, {quoted(source)}))",
        imports=(
            "from resnet_viz.figures.lessons.matching import survivors",
            "from resnet_viz.lessons.matching import run",
        ),
    )
    return Finding(sentence(found, accuracies((BESIDE, MODEL))), {"survivors": draw}, script)


def sentence(found: Matched, measured: dict[str, float]) -> str:
    """How much is preserved, what it costs, and the accuracy of the trained networks."""
    a, b = found.survives_a, found.survives_b
    if b is None:
        return "This block has no projection."
    count, weights = len(found.zero_padded), found.parameters - found.batch_norm
    untrained = "" if found.trained else ", untrained"
    kernels = f"{count} kernels of 1×1×{len(found.input)}, {weights:,} weights and {found.batch_norm} of batch norm{untrained}"
    where = "On the image" if found.source == PICTURE else f"In block {short(found.source)}"
    survives = (
        f"{where}, a linear map recovers {b.whole:.0%} of the input's variance after B ({kernels}) and {a.whole:.0%} after A "
        f"(0 parameters). For the kept pixels it recovers {b.kept:.0%} and {a.kept:.0%}: {_loser(found)}."
    )
    if not found.trained or len(measured) < len((BESIDE, MODEL)):
        return survives
    return f"{survives} {_trained(measured)}"


def _loser(found: Matched) -> str:
    """Say which step loses information, as far as the numbers show it."""
    a, b = found.survives_a, found.survives_b
    if b is None or abs(a.kept - b.kept) < 0.005:
        return "the loss comes from the stride"
    return "the projection itself loses some of the input" if b.kept < a.kept else "the projection preserves more"


def _trained(measured: dict[str, float]) -> str:
    a, b = measured[BESIDE], measured[MODEL]
    # The standard error of a difference of two accuracies, each measured on as many images.
    chance = 2 * math.sqrt((a * (1 - a) + b * (1 - b)) / TEST_IMAGES)
    close = ", a difference within chance" if abs(a - b) < chance else ""
    return f"ResNet-20 classifies {a:.1%} of the test images correctly with A and {b:.1%} with B, in one run each{close}."


LESSON = Lesson(
    slug="projection",
    title="Option B: a projection",
    question="Does a projection preserve the input?",
    do="Compare both options where shapes change, then on the image itself.",
    rows=("S14",),
    sources="He et al. 2015, arXiv 1512.03385, section 3.3, option B, and table 3.",
    body=body,
    page="Compare",
    elsewhere=(("left", BESIDE), ("right", MODEL), ("block", "layer2.0")),
)
