"""The position of the last ReLU: after the addition, or before the residual branch (S8)."""

from functools import partial
from typing import cast, get_args

import streamlit as st

import resnet_viz as rv
from app import waiting
from app.views.lessons import lesson, subject
from app.views.lessons.lesson import Finding, Lesson
from app.views.view_code import Script, bare, quoted
from resnet_viz.figures.lessons.activation_order import NAMES, Asked
from resnet_viz.lessons.activation_order import DEEPEST, Order, Orders

SHORT: dict[Asked, str] = {"missed": "sum of the corrections", "negative": "negative entries", "correlation": "correlation"}
STEPS: dict[Order, str] = {
    "after": "x → conv → BN → ReLU → conv → BN → :orange[**F(x)**] → :green[**x + F(x)**] → **ReLU** → next block",
    "before": "x → BN → ReLU → conv → BN → ReLU → conv → :orange[**F(x)**] → :green[**x + F(x)**] → next block",
}


def body() -> Finding:
    """Both orders by depth, and the share of entries that the network's own last ReLUs zero."""
    with lesson.doing():
        image = subject.picture_picker()
        network = subject.network_picker()
        order = cast("Order", lesson.value("order", "after", get_args(Order)))
        st.segmented_control(
            "Order",
            get_args(Order),
            format_func=lambda name: NAMES[name],
            required=True,
            **lesson.bound("order", order),
        )
        asked = cast("Asked", lesson.value("see", "missed", tuple(SHORT)))
        st.segmented_control(
            "What reaches the end?",
            list(SHORT),
            format_func=lambda name: SHORT[name],
            required=True,
            **lesson.bound("see", asked),
        )
        depth = min(DEEPEST, max(1, lesson.value("depth", 9)))
        st.slider("Blocks", 1, DEEPEST, width=180, **lesson.bound("depth", depth))
    st.markdown(f"One block: {STEPS[order]}")
    found = cast("Orders", waiting.answer(network, "block", "orders", image, None, "orders"))
    drawn = {
        "order-curves": partial(rv.figures.order_curves, found, asked, order, depth),
        "cut-bars": partial(rv.figures.cut_bars, found),
    }
    curves, cuts = st.columns([3, 2], gap="large")
    with curves:
        lesson.chart(drawn, "order-curves")
    with cuts:
        lesson.chart(drawn, "cut-bars")
    script = Script.of(network, image)
    script.add("", "o = orders(net, image)", imports="from resnet_viz.lessons.activation_order import orders")
    script.add(
        f"curves = {bare('rv.figures.order_curves', 'o', quoted(asked), quoted(order), str(depth))}",
        "cuts = rv.figures.cut_bars(o)",
    )
    return Finding(_sentence(found, order, depth), drawn, script)


def _sentence(found: Orders, order: Order, depth: int) -> str:
    trail = found.trail(order)
    missed, negative = float(trail.missed[depth]), float(trail.negative[depth])
    blocks = "one block" if depth == 1 else f"{depth} blocks"
    below = f"{negative:.0%} of the chain's output after {blocks} is negative"
    handed_on = f"{below}, and x₀ plus all corrections differs from the output"
    if order == "after":
        return (
            f"With the ReLU after the addition {handed_on} by {missed:.0%} of its norm, because each ReLU also acts on the "
            f"shortcut."
            " Such a network still trains well. The position is a design choice; He et al. compared others a year later."
        )
    return (
        f"With pre-activation {handed_on} by {missed:.0%}, because nothing acts on the shortcut. He et al. 2016 measured a "
        f"test error of 6.37% with it, compared with 6.61% (ResNet-110, Table 2): the position is a design choice, settled "
        f"by experiment."
    )


LESSON = Lesson(
    slug="order",
    title="The position of the last ReLU",
    question="Must the second ReLU come after the addition?",
    do="Switch the order, and see how much of the start reaches the end of the shortcut.",
    rows=("S8",),
    sources="He et al. 2016, arXiv 1603.05027, Fig. 4, Table 2 and equation 4.",
    body=body,
)
