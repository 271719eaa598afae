"""S7: the sum of a residual block is an element-wise addition, not a concatenation."""

from functools import partial

import numpy as np
import streamlit as st

import resnet_viz as rv
from app import results, show, waiting
from app.catalogue import Subject
from app.views.lessons import lesson
from app.views.lessons.lesson import Finding, Lesson
from app.views.view_code import Script, call, quoted
from resnet_viz.figures.lessons import addition as figures
from resnet_viz.figures.theme import short
from resnet_viz.lessons.addition import NextLayer, Vectors, next_layer, vectors
from resnet_viz.nets.zoo import blueprint
from resnet_viz.reporting.pieces import ReportNumbers

USUAL = "resnet20-cifar10"


def body() -> Finding:
    """Two vectors and a block's channels, each added and each concatenated."""
    model = _residual(lesson.model(USUAL))
    subject = waiting.network(model, trained=results.models()[model].here)
    names = results.block_names(subject)
    block = lesson.value("block", names[len(names) // 2], names)
    left, right = lesson.value("left", "1, 2"), lesson.value("right", "3, 4")
    with lesson.doing():
        st.text_input("First vector", max_chars=60, width=200, **lesson.bound("left", left))
        st.text_input("Second vector", max_chars=60, width=200, **lesson.bound("right", right))
        st.selectbox("Channels of block", names, format_func=short, width=200, **lesson.bound("block", block))
    small = vectors(left, right)
    maps = waiting.inspection(subject, lesson.picture(), None, block).block(block)
    if maps.identity is None:
        raise ValueError(f"Block {short(block)} is plain, so nothing is added there. Choose a residual network.")
    net = _net(subject)
    added, joined = next_layer(net, block), next_layer(net, block, times=2)
    if not subject.trained:
        st.caption("This network has random weights, not trained ones.")
    drawn = {
        "adding-vectors": partial(figures.vectors, small),
        "adding-channels": partial(figures.channels, maps.identity, maps.residual, added, joined),
    }
    by_hand, real = (draw(theme=show.theme()) for draw in drawn.values())
    columns = st.columns([4, 8], vertical_alignment="bottom")
    with columns[0]:
        show.chart(by_hand, "adding-vectors")
    with columns[1]:
        show.chart(real, "adding-channels")
    st.caption(show.escape(f"{by_hand.layout.meta['how_to_read']} {real.layout.meta['how_to_read']}"))
    script = Script.of(subject, lesson.picture())
    script.add(
        f"block = rv.inspect(net, image).block({quoted(block)})",
        "added, joined = next_layer(net, block.name), next_layer(net, block.name, times=2)",
        f"by_hand = figures.vectors({call('vectors', left, right)})",
        "real = figures.channels(block.identity, block.residual, added, joined)",
        imports=(
            "from resnet_viz.figures.lessons import addition as figures",
            "from resnet_viz.lessons.addition import next_layer, vectors",
        ),
    )
    terms = {"identity": maps.identity, "residual": maps.residual, "sum": maps.sum}
    by_hand_terms = {name: np.array(each) for name, each in vars(small).items() if each is not None}
    numbers: dict[str, ReportNumbers] = {"adding-vectors": by_hand_terms, "adding-channels": terms}
    return Finding(sentence(small, block, added, joined), drawn, script, numbers)


def sentence(small: Vectors, block: str, added: NextLayer, joined: NextLayer) -> str:
    """The finding in numbers."""
    a, b, c = map(_bracketed, (small.left, small.right, small.joined))
    if small.sum is None:
        first = f"{a} and {b} cannot be added because their lengths differ. Their concatenation is {c}."
    else:
        first = f"{a} + {b} = {_bracketed(small.sum)}, still {_numbers(len(small.sum))}. Their concatenation is {c}."
    return (
        f"{first} Block {short(block)} adds, so {added.channels} channels stay {added.channels}. With {joined.channels}, the "
        f"next {added.words} would have {joined.parameters:,} parameters"
        f" instead of {added.parameters:,} and {joined.multiply_adds / added.multiply_adds:.3g} times the multiply-adds."
    )


def _residual(model: str) -> str:
    return USUAL if results.models()[model].shortcut == "no shortcut" else model


def _net(subject: Subject) -> rv.Net:
    if subject.shown:
        raise ValueError(
            f"This lesson reads the layers of a network, and those of {subject.title} are in the Python process that shows it."
            " Choose a network from the list."
        )
    return subject.own.net if subject.own else blueprint(subject.model)


def _bracketed(numbers: tuple[float, ...]) -> str:
    return "[" + ", ".join(f"{number:g}" for number in numbers) + "]"


def _numbers(count: int) -> str:
    return "1 number" if count == 1 else f"{count} numbers"


LESSON = Lesson(
    slug="adding",
    title="Addition, not concatenation",
    question="What does the plus sign in a residual block do?",
    do="Change the vectors, then choose another block.",
    rows=("S7",),
    sources="He et al. 2015, arXiv 1512.03385, equation 1: y = F(x) + x, element by element.",
    body=body,
    page="Inspect",
    elsewhere=(("model", USUAL), ("block", "layer2.1")),
)
