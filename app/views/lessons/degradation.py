"""S15: do deeper networks train worse, and do their gradients vanish? Read from the shipped training curves."""

from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd
import streamlit as st

from app import results, show
from app.views.lessons import lesson
from app.views.lessons.lesson import Finding, Lesson
from app.views.view_code import Script, listed, quoted
from resnet_viz.figures.gradients.gradients_by_block import gradients_by_block
from resnet_viz.figures.training.training_curves import training_curves
from resnet_viz.lessons import degradation
from resnet_viz.lessons.degradation import DEEP, PLAIN, RESIDUAL, SHALLOW, VANISHED, Depths, Norms
from resnet_viz.nets.curves import errors_table

LOOKS = {"errors": "errors", "gradients": "are vanishing gradients the cause?"}
KINDS = {"all": "all of CIFAR-10", "plain": "plain", "residual": "residual", "photos": "on photos"}


def body() -> Finding | str:
    """The errors of the networks with a curve, or their gradients by block."""
    curves = {name: curve for name, curve in results.curves().items() if name in (*degradation.WANTED, *degradation.PHOTOS)}
    if not curves:
        return (
            "This copy ships no training curve of these networks, so there is nothing to compare. Train them as the "
            "documentation describes, or install a released version."
        )
    look = lesson.value("look", "errors", list(LOOKS))
    with lesson.doing():
        st.segmented_control("Look at", list(LOOKS), format_func=LOOKS.__getitem__, required=True, **lesson.bound("look", look))
        found = _errors(curves) if look == "errors" else _gradients(curves)
    ((name, draw),) = found.charts.items()
    drawn = draw(theme=show.theme())
    show.chart(drawn, name)
    st.caption(show.escape(drawn.layout.meta["how_to_read"]))
    return found


def about_errors(curves: Mapping[str, pd.DataFrame]) -> str:
    """Whether depth helped each kind, as far as the curves show it, and which networks are missing."""
    pairs = [pair for pair in (degradation.depths(curves, plain=True), degradation.depths(curves, plain=False)) if pair]
    said = [_with_depth(pair) for pair in pairs]
    runs = {run.name: run for run in degradation.there(curves)}
    plain, residual = runs.get(PLAIN[SHALLOW]), runs.get(RESIDUAL[SHALLOW])
    if not said and plain and residual:
        said.append(
            f"At depth {SHALLOW} {plain.title} ends with {plain.training:.1%} training error and {plain.test:.1%} test error,"
            f" {residual.title} with {residual.training:.1%} and {residual.test:.1%}."
        )
    missing = degradation.missing(curves)
    if missing:
        are = "is" if len(missing) == 1 else "are"
        said.append(f"{' and '.join(missing)} {are} not trained yet in this copy, so the comparison is incomplete.")
    return " ".join(said)


def about_photos(curves: Mapping[str, pd.DataFrame]) -> str:
    """What shortcuts change at 18 layers, on photos instead of CIFAR-10."""
    pair = degradation.on_photos(curves)
    if pair is None:
        return "The networks for photos are not trained yet in this copy."
    plain, residual = pair
    more = plain.test - residual.test
    changed = f"{abs(more) * 100:.1f} points {'higher' if more > 0 else 'lower'}"
    return (
        f"With {plain.depth} layers and one recipe, {plain.title} classifies {plain.training:.1%} of the training images and"
        f" {plain.test:.1%} of the test images wrong, {residual.title} {residual.training:.1%} and {residual.test:.1%}: without"
        f" shortcuts the test error is {changed}. He et al. found hardly any difference at this depth on the whole of ImageNet"
        " (27.94% and 27.88%, Table 2). The training errors of the curves are higher, because"
        " training crops the images at random."
    )


def about_gradients(networks: Sequence[Norms]) -> str:
    """Whether a gradient vanished, and whether this can explain the plain network's higher error."""
    said = [
        f"In epoch {networks[0].epoch} the smallest gradient norm of a block is "
        + " and ".join(f"{each.smallest_share:.2g} of the largest in {each.run.title}" for each in networks)
        + "."
    ]
    plain = next((each for each in networks if each.run.plain), None)
    residual = next((each for each in networks if not each.run.plain), None)
    if plain is None:
        return " ".join(said)
    if plain.vanished:
        said.append(
            f"In at least one epoch, a block of {plain.run.title} has less than a {VANISHED:,}th of the largest gradient "
            f"norm: there the gradient did vanish."
        )
        return " ".join(said)
    worse = residual is not None and plain.run.training > residual.run.training
    why = (
        f", so vanishing gradients do not explain its training error of {plain.run.training:.1%}, compared with "
        f"{residual.run.training:.1%}"
        if residual is not None and worse
        else ""
    )
    said.append(
        f"In {plain.run.title} this ratio is at least {plain.least_share:.2g} in every epoch: its gradients did not "
        f"vanish{why}."
    )
    return " ".join(said)


def _errors(curves: Mapping[str, pd.DataFrame]) -> Finding:
    kind = lesson.value("kind", "all", list(KINDS))
    st.segmented_control("Networks", list(KINDS), format_func=KINDS.__getitem__, required=True, **lesson.bound("kind", kind))
    names = {"all": degradation.WANTED, "plain": PLAIN.values(), "residual": RESIDUAL.values(), "photos": degradation.PHOTOS}
    shown = {name: curves[name] for name in names[kind] if name in curves} or dict(curves)
    said = about_photos(curves) if kind == "photos" else about_errors(curves)
    last = next(reversed(shown))
    script = Script()
    script.add(
        f"curves = read_curves({listed(list(shown))})",
        f"chart = rv.figures.training_curves(curves, {quoted(last)})",
        imports="from resnet_viz.nets.curves import read_curves",
    )
    name = "degradation-errors"
    return Finding(said, {name: partial(training_curves, shown, last)}, script, {name: errors_table(shown)})


def _gradients(curves: Mapping[str, pd.DataFrame]) -> Finding:
    # Those for photos were trained for more epochs.
    curves = {name: curve for name, curve in curves.items() if name in degradation.WANTED}
    depths = [depth for depth in (SHALLOW, DEEP) if PLAIN[depth] in curves or RESIDUAL[depth] in curves]
    depth = lesson.value("depth", depths[-1], depths)
    last = max(int(curve["epoch"].iloc[-1]) for curve in curves.values())
    epoch = lesson.value("epoch", last, range(1, last + 1))
    st.segmented_control("Layers", depths, required=True, **lesson.bound("depth", depth))
    st.slider("Epoch", 1, last, width=420, **lesson.bound("epoch", epoch))
    names = [name for name in (PLAIN[depth], RESIDUAL[depth]) if name in curves]
    networks = [found for name in names if (found := degradation.norms(name, curves[name], epoch)) is not None]
    script = Script()
    script.add(
        f"names = {listed(names)}",
        f"chart = gradients_by_block([norms(name, read_curve(name), {epoch}) for name in names])",
        imports=(
            "from resnet_viz.figures.gradients.gradients_by_block import gradients_by_block",
            "from resnet_viz.lessons.degradation import norms",
            "from resnet_viz.nets.curves import read_curve",
        ),
    )
    return Finding(about_gradients(networks), {"degradation-gradients": partial(gradients_by_block, networks)}, script)


def _with_depth(pair: Depths) -> str:
    """Say what additional layers did to one kind of network."""
    way = "worse" if pair.more_training > 0 else "better" if pair.more_training < 0 else "no better"
    kind = "plain" if pair.deep.plain else "residual"
    return (
        f"With {pair.deep.depth} layers instead of {pair.shallow.depth}, the {kind} network trains {way}:"
        f" {pair.deep.training:.1%} training error compared with {pair.shallow.training:.1%},"
        f" {pair.deep.test:.1%} test error compared with {pair.shallow.test:.1%}."
    )


LESSON = Lesson(
    slug="degradation",
    title="Degradation",
    question="Do deeper networks train worse because gradients vanish?",
    do="Compare the errors first, then look at the gradients epoch by epoch.",
    rows=("S15",),
    sources="He et al. 2015, arXiv 1512.03385, section 4.1 and figures 1 and 6; trained here on CIFAR-10, see the Model page.",
    body=body,
    page="Model",
    elsewhere=(("model", "plain56-cifar10"),),
)
