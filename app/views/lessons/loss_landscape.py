"""The loss over a plane of the weights: recorded for a plain and a residual network, live for an image, or along a training."""

from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import cast

import numpy as np
import streamlit as st

import resnet_viz as rv
from app import jobs, show, waiting
from app.catalogue import Subject
from app.views.lessons import lesson, own_picture, subject
from app.views.lessons.lesson import Finding, Lesson
from app.views.view_code import Script, bare, listed, quoted
from resnet_viz.analyses.activations import Array
from resnet_viz.figures.lessons.loss_landscape import View
from resnet_viz.lessons import loss_landscape_recorded as recorded
from resnet_viz.lessons import trajectory_recorded
from resnet_viz.lessons.loss_landscape import SPAN
from resnet_viz.lessons.trajectory_recorded import RecordedTrajectory

SEEN = {"recorded": "Training images", "live": "One image", "training": "During training"}
VIEWS: dict[View, str] = {"contours": "Contours", "surface": "Surface"}
# A plain network and the residual one with the same layers.
PAIRS = {
    "CIFAR-10, 56 layers": ("plain56-cifar10", "resnet56-cifar10"),
    "Photos, 18 layers": ("plain18-imagenette", "resnet18-imagenette"),
}
SIDES = (9, 15, 21)
MOST_SEEDS = 99


@dataclass(frozen=True, eq=False)
class Wanted:
    """A plane to compute: the network, the image, and the number of points per side."""

    network: Subject
    image: str
    points: int
    seed: int


def body() -> Finding | str:
    """The recordings of two networks, the plane around a chosen network while it is computed, or the way of a training."""
    with lesson.doing():
        # The first view is the one that can be shown at once.
        kinds = ["recorded", "live"] if recorded.recorded_models() else ["live", "recorded"]
        training = _training()
        kinds += ["training"] * (training is not None)
        see = lesson.value("see", kinds[0], kinds)
        st.segmented_control("Loss of", kinds, format_func=SEEN.__getitem__, required=True, **lesson.bound("see", see))
        epoch = _epoch(training) if see == "training" and training else None
        view: View = "contours"
        if epoch is None:
            view = cast("View", lesson.value("view", view, list(VIEWS)))
            st.segmented_control(
                "Show as", list(VIEWS), format_func=VIEWS.__getitem__, required=True, **lesson.bound("view", view)
            )
        pair = _pair() if see == "recorded" else ()
        wanted = _wanted() if see == "live" else None
    if training is not None and epoch is not None:
        return _way(training, epoch)
    # The previous plane must not stay visible below the progress of this one.
    above, below = st.container(), st.empty()
    with above:
        found, missing = _recorded(pair) if wanted is None else _live(wanted)
    if not found:
        return " ".join(missing)
    draw = rv.figures.loss_contours if view == "contours" else rv.figures.loss_surface
    drawn = {f"loss-{view}": partial(draw, found)}
    with below.container():
        lesson.chart(drawn, f"loss-{view}", width="content")
    script = _script(found, wanted)
    script.add(f"chart = rv.figures.{draw.__name__}(found)")
    losses = {each.model: each.loss for each in found} | {"axis": found[0].axis}
    network = wanted.network.model if wanted else pair[0]
    return Finding(_sentence(found), drawn, script, {f"loss-{view}": losses}, elsewhere=(("model", network),))


def _script(found: list[rv.Landscape], wanted: Wanted | None) -> Script:
    if wanted is None:
        script = Script()
        script.add(
            f"found = [read(name) for name in {listed([each.model for each in found])}]",
            imports="from resnet_viz.lessons.loss_landscape_recorded import read",
        )
        return script
    script = Script.of(wanted.network, wanted.image)
    script.add(f"found = [{bare('rv.loss_landscape', 'net', 'image', points=wanted.points, seed=wanted.seed)}]")
    return script


def _pair() -> tuple[str, ...]:
    """The two networks to compare; those of CIFAR-10 unless others have recordings as well."""
    known = set(recorded.recorded_models())
    names = [name for name, pair in PAIRS.items() if known & set(pair)] or list(PAIRS)[:1]
    name = lesson.value("networks", names[0], names)
    if len(names) > 1:
        st.segmented_control("Networks", names, required=True, **lesson.bound("networks", name))
    return PAIRS[name]


def _recorded(pair: tuple[str, ...]) -> tuple[list[rv.Landscape], list[str]]:
    """The available recordings, and for missing ones how to make them."""
    found, missing = [], []
    for model in pair:
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
    st.selectbox("Points", SIDES, format_func=lambda count: f"{count} × {count}", width=85, **lesson.bound("points", side))
    seed = lesson.value("seed", 0, range(MOST_SEEDS + 1))
    st.number_input("Seed", 0, MOST_SEEDS, width=75, help="Two other directions.", **lesson.bound("seed", seed))
    return Wanted(network, image, side, seed)


def _live(wanted: Wanted) -> tuple[list[rv.Landscape], list[str]]:
    drawn = count()

    def preview(loss: Array) -> None:
        figure = rv.figures.loss_so_far(loss, SPAN, show.theme())
        show.heading(figure, level=5)
        show.chart(figure, f"loss-so-far-{next(drawn)}", width="content")

    network, options = wanted.network, {"points": wanted.points, "seed": wanted.seed}
    key: Hashable = ("loss landscape", network.key, wanted.image, wanted.points, wanted.seed)
    ask = [lambda: jobs.submit(network, "loss landscape", wanted.image, None, "loss landscape", **options)]
    answers = waiting.long("point", key, ask, network, preview)
    return cast("list[rv.Landscape]", answers or []), ["Stopped before all points were computed."]


def _training() -> RecordedTrajectory | None:
    """The recorded training, if there is one that can be read."""
    for model in trajectory_recorded.recorded_models():
        with suppress(rv.WeightsError):
            return trajectory_recorded.read(model)
    return None


def _epoch(found: RecordedTrajectory) -> int:
    """The chosen epoch; 0 is before the training."""
    epochs = range(len(found.trajectory.steps))
    epoch = lesson.value("epoch", epochs[-1], epochs)
    st.select_slider("Up to epoch", epochs, width=380, **lesson.bound("epoch", epoch))
    return epoch


def _way(found: RecordedTrajectory, epoch: int) -> Finding:
    """The way of a training up to an epoch, over the plane in which most of it lies."""
    way = found.trajectory
    drawn = {
        "trajectory": partial(rv.figures.trajectory_contours, way, count=epoch + 1),
        "trajectory-losses": partial(rv.figures.trajectory_losses, way, count=epoch + 1),
    }
    for name, column in zip(drawn, st.columns(2, gap="large"), strict=True):
        with column:
            lesson.chart(drawn, name)
    st.caption(show.escape(f"Training: {found.training}. Loss: {found.measured_on}."))
    script = Script()
    script.add(
        f"way = read({quoted(way.model)}).trajectory",
        f"charts = [draw(way, count={epoch + 1}) for draw in (rv.figures.trajectory_contours, rv.figures.trajectory_losses)]",
        imports="from resnet_viz.lessons.trajectory_recorded import read",
    )
    plane = {"first": way.first, "second": way.second, "loss": way.loss, "steps": way.steps[: epoch + 1]}
    return Finding(_way_sentence(found, epoch), drawn, script, {"trajectory": plane}, elsewhere=())


def _way_sentence(found: RecordedTrajectory, epoch: int) -> str:
    way = found.trajectory
    if epoch == 0:
        return f"Before its training, {way.title} has a loss of {way.losses[0]:.2f}; guessing has {way.guessing:.2f}."
    left = np.linalg.norm(way.steps[epoch]) / np.linalg.norm(way.steps[0])
    return (
        f"After epoch {epoch}, the loss is {way.losses[epoch]:.2f} and {found.errors[epoch]:.0%} of the test images are"
        f" classified wrongly; on the plane, {left:.0%} of the distance from the start to the end is left. The two directions"
        f" explain {sum(way.explained):.0%} of the way."
    )


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
    do="Compare both networks on one scale, compute the plane around a network for your own image, and follow a training.",
    rows=(),
    sources="Li et al. 2018, Visualizing the Loss Landscape of Neural Nets, arXiv 1712.09913. Filter-normalised directions.",
    body=body,
    page="Model",
    elsewhere=(("model", "plain56-cifar10"),),
)
