"""The network as a chain of blocks, each a correction to its input, and its prediction after each block (S9, S17)."""

from functools import partial
from typing import cast

import streamlit as st

import resnet_viz as rv
from app import results, show, waiting
from app.components.spots import spots
from app.views import play_section
from app.views.lessons import lesson, subject
from app.views.lessons.lesson import Finding, Lesson
from app.views.view_code import Script, quoted
from resnet_viz.analyses.logit_lens import Lens
from resnet_viz.figures.lessons.chain import angle
from resnet_viz.figures.theme import short
from resnet_viz.figures.without_legend import without_legend
from resnet_viz.reporting.pieces import ReportNumbers

MAP, BELOW = "chain-map", "chain-below"


def body() -> Finding:
    """The block map, the correction by the open block, and the logits decoded after each block."""
    with lesson.doing():
        image = subject.picture_picker()
        network = subject.network_picker(lambda name: not subject.is_plain(name))
        names = results.block_names(network)
        block = subject.block_picker(network)
        subject.steps(names, block, "block")
    result = waiting.inspection(network, image, None, block)
    decoded = cast("Lens", waiting.answer(network, "block", "lens", image, None, "lens"))
    # The colours are explained beside the arrows below.
    figure = without_legend(rv.figures.block_map(result, "ratio", theme=show.theme()))

    def choose(chosen: str) -> None:
        lesson.change(block=chosen)

    places = play_section.spots_of(result)
    show.chart(figure, MAP, over=lambda: spots(MAP, "Blocks of the network", places, block, choose))
    play_section.play(network, image, result, block, choose, MAP, BELOW)
    with st.container(key=BELOW):
        left, right = st.columns(2, gap="large")
    opened = result.block(block)
    drawn = {
        MAP: partial(rv.figures.block_map, result, "ratio"),
        "correction": partial(rv.figures.correction, opened),
        "lens": partial(rv.figures.lens_lines, decoded, block),
    }
    with left:
        lesson.chart(drawn, "correction")
    with right:
        lesson.chart(drawn, "lens")
    script = Script.of(network, image)
    script.add(
        "",
        "r = rv.inspect(net, image)",
        'chain = rv.figures.block_map(r, "ratio")',
        f"correction = rv.figures.correction(r.block({quoted(block)}))",
        f"decoded = rv.figures.lens_lines(lens(net, image), {quoted(block)})",
        imports="from resnet_viz.analyses.logit_lens import lens",
    )
    terms = {"identity": opened.identity, "residual": opened.residual}
    numbers: dict[str, ReportNumbers] = {
        MAP: result.table(),
        "correction": {name: values.mean(0) for name, values in terms.items() if values is not None},
    }
    return Finding(_sentence(result, decoded, block), drawn, script, numbers)


def _sentence(result: rv.Inspection, decoded: Lens, block: str) -> str:
    m, place = result.block(block).measures, decoded.places.index(block)
    shares = decoded.probabilities
    now, answer = decoded.leaders[place], decoded.leaders[-1]
    last = place == len(decoded.places) - 1
    degrees = angle(result.block(block))
    first = f"F(x) of block {short(block)} has {m.ratio:.0%} of the norm of x, at an angle of {degrees:.0f}° to it."
    if last:
        before = float(shares[place - 1, answer])
        return (
            f"{first} This is the last block: the probability of {decoded.labels[answer]} goes from {before:.0%} to "
            f"{float(shares[-1, answer]):.0%}."
        )
    return (
        f"{first} Without later residuals, the network would predict {decoded.labels[now]} ({float(shares[place, now]):.0%}); "
        f"with them, it predicts {decoded.labels[answer]} ({float(shares[-1, answer]):.0%})."
    )


LESSON = Lesson(
    slug="chain",
    title="A chain of corrections",
    question="What is the residual when a network classifies?",
    do="Press Play to follow the signal, or click a block of the chain to see its correction.",
    rows=("S9", "S17"),
    sources=(
        "He et al. 2015, arXiv 1512.03385. Decoding after each block: nostalgebraist 2020, the logit lens; Veit et al. 2016,"
        " arXiv 1605.06431."
    ),
    body=body,
)
