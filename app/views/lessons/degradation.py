"""S15: does a deeper network learn worse, and do gradients vanish? Read from the shipped training curves."""

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from app import results, show
from app.views.lessons import lesson
from app.views.lessons.lesson import Lesson
from resnet_viz.figures.gradients.gradients_by_block import gradients_by_block
from resnet_viz.figures.training.training_curves import training_curves
from resnet_viz.lessons import degradation
from resnet_viz.lessons.degradation import DEEP, PLAIN, RESIDUAL, SHALLOW, VANISHED, Depths, Norms

LOOKS = {"errors": "errors", "gradients": "was it vanishing gradients?"}
KINDS = {"all": "all networks", "plain": "plain", "residual": "residual"}


def body() -> str:
    """Errors of the networks that are there, or their gradients by block."""
    curves = {name: curve for name, curve in results.curves().items() if name in degradation.WANTED}
    if not curves:
        return "No training curve of these networks is shipped with this copy, so there is nothing to compare."
    look = lesson.value("look", "errors", list(LOOKS))
    with lesson.doing():
        st.segmented_control("Look at", list(LOOKS), format_func=LOOKS.__getitem__, required=True, **lesson.bound("look", look))
        drawn, said = _errors(curves) if look == "errors" else _gradients(curves)
    show.chart(drawn, f"degradation-{look}")
    st.caption(show.escape(drawn.layout.meta["how_to_read"]))
    return said


def about_errors(curves: Mapping[str, pd.DataFrame]) -> str:
    """Whether depth helped each kind, as far as the curves show it, and what is missing."""
    pairs = [pair for pair in (degradation.depths(curves, plain=True), degradation.depths(curves, plain=False)) if pair]
    said = [_with_depth(pair) for pair in pairs]
    runs = {run.name: run for run in degradation.there(curves)}
    plain, residual = runs.get(PLAIN[SHALLOW]), runs.get(RESIDUAL[SHALLOW])
    if not said and plain and residual:
        said.append(
            f"At depth {SHALLOW} {plain.title} ends at {plain.training:.1%} training and {plain.test:.1%} test error,"
            f" {residual.title} at {residual.training:.1%} and {residual.test:.1%}."
        )
    missing = degradation.missing(curves)
    if missing:
        are = "is" if len(missing) == 1 else "are"
        said.append(f"{' and '.join(missing)} {are} not trained yet in this copy, so not all of what depth does is seen here.")
    return " ".join(said)


def about_gradients(networks: Sequence[Norms]) -> str:
    """Whether a gradient vanished, and whether that can be why the plain network is worse."""
    said = [
        f"In epoch {networks[0].epoch} the block with the smallest gradient has "
        + " and ".join(f"{each.smallest_share:.2g} of the largest one's in {each.run.title}" for each in networks)
        + "."
    ]
    plain = next((each for each in networks if each.run.plain), None)
    residual = next((each for each in networks if not each.run.plain), None)
    if plain is None:
        return " ".join(said)
    if plain.vanished:
        said.append(
            f"In some epoch {plain.run.title} has a block with less than a {VANISHED:,}th of the largest: there it did vanish."
        )
        return " ".join(said)
    worse = residual is not None and plain.run.training > residual.run.training
    why = (
        f", so that is not why it ends with {plain.run.training:.1%} training error against {residual.run.training:.1%}"
        if residual is not None and worse
        else ""
    )
    said.append(
        f"In no epoch does that fall under {plain.least_share:.2g} in {plain.run.title}: its gradients have not vanished{why}."
    )
    return " ".join(said)


def _errors(curves: Mapping[str, pd.DataFrame]) -> tuple[go.Figure, str]:
    kind = lesson.value("kind", "all", list(KINDS))
    st.segmented_control("Networks", list(KINDS), format_func=KINDS.__getitem__, required=True, **lesson.bound("kind", kind))
    names = {"all": degradation.WANTED, "plain": PLAIN.values(), "residual": RESIDUAL.values()}[kind]
    shown = {name: curves[name] for name in names if name in curves} or dict(curves)
    return training_curves(shown, next(reversed(shown)), show.theme()), about_errors(curves)


def _gradients(curves: Mapping[str, pd.DataFrame]) -> tuple[go.Figure, str]:
    depths = [depth for depth in (SHALLOW, DEEP) if PLAIN[depth] in curves or RESIDUAL[depth] in curves]
    depth = lesson.value("depth", depths[-1], depths)
    last = max(int(curve["epoch"].iloc[-1]) for curve in curves.values())
    epoch = lesson.value("epoch", last, range(1, last + 1))
    st.segmented_control("Layers", depths, required=True, **lesson.bound("depth", depth))
    st.slider("Epoch", 1, last, width=420, **lesson.bound("epoch", epoch))
    names = [name for name in (PLAIN[depth], RESIDUAL[depth]) if name in curves]
    networks = [found for name in names if (found := degradation.norms(name, curves[name], epoch)) is not None]
    return gradients_by_block(networks, show.theme()), about_gradients(networks)


def _with_depth(pair: Depths) -> str:
    """Say what more layers did to one kind of network."""
    way = "worse" if pair.more_training > 0 else "better" if pair.more_training < 0 else "no better"
    kind = "plain" if pair.deep.plain else "residual"
    return (
        f"With {pair.deep.depth} layers instead of {pair.shallow.depth} the {kind} network learns {way}:"
        f" {pair.deep.training:.1%} training error against {pair.shallow.training:.1%},"
        f" {pair.deep.test:.1%} test error against {pair.shallow.test:.1%}."
    )


LESSON = Lesson(
    slug="degradation",
    title="Degradation",
    question="Do deeper networks learn worse because gradients vanish?",
    do="Compare the errors first, then look at the gradients epoch by epoch.",
    rows=("S15",),
    sources="He et al. 2015, arXiv 1512.03385, section 4.1 and figures 1 and 6; trained here on CIFAR-10, see the Model page.",
    body=body,
    page="Model",
    elsewhere=(("model", "plain56-cifar10"),),
)
