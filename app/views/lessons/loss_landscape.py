"""The loss over a plane around trained weights: recorded on training images for a plain and a residual network, or live."""

from collections.abc import Hashable
from dataclasses import dataclass
from itertools import count
from typing import cast

import numpy as np
import streamlit as st

import resnet_viz as rv
from app import results, show, waiting
from app.catalogue import Subject
from app.views.lessons import lesson, own_picture, subject
from app.views.lessons.lesson import Lesson
from resnet_viz.analyses.activations import Array
from resnet_viz.figures.lessons.loss_landscape import View
from resnet_viz.lessons import loss_landscape_recorded as recorded
from resnet_viz.lessons.loss_landscape import SPAN

SEEN = {"recorded": "Training images", "live": "One image"}
VIEWS: dict[View, str] = {"contours": "Contours", "surface": "Surface"}
PAIR = ("plain56-cifar10", "resnet56-cifar10")
SIDES = (9, 15, 21)
MOST_SEEDS = 99


@dataclass(frozen=True, eq=False)
class Wanted:
    """A plane to compute: the network, the image, and the number of points per side."""

    network: Subject
    image: str
    points: int
    seed: int


def body() -> str:
    """The recordings of both networks, or the plane around a chosen network while it is computed."""
    with lesson.doing():
        # The first view is the one that can be shown at once.
        kinds = ["recorded", "live"] if recorded.recorded_models() else ["live", "recorded"]
        see = lesson.value("see", kinds[0], kinds)
        st.segmented_control("Loss of", kinds, format_func=SEEN.__getitem__, required=True, **lesson.bound("see", see))
        view = cast("View", lesson.value("view", "contours", list(VIEWS)))
        st.segmented_control("Show as", list(VIEWS), format_func=VIEWS.__getitem__, required=True, **lesson.bound("view", view))
        wanted = _wanted() if see == "live" else None
    # The previous plane must not stay visible below the progress of this one.
    above, below = st.container(), st.empty()
    with above:
        found, missing = _recorded() if wanted is None else _live(wanted)
    if not found:
        return " ".join(missing)
    draw = rv.figures.loss_contours if view == "contours" else rv.figures.loss_surface
    figure = draw(found, show.theme())
    with below.container():
        show.heading(figure, level=5)
        show.chart(figure, f"loss-{view}", width="content")
    return _sentence(found)


def _recorded() -> tuple[list[rv.Landscape], list[str]]:
    """The available recordings, and for missing ones how to make them."""
    found, missing = [], []
    for model in PAIR:
        try:
            found.append(recorded.read(model))
        except rv.WeightsError as error:
            missing.append(str(error))
    if found and missing:
        st.caption(show.escape(" ".join(missing)))
    return found, missing


def _wanted() -> Wanted:
    image = own_picture.picker()
    network = subject.network_picker()
    side = lesson.value("points", 9, SIDES)
    st.selectbox("Points", SIDES, format_func=lambda count: f"{count} × {count}", width=110, **lesson.bound("points", side))
    seed = lesson.value("seed", 0, range(MOST_SEEDS + 1))
    st.number_input("Seed", 0, MOST_SEEDS, width=100, help="Two other directions.", **lesson.bound("seed", seed))
    return Wanted(network, image, side, seed)


def _live(wanted: Wanted) -> tuple[list[rv.Landscape], list[str]]:
    drawn = count()

    def preview(loss: Array) -> None:
        figure = rv.figures.loss_so_far(loss, SPAN, show.theme())
        show.heading(figure, level=5)
        show.chart(figure, f"loss-so-far-{next(drawn)}", width="content")

    network, options = wanted.network, {"points": wanted.points, "seed": wanted.seed}
    key: Hashable = ("loss landscape", network.model, wanted.image, wanted.points, wanted.seed)
    ask = [lambda: results.submit(network, "loss landscape", wanted.image, None, "loss landscape", **options)]
    answers = waiting.long("point", key, ask, network, preview)
    return cast("list[rv.Landscape]", answers or []), ["Stopped before all points were computed."]


def _sentence(found: list[rv.Landscape]) -> str:
    parts = [
        f"On the plane around the weights of {each.title}, the loss is {each.centre:.2g} in the middle and at most"
        f" {_number(float(each.loss[np.isfinite(each.loss)].max()))}; on {each.below_guessing:.0%} of the plane it is lower"
        f" than that of random guessing."
        for each in found
    ]
    caution = (
        " Two random directions show a slice through a space of very many dimensions."
        if found[0].images > 1
        else " The loss of one image is not the loss that the network was trained on."
    )
    return " ".join(parts) + caution


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


LESSON = Lesson(
    slug="loss-landscape",
    title="The loss landscape",
    question="Is the loss smoother with shortcuts?",
    do="Compare both networks on one scale, then compute the plane around a network for your own image.",
    rows=(),
    sources="Li et al. 2018, Visualizing the Loss Landscape of Neural Nets, arXiv 1712.09913. Filter-normalised directions.",
    body=body,
    page="Model",
    elsewhere=(("model", PAIR[0]),),
)
