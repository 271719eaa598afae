"""How similar the gradients at neighbouring images are: plain and residual networks, before and after training."""

from functools import partial
from typing import cast

import streamlit as st

import resnet_viz as rv
from app import jobs, results, waiting
from app.catalogue import Subject
from app.views.lessons import lesson, own_picture
from app.views.lessons.lesson import Finding, Lesson
from app.views.view_code import Script, listed
from resnet_viz.engine.jobs import Ticket

NETWORKS = ("plain20-cifar10", "resnet20-cifar10", "plain56-cifar10", "resnet56-cifar10")
STATES = {"no": "before training", "yes": "after training"}


def body() -> Finding | str:
    """Four networks on one line of images."""
    with lesson.doing():
        image = own_picture.picker()
        trained = lesson.value("trained", "no", list(STATES))
        st.segmented_control(
            "Networks", list(STATES), format_func=STATES.__getitem__, required=True, **lesson.bound("trained", trained)
        )
    found = _ask(image, trained=trained == "yes")
    if found is None:
        return "Stopped before the first result."
    drawn = {"gradient-autocorrelation": partial(rv.figures.gradient_autocorrelation, found)}
    lesson.chart(drawn, "gradient-autocorrelation")
    script = Script()
    script.image(image)
    opened = "rv.load(name)" if trained == "yes" else "rv.load(name, weights=None)"
    script.add(
        f"networks = {listed([each.model for each in found])}",
        f"found = [rv.shattered_gradients({opened}, image) for name in networks]",
        "chart = rv.figures.gradient_autocorrelation(found)",
    )
    return Finding(_sentence(found, STATES[trained]), drawn, script)


def _ask(image: str, *, trained: bool) -> list[rv.Autocorrelation] | None:
    networks = [waiting.network(name, trained=trained) for name in NETWORKS if not trained or results.models()[name].here]
    asks = [lambda network=network: _submit(network, image) for network in networks]
    answers = waiting.long("Network", ("shattered gradients", image, trained), asks)
    return cast("list[rv.Autocorrelation] | None", answers)


def _submit(network: Subject, image: str) -> Ticket:
    return jobs.submit(network, "shattered gradients", image, None, f"shattered gradients {network.model}")


def _sentence(found: list[rv.Autocorrelation], state: str) -> str:
    by_name = {each.model: each for each in found}
    deep = [by_name[name] for name in NETWORKS[2:] if name in by_name]
    correlations = " and ".join(f"{each.values[1]:.2f} in {each.title}" for each in deep)
    step = float(found[0].lags[1])
    same = {each.target_label for each in found}
    about = f"the logit of {same.pop()}" if len(same) == 1 else "the logit that each network predicts"
    return (
        f"{state.capitalize()}, two images {step:.1%} of the line apart have gradients of {about} with a correlation of"
        f" {correlations}. A gradient that changes completely from one image to the next is no guide for a training step."
    )


LESSON = Lesson(
    slug="shattered-gradients",
    title="Shattered gradients",
    question="Do neighbouring images have similar gradients?",
    do="Compare plain and residual networks before training, then after it.",
    rows=(),
    sources="Balduzzi et al. 2017, The Shattered Gradients Problem, arXiv 1702.08591. Line from the mean colour to the image.",
    body=body,
    page="Gradients",
)
