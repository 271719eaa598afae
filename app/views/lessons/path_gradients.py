"""The unravelled view: how many paths of each length a network has, and how much of the gradient flows through them."""

from functools import partial
from typing import cast

import numpy as np
import pandas as pd
import streamlit as st

import resnet_viz as rv
from app import jobs, waiting
from app.catalogue import Subject
from app.views.lessons import lesson, own_picture, subject
from app.views.lessons.lesson import Finding, Lesson
from app.views.view_code import Script
from resnet_viz.figures.lessons.path_gradients import carrying

SEEN = {"all": "All paths, exactly", "sampled": "Random paths, as published"}
MOST_SEEDS = 99


def body() -> Finding:
    """Both shares by length, and on request the estimate from random paths."""
    with lesson.doing():
        image = own_picture.picker()
        network = subject.network_picker(lambda name: not subject.is_plain(name))
        see = lesson.value("see", "all", list(SEEN))
        st.segmented_control("Show", list(SEEN), format_func=SEEN.__getitem__, required=True, **lesson.bound("see", see))
        seed = lesson.value("seed", 0, range(MOST_SEEDS + 1))
        if see == "sampled":
            st.number_input("Seed", 0, MOST_SEEDS, width=110, **lesson.bound("seed", seed))
    lengths = cast("rv.PathLengths", waiting.answer(network, "block", "path lengths", image, None, "path lengths"))
    samples = _samples(network, image, seed) if see == "sampled" else None
    drawn = {"path-shares": partial(rv.figures.path_shares, lengths, samples)}
    shares = pd.DataFrame({"paths": np.array(lengths.paths) / sum(lengths.paths), "gradient": lengths.shares})
    script = Script.of(network, image)
    script.add("", "lengths = rv.path_gradients(net, image).lengths")
    if samples is None:
        lesson.chart(drawn, "path-shares")
        script.add("shares = rv.figures.path_shares(lengths)")
        return Finding(_sentence(lengths), drawn, script, {"path-shares": shares.rename_axis("branches")})
    drawn["single-paths"] = partial(rv.figures.single_paths, samples)
    left, right = st.columns(2, gap="large")
    with left:
        lesson.chart(drawn, "path-shares")
    with right:
        lesson.chart(drawn, "single-paths")
    script.add(f"samples = rv.path_samples(net, image, seed={seed})")
    script.add("shares = rv.figures.path_shares(lengths, samples)", "single = rv.figures.single_paths(samples)")
    shares["sampled"] = samples.estimates
    return Finding(_sampled_sentence(lengths, samples), drawn, script, {"path-shares": shares.rename_axis("branches")})


def _samples(network: Subject, image: str, seed: int) -> rv.PathSamples | None:
    ask = [lambda: jobs.submit(network, "path samples", image, None, "path samples", seed=seed)]
    answers = waiting.long("path length", ("path samples", network.key, image, seed), ask, network)
    return None if answers is None else cast("rv.PathSamples", answers[0])


def _sentence(lengths: rv.PathLengths) -> str:
    n = len(lengths.paths) - 1
    first, last, carried = carrying(lengths)
    counted = sum(lengths.paths[first : last + 1]) / sum(lengths.paths)
    mean = sum(k * float(share) for k, share in enumerate(lengths.shares))
    return (
        f"{lengths.title} has 2^{n} = {sum(lengths.paths):,} paths through its {n} blocks, and the average path goes through"
        f" {n / 2:.1f} residual branches; weighted by their share of the gradient, paths go through {mean:.1f}. The paths"
        f" through {first} to {last} branches are {counted:.0%} of all paths and carry {carried:.0%} of the gradient."
    )


def _sampled_sentence(lengths: rv.PathLengths, samples: rv.PathSamples) -> str:
    away = abs(samples.estimates - lengths.shares)
    worst = int(away.argmax())
    norms = samples.norms[worst]
    return (
        f"With {len(norms)} random paths of each length the estimate is farthest off at {worst} branches:"
        f" {samples.estimates[worst]:.0%}, where the exact share is {lengths.shares[worst]:.0%}. The gradients through single"
        f" paths of that length have norms from {norms.min():.2g} to {norms.max():.2g}, so a small sample is uncertain."
    )


LESSON = Lesson(
    slug="paths",
    title="A network as many paths",
    question="Through which paths does the gradient come?",
    do="Compare how many paths of each length there are with what comes through them; then try a deeper network.",
    rows=(),
    sources="Veit et al. 2016, Residual Networks Behave Like Ensembles of Relatively Shallow Networks, arXiv 1605.06431.",
    body=body,
    page="Gradients",
)
