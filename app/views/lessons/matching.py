"""S12: how two shapes mismatch, and which shortcut resolves it."""

from dataclasses import asdict
from functools import partial

import pandas as pd
import streamlit as st

from app import show
from app.views.lessons import lesson
from app.views.lessons.lesson import Finding, Lesson
from app.views.view_code import Script
from resnet_viz.figures.lessons.matching import shapes
from resnet_viz.lessons.matching import Mismatch, mismatch

CHANNELS = (3, 6, 16, 32, 64)
SIDES = (64, 32, 16, 8)


def body() -> Finding:
    """Two shapes, and one row per shortcut."""
    with lesson.doing():
        given = _shape("from", "x", 16, 32)
        wanted = _shape("to", "F(x)", 32, 16)
    found = mismatch(given, wanted)
    draw = partial(shapes, found)
    figure = draw(theme=show.theme())
    show.chart(figure, "shapes")
    st.caption(show.escape(figure.layout.meta["how_to_read"]))
    script = Script()
    script.add(
        f"chart = shapes(mismatch({given}, {wanted}))",
        imports=(
            "from resnet_viz.figures.lessons.matching import shapes",
            "from resnet_viz.lessons.matching import mismatch",
        ),
    )
    offers = pd.DataFrame(map(asdict, found.offers)).set_index("option")
    return Finding(sentence(found), {"shapes": draw}, script, {"shapes": offers})


def sentence(found: Mismatch) -> str:
    """What the mismatch is, what resolves it, and at what cost."""
    x, f = ("×".join(map(str, shape)) for shape in (found.input, found.output))
    if not found.spatial and not found.channels:
        return f"x and F(x) are both {x}: no mismatch, so the identity is added as it is, without parameters."
    kinds = [kind for kind, there in (("height and width", found.spatial), ("channels", found.channels)) if there]
    which = f"x is {x} and F(x) {f}: {' and '.join(kinds)} do not match"
    a, b = found.offer("A"), found.offer("B")
    if found.stride is None:
        return f"{which}. A stride cannot enlarge a feature map, so none of the three shortcuts resolves this."
    stride = f"stride {found.stride} resolves the size" if found.spatial else ""
    if not found.channels:
        return f"{which}; {stride}. Option A only takes every second pixel, with 0 parameters; option B adds {b.parameters:,}."
    if not a.fits:
        return (
            f"{which}. Padding with zeros cannot remove channels, so only the projection resolves it, with "
            f"{b.parameters:,} parameters."
        )
    zeros = found.output[0] - found.input[0]
    mended = f"{stride}, and " if stride else ""
    return (
        f"{which}; {mended}the number of channels is matched by {zeros} channels of zeros (A, 0 parameters) or by a 1×1 "
        f"convolution with batch norm (B, {b.parameters:,} parameters)."
    )


def _shape(name: str, what: str, channels: int, side: int) -> tuple[int, int, int]:
    chosen = lesson.value(f"{name}_channels", channels, CHANNELS)
    size = lesson.value(f"{name}_side", side, SIDES)
    st.selectbox(f"Channels of {what}", CHANNELS, width=160, **lesson.bound(f"{name}_channels", chosen))
    st.selectbox(
        f"Height and width of {what}",
        SIDES,
        format_func=lambda each: f"{each}×{each}",
        width=200,
        **lesson.bound(f"{name}_side", size),
    )
    return chosen, size, size


LESSON = Lesson(
    slug="matching",
    title="When shapes differ",
    question="What if x and F(x) do not have the same shape?",
    do="Choose the shapes of x and F(x). An addition needs them to be equal.",
    rows=("S12",),
    sources="He et al. 2015, arXiv 1512.03385, section 3.3, options A and B.",
    body=body,
    page="Model",
    elsewhere=(("model", "resnet20-cifar10"),),
)
