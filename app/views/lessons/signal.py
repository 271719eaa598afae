"""S3 and S16: how much of a signal survives many layers before any training, and how much gradient returns."""

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import streamlit as st

from app import jobs, results, show, waiting
from app.views.lessons import lesson
from app.views.lessons.lesson import Finding, Lesson
from app.views.view_code import Script, bare, quoted
from resnet_viz.figures.lessons.signal import AXES, Measure, signal_depth, signal_panels
from resnet_viz.lessons.signal import DEPTHS, SignalThroughDepth

SIGNALS = {"wave": "a wave", "picture": "the image"}
MEASURES: dict[Measure, str] = {
    "correlation": "correlation with the signal",
    "at_input": "gradient at the input",
    "at_first_layer": "gradient at the first layer",
    "loss": "loss before training",
}
NORMS = {"yes": "with", "no": "without"}
BRANCHES = {"1": "1", "0.3": "0.3", "0.1": "0.1", "0": "0"}
MOST_SEEDS = 99


def body() -> Finding | str:
    """The signal after a number of layers, and both chains by depth."""
    signal = lesson.value("signal", "wave", list(SIGNALS))
    depth = lesson.value("depth", 8, DEPTHS)
    measure = cast("Measure", lesson.value("see", "correlation", list(MEASURES)))
    norm = lesson.value("norm", "yes", list(NORMS))
    branch = lesson.value("branch", "1", list(BRANCHES))
    seed = lesson.value("seed", 0, range(MOST_SEEDS + 1))
    with lesson.doing():
        st.slider("Depth (convolutions)", 2, DEPTHS[-1], step=2, width=330, **lesson.bound("depth", depth))
        st.segmented_control(
            "Input", list(SIGNALS), format_func=SIGNALS.__getitem__, required=True, **lesson.bound("signal", signal)
        )
        st.selectbox("See", list(MEASURES), format_func=MEASURES.__getitem__, width=220, **lesson.bound("see", measure))
        st.segmented_control(
            "Batch norm", list(NORMS), format_func=NORMS.__getitem__, required=True, **lesson.bound("norm", norm)
        )
        st.selectbox(
            "Residual branches scaled by",
            list(BRANCHES),
            format_func=lambda factor: f"{factor} × F(x)",
            width=130,
            help="A factor on every residual branch before the addition. At 0, a block's output is its input.",
            **lesson.bound("branch", branch),
        )
        st.number_input("Seed", 0, MOST_SEEDS, width=110, **lesson.bound("seed", seed))
    options: dict[str, Any] = {"batch_norm": norm == "yes", "branch": float(branch), "seed": seed}
    found = _ask(signal, **options)
    if found is None:
        return "Stopped before the first result."
    left, right = st.columns([5, 8], vertical_alignment="bottom")
    drawn = {
        "signal-panels": partial(signal_panels, found, depth),
        "signal-depth": partial(signal_depth, found, measure, depth),
    }
    panels, chart = (draw(theme=show.theme()) for draw in drawn.values())
    with left:
        show.chart(panels, "signal-panels", width="content")
    with right:
        show.chart(chart, "signal-depth")
    st.caption(show.escape(f"{panels.layout.meta['how_to_read']} {chart.layout.meta['how_to_read']}"))
    place = DEPTHS.index(depth)
    maps = {"signal": found.signal, "plain": found.plain.maps[place], "residual": found.residual.maps[place]}
    return Finding(sentence(found, measure, depth), drawn, _script(signal, depth, measure, options), {"signal-panels": maps})


def _script(signal: str, depth: int, measure: Measure, options: Mapping[str, Any]) -> Script:
    script = Script()
    if signal == "picture":
        script.image(lesson.picture())
        script.add(
            "signal = CIFAR_PREPROCESSING.tensor(image)[0]", imports="from resnet_viz.nets.zoo import CIFAR_PREPROCESSING"
        )
    else:
        script.add("signal = wave()", imports="from resnet_viz.lessons.signal import wave")
    script.add(
        f"s = {bare('run', quoted(signal), 'signal', **options)}",
        f"panels = signal_panels(s, {depth})",
        f"chart = signal_depth(s, {quoted(measure)}, {depth})",
        imports=(
            "from resnet_viz.lessons.signal import run",
            "from resnet_viz.figures.lessons.signal import signal_depth, signal_panels",
        ),
    )
    return script


def sentence(found: SignalThroughDepth, measure: Measure, depth: int) -> str:
    """The finding in numbers."""
    place = DEPTHS.index(depth)
    plain, residual = (float(getattr(chain, measure)[place]) for chain in (found.plain, found.residual))
    if measure == "correlation":
        more = "more" if residual > plain + 0.005 else "less" if residual < plain - 0.005 else "no more"
        return (
            f"A single ReLU sets {found.cut:.0%} of the values to 0. After {depth} convolutions, the channels of the plain"
            f" chain have a correlation of {plain:.2f} with the signal. After {depth // 2} residual blocks, it is"
            f" {residual:.2f}: {more} of the signal is left."
        )
    first = DEPTHS[0]
    grown = [float(getattr(chain, measure)[place] / getattr(chain, measure)[0]) for chain in (found.plain, found.residual)]
    return (
        f"From depth {first} to {depth}, the {AXES[measure]} {_change(grown[0])} in the plain chain"
        f" and {_change(grown[1])} in the residual one. At depth {depth} it is {plain:.3g} in the plain chain and "
        f"{residual:.3g} in the residual one."
    )


def _change(factor: float) -> str:
    if factor > 1:
        return f"grows {float(f'{factor:.2g}'):,.{1 if factor < 10 else 0}f} times"
    return f"shrinks to {factor:.2g} of its value"


def _ask(signal: str, *, batch_norm: bool, branch: float, seed: int) -> SignalThroughDepth | None:
    if signal == "picture":
        subject = waiting.network(results.models()["resnet20-cifar10"].name, trained=False)
        return cast(
            "SignalThroughDepth",
            waiting.answer(
                subject,
                "step",
                "signal",
                lesson.picture(),
                None,
                "lesson signal",
                batch_norm=batch_norm,
                branch=branch,
                seed=seed,
            ),
        )
    answers = waiting.long(
        "step",
        ("signal", batch_norm, branch, seed),
        [lambda: jobs.submit_experiment("signal", "lesson signal", batch_norm=batch_norm, branch=branch, seed=seed)],
    )
    return None if answers is None else cast("SignalThroughDepth", answers[0])


LESSON = Lesson(
    slug="signal",
    title="The signal through depth",
    question="How much of the input is left after many layers?",
    do="Make the chains deeper, then reduce the factor on the residual branches.",
    rows=("S3", "S16"),
    sources="He et al. 2015, arXiv 1512.03385, sections 1 and 4.1. Both chains have the same weights, drawn as in He et al. "
    "2015b.",
    body=body,
    page="Gradients",
    elsewhere=(("model", "resnet20-cifar10"), ("beside", "plain")),
)
