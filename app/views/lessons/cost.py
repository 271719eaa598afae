"""S11: why height and width are halved and the channels doubled together."""

from functools import partial

import streamlit as st

from app import show
from app.views.lessons import lesson
from app.views.lessons.lesson import Finding, Lesson
from app.views.view_code import Script, bare
from resnet_viz.figures.lessons.cost import layer_costs
from resnet_viz.lessons.cost import CHANNELS, SIDE, STAGES, Costs, run

CHANGES = {"both": "halve and double", "halve": "halve only", "double": "double only", "neither": "neither"}


def body() -> Finding:
    """One bar per block."""
    change = lesson.value("change", "both", list(CHANGES))
    with lesson.doing():
        st.segmented_control(
            "From stage to stage: halve height and width, double the channels",
            list(CHANGES),
            format_func=CHANGES.__getitem__,
            required=True,
            **lesson.bound("change", change),
        )
    changes = {"halve": change in ("both", "halve"), "double": change in ("both", "double")}
    costs = run(**changes)
    draw = partial(layer_costs, costs)
    figure = draw(theme=show.theme())
    show.chart(figure, "layer-costs")
    st.caption(show.escape(figure.layout.meta["how_to_read"]))
    script = Script()
    script.add(f"costs = {bare('run', **changes)}", imports="from resnet_viz.lessons.cost import run")
    script.add("chart = layer_costs(costs)", imports="from resnet_viz.figures.lessons.cost import layer_costs")
    return Finding(sentence(costs), {"layer-costs": draw}, script)


def sentence(costs: Costs) -> str:
    """The reason, with its numbers."""
    first, second, last = costs.layer(1), costs.layer(2), costs.layer(STAGES)
    wider, _, side = costs.stage(2)[-1].output
    product = (
        f"{SIDE}·{SIDE} pixels × {CHANNELS}·{CHANNELS}·9 weights = {_millions(first)} multiply-adds in stage 1,"
        f" {side}·{side} × {wider}·{wider}·9 = {_millions(second)} in stage 2"
    )
    if first == last:
        why = "the pixels fall to a quarter and the weights grow fourfold" if costs.halve else "neither changes"
        return f"A 3×3 convolution costs {product}. From stage to stage {why}, so the layers of every stage cost the same."
    times = f"{last // first} times as much as" if last > first else f"a {_fraction(first // last)} of"
    missing = (
        "the weights grow fourfold and the number of pixels stays the same"
        if costs.double
        else "the pixels fall to a quarter and the number of weights stays the same"
    )
    return (
        f"A 3×3 convolution costs {product}. From stage to stage {missing}, so a convolution in stage 3 costs {times} one "
        f"in stage 1."
    )


def _fraction(parts: int) -> str:
    return f"{parts}th"


def _millions(count: int) -> str:
    return f"{count / 1e6:.2f} M"


LESSON = Lesson(
    slug="cost",
    title="The cost of a layer",
    question="Why halve height and width and double the channels?",
    do="Choose only one of the two changes, and compare the stages.",
    rows=("S11",),
    sources="He et al. 2015, arXiv 1512.03385, section 3.3: where the feature map is halved, the filters are doubled, so "
    "that the cost stays the same.",
    body=body,
    page="Model",
    elsewhere=(("model", "resnet20b-cifar10"),),
)
