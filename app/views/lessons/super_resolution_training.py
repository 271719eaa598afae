"""The training: four networks for super-resolution, recorded, on the reader's image, and live (S4, S19)."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import cast

import streamlit as st

import resnet_viz as rv
from app import jobs, show, waiting
from app.state import Selection
from app.views.lessons import lesson, own_picture
from app.views.lessons.factor_picker import factor_picker
from app.views.lessons.lesson import Finding, Lesson
from app.views.view_code import Script, bare
from resnet_viz.analyses.activations import Array
from resnet_viz.figures.lessons.super_resolution_training import signed
from resnet_viz.lessons import super_resolution_recorded as recorded
from resnet_viz.lessons.super_resolution_nets import DESIGNS
from resnet_viz.lessons.super_resolution_pictures import Attempts
from resnet_viz.lessons.super_resolution_training import TRAINING_PHOTOS, VALIDATION_PHOTOS, Trial, Trials

SEEN = {"recorded": "Recorded training", "picture": "On your image", "live": "Train now"}
DEPTHS, STEPS = (6, 12, 20), (100, 300, 600)
RECORDED = "from resnet_viz.lessons.super_resolution_recorded import curves"
TRAINED_NOW = "from resnet_viz.lessons.super_resolution_training import train_all"
RATES = {"0.001": 1e-3, "0.003": 3e-3, "0.01": 1e-2}


@dataclass(frozen=True, eq=False)
class CurveRows:
    """The curves of a training so far, as `train_all` reports them; None before the first point."""

    key: Hashable
    rows: Array | None
    steps: int


def body() -> Finding | str:
    """One of three views, with its controls."""
    with lesson.doing():
        see = lesson.value("see", "recorded", list(SEEN))
        st.segmented_control("See", list(SEEN), format_func=SEEN.__getitem__, required=True, **lesson.bound("see", see))
        factor = factor_picker(2)
        if see == "picture":
            image = own_picture.picker()
        if see == "live":
            depth, steps, rate = _recipe()
    # The previous view must not stay visible below the progress of this one.
    above, below = st.container(), st.empty() if see == "live" else st.container()
    if see == "live":
        with above:
            found = _live(factor, depth, steps, rate)
        with below.container():
            if isinstance(found, CurveRows):
                return _stopped(found)
            options = {"factor": factor, "depth": depth, "steps": steps, "rate": RATES[rate]}
            return _curves(found, "seconds", bare("train_all", **options), TRAINED_NOW)
    with below:
        if see == "picture":
            return _picture(image, factor)
        return _curves(recorded.curves(factor), "CPU seconds", f"curves({factor})", RECORDED)


def _recipe() -> tuple[int, int, str]:
    depth = lesson.value("depth", 12, DEPTHS)
    st.segmented_control("Layers", DEPTHS, required=True, **lesson.bound("depth", depth))
    steps = lesson.value("steps", 300, STEPS)
    st.segmented_control("Steps", STEPS, required=True, **lesson.bound("steps", steps))
    rate = lesson.value("rate", "0.001", list(RATES))
    st.segmented_control("Learning rate", list(RATES), required=True, **lesson.bound("rate", rate))
    return depth, steps, rate


def _picture(image: str, factor: int) -> Finding:
    network = waiting.network(Selection().model, trained=True)
    found = cast(
        "Attempts",
        waiting.answer(network, "network", "super-resolution", image, None, "lesson super-resolution", factor=factor),
    )
    drawn = {"resolved": partial(rv.figures.resolved_pictures, found)}
    lesson.chart(drawn, "resolved", level=3, width="content")
    script = Script()
    script.image(image)
    script.add(
        f"found = super_resolve(image, factor={factor})",
        "chart = rv.figures.resolved_pictures(found)",
        imports="from resnet_viz.lessons.super_resolution_pictures import super_resolve",
    )
    gains = {attempt.name: attempt.quality.psnr - found.problem.quality.psnr for attempt in found.attempts}
    known = f"{image}.jpg" in TRAINING_PHOTOS
    seen = " All four were trained on this photo. Choose another one for a fair comparison." if known else ""
    pixels = {"target": found.problem.target, "bicubic": found.problem.upsampled} | {
        attempt.name: attempt.picture for attempt in found.attempts
    }
    sentence = f"Compared with bicubic interpolation on this image: {_listed(gains)}.{seen}"
    return Finding(sentence, drawn, script, {"resolved": pixels})


def _live(factor: int, depth: int, steps: int, rate: str) -> Trials | CurveRows:
    """The result of a training; if it was stopped, the result so far."""
    key: Hashable = ("super-resolution training", factor, depth, steps, rate)
    drawn = count()

    def preview(rows: Array) -> None:
        st.session_state["lesson_rows"] = CurveRows(key, rows, steps)
        _draw(CurveRows(key, rows, steps), f"live-{next(drawn)}")

    finished: tuple[Hashable, Trials] | None = st.session_state.get("lesson_trials")
    if finished is not None and finished[0] == key:
        return finished[1]
    if st.session_state.get("lesson_started") != key and not waiting.is_stopped(key):
        st.button("Start the training", type="primary", icon=":material/play_arrow:", on_click=_start, args=(key,))
        return CurveRows(key, None, 0)
    options = {"factor": factor, "depth": depth, "steps": steps, "rate": RATES[rate]}
    ask = [lambda: jobs.submit_experiment("super-resolution training", "lesson training", **options)]
    try:
        answers = waiting.long("Four networks, step", key, ask, preview=preview, resume=partial(_start, key))
    except BaseException:
        # Whoever leaves while it runs starts it again on purpose; a script that is left ends with an exception.
        st.session_state.pop("lesson_started", None)
        raise
    if answers is not None:
        st.session_state["lesson_trials"] = (key, answers[0])
        return cast("Trials", answers[0])
    kept: CurveRows | None = st.session_state.get("lesson_rows")
    return kept if kept is not None and kept.key == key else CurveRows(key, None, steps)


def _start(key: Hashable) -> None:
    st.session_state["lesson_started"] = key


def _stopped(found: CurveRows) -> str:
    if found.steps == 0:
        return "The training takes about a minute; its curves are drawn while it runs."
    if found.rows is None:
        return "Stopped before the first result."
    _draw(found, "stopped")
    last = found.rows[-1]
    gains = {name: float(last[column] - last[1]) for column, name in enumerate(DESIGNS, start=2)}
    return f"Stopped after {last[0]:.0f} steps. Compared with bicubic interpolation: {_listed(gains)}."


def _draw(found: CurveRows, key: str) -> None:
    if found.rows is not None:
        figure = rv.figures.curves_so_far(found.rows, found.steps, show.theme())
        show.heading(figure)
        show.chart(figure, key)


def _curves(found: Trials, unit: str, call: str, needed: str) -> Finding:
    drawn = {"training-it": partial(rv.figures.super_resolution_curves, found)}
    figure = drawn["training-it"](theme=show.theme())
    show.heading(figure)
    chart, table = st.columns([3, 2], vertical_alignment="center")
    with chart:
        show.chart(figure, "training-it")
    with table:
        _table(found, unit)
    script = Script()
    script.add(f"trials = {call}", "chart = rv.figures.super_resolution_curves(trials)", imports=needed)
    return Finding(_sentence(found), drawn, script)


def _table(found: Trials, unit: str) -> None:
    rows = [
        f"| **{DESIGNS[trial.name].title}** | {trial.psnr[-1]:.2f} | {trial.ssim:.3f} | {trial.parameters:,} |"
        f" {trial.multiply_adds:,.0f} | {trial.seconds:.0f} |"
        for trial in found.trials
    ]
    bicubic = f"| Bicubic | {found.bicubic.psnr:.2f} | {found.bicubic.ssim:.3f} | 0 | | |"
    head = f"| | PSNR | SSIM | weights | multiply-adds per pixel | {unit} |\n|:--|--:|--:|--:|--:|--:|"
    with st.container(key="lesson-table"):
        st.markdown("\n".join([head, bicubic, *rows]))
    st.caption(f"Trained on patches of {_photos(TRAINING_PHOTOS)}; measured on {_photos(VALIDATION_PHOTOS)}.")


def _sentence(found: Trials) -> str:
    trials = {trial.name: trial for trial in found.trials}
    gains = {name: _gain(trial, found) for name, trial in trials.items()}
    plain, small = trials["plain"], trials["shuffle"]
    worse = "worse than" if gains["plain"] < 0 else "better than"
    skip = gains["global"] - gains["plain"]
    best = max(gains["global"], gains["blocks"])
    ahead = "ahead of both residual networks" if gains["shuffle"] > best else "behind the better residual network"
    return (
        f"After {found.steps[-1]:,.0f} steps, the plain network of {found.depth} layers is {abs(gains['plain']):.2f} dB {worse}"
        f" its input, the bicubic image. The same layers with the input added at the end are {abs(skip):.2f} dB"
        f" {'better' if skip >= 0 else 'worse'}. The small CNN, with {small.multiply_adds / plain.multiply_adds:.0%} of the"
        f" work, is {ahead}."
    )


def _gain(trial: Trial, found: Trials) -> float:
    return float(trial.psnr[-1]) - found.bicubic.psnr


def _listed(gains: dict[str, float]) -> str:
    return ", ".join(f"{DESIGNS[name].title} {signed(gain)} dB" for name, gain in gains.items())


def _photos(files: tuple[str, ...]) -> str:
    names = [file.removesuffix("-photo.jpg") for file in files]
    return f"{', '.join(names[:-1])} and {names[-1]}"


LESSON = Lesson(
    slug="training-it",
    title="Training the networks",
    question="Why learn only the residual?",
    do="Compare the four networks, try them on your image, then train them yourself. 20 layers at a rate of 0.01 are hard.",
    rows=("S4", "S19"),
    sources="Kim et al. 2016, arXiv 1511.04587; Shi et al. 2016, arXiv 1609.05158; He et al. 2015, arXiv 1512.03385.",
    body=body,
    page="Model",
    elsewhere=(("model", "plain20-cifar10"),),
)
