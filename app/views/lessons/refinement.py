"""Iterative refinement: does each residual reduce the loss, and what is the loss after each block?"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import cast

import plotly.graph_objects as go
import streamlit as st

import resnet_viz as rv
from app import jobs, results, waiting
from app.catalogue import Subject
from app.views.lessons import lesson, own_picture, subject
from app.views.lessons.lesson import Finding, Lesson
from app.views.view_code import ASSETS, Script, bare
from resnet_viz.figures.theme import short

OVER = {"image": "one image", "samples": "all sample photos"}


def body() -> Finding | str:
    """The target class, the cosines and the losses, of one image or of all samples."""
    over = lesson.value("over", "image", list(OVER))
    with lesson.doing():
        st.segmented_control("Measure", list(OVER), format_func=OVER.__getitem__, required=True, **lesson.bound("over", over))
        image = own_picture.picker() if over == "image" else ""
        network = subject.network_picker(lambda name: not subject.is_plain(name))
        target = _target(network.labels) if image else None
    if not image:
        return _all_samples(network)
    found = cast("rv.Refinement", waiting.answer(network, "pass", "refinement", image, target, "refinement"))
    drawn = {
        "refinement-cosines": partial(rv.figures.refinement_cosines, found),
        "refinement-losses": partial(rv.figures.refinement_losses, found),
    }
    _show(drawn)
    script = Script.of(network, image)
    options = {} if target is None else {"target": target}
    script.add("", f"found = {bare('rv.refinement', 'net', 'image', **options)}")
    script.add("cosines = rv.figures.refinement_cosines(found)", "losses = rv.figures.refinement_losses(found)")
    return Finding(_sentence(found), drawn, script)


def _all_samples(network: Subject) -> Finding | str:
    """The same for every sample photo: medians, and how far images differ."""
    archive = results.samples_archive()
    asks = [lambda: jobs.submit_archive(network, archive, "refinement survey", "refinement survey")]
    found = waiting.long("image", ("refinement survey", network.key), asks, network)
    if found is None:
        return "Stopped before all images were measured."
    survey = cast("rv.RefinementSurvey", found[0])
    drawn = {
        "refinement-cosines": partial(rv.figures.refinement_survey_cosines, survey),
        "refinement-losses": partial(rv.figures.refinement_survey_losses, survey),
    }
    _show(drawn)
    script = Script()
    script.net(network)
    script.add("found = rv.refinement_survey(net, SAMPLES_FOLDER)", imports=f"{ASSETS} SAMPLES_FOLDER")
    script.add("cosines = rv.figures.refinement_survey_cosines(found)", "losses = rv.figures.refinement_survey_losses(found)")
    sentence = (
        f"Over {len(survey.images)} sample photos, for the predicted class of each. For a folder of your own images, whose"
        f' sub-folders name the classes: rv.refinement_survey(net, "photos/").'
    )
    return Finding(sentence, drawn, script)


def _show(drawn: Mapping[str, Callable[..., go.Figure]]) -> None:
    for column, name in zip(st.columns(2, gap="large"), drawn, strict=True):
        with column:
            lesson.chart(drawn, name)


def _target(labels: tuple[str, ...]) -> int | None:
    """The class whose loss is measured: the predicted class, or the true class if the user knows it."""
    indices = [-1, *range(len(labels))]
    chosen = lesson.value("target", -1, indices)
    st.selectbox(
        "Loss of class",
        indices,
        format_func=lambda index: "predicted class" if index < 0 else labels[index],
        width=220,
        help="Choose the true class if you know it.",
        **lesson.bound("target", chosen),
    )
    return None if chosen < 0 else chosen


def _sentence(found: rv.Refinement) -> str:
    steps = list(zip(found.losses, found.losses[1:], found.blocks, strict=False))
    before, after, block = min(steps, key=lambda step: step[1] - step[0])
    known = [step for step in found.blocks if not math.isnan(step.cosine_input)]
    half = len(known) // 2
    compared = ""
    if half:
        early, late = known[:half], known[half:]
        compared = (
            f"In the earlier blocks, F(x) has on average {_mean(early, 'ratio'):.0%} of the norm of its input and a cosine of"
            f" {_mean(early, 'cosine_input'):+.3f} with the negative gradient. In the later blocks, the averages are"
            f" {_mean(late, 'ratio'):.0%} and {_mean(late, 'cosine_input'):+.3f}. "
        )
    return (
        f"{compared}Block {short(block.name)} reduces the loss of {found.target_label} most, from {before:.2f} to {after:.2f}."
    )


def _mean(blocks: list[rv.BlockStep], field: str) -> float:
    return float(sum(getattr(block, field) for block in blocks)) / len(blocks)


LESSON = Lesson(
    slug="refinement",
    title="Blocks as steps down the loss",
    question="Does each block improve on the one before?",
    do="Look for the blocks that lower the loss, and choose another class.",
    rows=(),
    sources="Greff et al. 2017, arXiv 1612.07771. Jastrzebski et al. 2018, arXiv 1710.04773.",
    body=body,
)
