"""Using fewer blocks: removed, faded or reordered, compared with the plain network of the same depth (S10)."""

import json
from collections.abc import Callable
from functools import partial
from typing import cast

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

import resnet_viz as rv
from app import jobs, results, show, waiting
from app.catalogue import Subject, plain_twin
from app.views.lessons import lesson, subject
from app.views.lessons.lesson import Finding, Lesson
from app.views.view_code import Script, bare, listed, quoted
from resnet_viz.analyses.ablation import AblationSweep
from resnet_viz.figures.block.removal_words import which_matters_most
from resnet_viz.figures.theme import short
from resnet_viz.lessons import fewer_blocks
from resnet_viz.lessons.fewer_blocks import Recorded

# Of all sizes together: each set of removed blocks is a forward pass.
MOST_SETS = 110
SEEN = {
    "each": "Each block in turn",
    "several": "Several at once",
    "removed": "Many images, many blocks",
    "shuffled": "Blocks in another order",
}


def body() -> Finding:
    """Switches and a fader, the predictions of both networks, and the losses block by block."""
    with lesson.doing():
        image = subject.picture_picker()
        network = subject.network_picker(lambda name: not subject.is_plain(name))
        names = results.block_names(network)
        scales = _scales(names)
        _fade(names, scales)
        _switches(names, scales)
    sweeps = _sweeps(network, image)
    ablations = [_ablate(each, image, _possible(scales, sweep)) for each, sweep in sweeps.items()]
    left, right = st.columns([2, 5], gap="large")
    with left:
        drawn: dict[str, Callable[..., go.Figure]] = {"answers": partial(rv.figures.answers, ablations)}
        lesson.chart(drawn, "answers")
    script = _script(sweeps, ablations, image)
    with right:
        drawn |= _seen(sweeps, image, script)
    answers = pd.DataFrame(
        [
            {"network": each.title, "class": prediction.label, "probability": prediction.probability}
            for each in ablations
            for prediction in each.predictions
        ]
    )
    sentence = _sentence(scales, ablations, list(sweeps.values()))
    return Finding(sentence, drawn, script, {"answers": answers.set_index("network")})


def _script(sweeps: dict[Subject, AblationSweep], ablations: list[rv.Ablation], image: str) -> Script:
    """The networks, their predictions with the scales, and without each block in turn."""
    script = Script()
    script.image(image)
    names = ["net", "twin"][: len(sweeps)]
    for name, network in zip(names, sweeps, strict=True):
        script.net(network, name)
    calls = [bare("rv.ablate", name, "image", json.dumps(each.scales)) for name, each in zip(names, ablations, strict=True)]
    target = next(iter(sweeps.values())).target
    script.add("", f"answers = rv.figures.answers([{', '.join(calls)}])")
    script.add(f"nets, target = [{', '.join(names)}], {target}")
    return script


def _scales(names: tuple[str, ...]) -> dict[str, float]:
    """Read "1.1:0,2.0:0.5" from the URL; invalid parts are ignored."""
    found = {}
    for entry in lesson.value("scales", "").split(","):
        name, _, text = entry.partition(":")
        full = f"layer{name}"
        if full in names and text.replace(".", "", 1).isdecimal():
            found[full] = min(1.0, float(text))
    return {name: scale for name, scale in found.items() if scale != 1}


def _switches(names: tuple[str, ...], scales: dict[str, float]) -> None:
    on = [name for name in names if scales.get(name, 1) > 0]
    st.session_state["lesson_switches"] = on
    st.pills(
        "Residual branches: click one to switch it off or on",
        names,
        format_func=short,
        selection_mode="multi",
        key="lesson_switches",
        on_change=_switched,
        args=(names, scales),
    )


def _switched(names: tuple[str, ...], scales: dict[str, float]) -> None:
    on = st.session_state["lesson_switches"]
    _put({name: 0.0 if name not in on else scales.get(name, 1.0) or 1.0 for name in names})


def _fade(names: tuple[str, ...], scales: dict[str, float]) -> None:
    block = lesson.value("block", names[-1], names)
    st.selectbox("Fade block", names, format_func=short, width=100, **lesson.bound("block", block))
    st.session_state["lesson_fade"] = scales.get(block, 1.0)
    st.slider(
        "to",
        0.0,
        1.0,
        step=0.05,
        width=170,
        key="lesson_fade",
        on_change=_faded,
        args=(block, scales),
        help="A factor on F(x): 0 removes it.",
    )


def _faded(block: str, scales: dict[str, float]) -> None:
    _put(scales | {block: st.session_state["lesson_fade"]})


def _put(scales: dict[str, float]) -> None:
    lesson.change(scales=",".join(f"{short(name)}:{scale:g}" for name, scale in scales.items() if scale != 1))


def _sweeps(network: Subject, image: str) -> dict[Subject, AblationSweep]:
    """The network and the plain one of the same depth, if available, without each block in turn, for the predicted class."""
    own = _sweep(network, image, None)
    twin = results.models().get(plain_twin(network.model))
    if twin is None or not twin.here or network.own:
        return {network: own}
    beside = waiting.network(twin.name, trained=True)
    return {network: own, beside: _sweep(beside, image, own.target)}


def _sweep(network: Subject, image: str, target: int | None) -> AblationSweep:
    view = f"ablation sweep {network.model}"
    return cast("AblationSweep", waiting.answer(network, "block", "ablation sweep", image, target, view))


def _ablate(network: Subject, image: str, scales: dict[str, float]) -> rv.Ablation:
    view = f"ablation {network.model}"
    return cast("rv.Ablation", waiting.answer(network, "block", "ablation", image, None, view, **scales))


def _possible(scales: dict[str, float], sweep: AblationSweep) -> dict[str, float]:
    removable = {block.name for block in sweep.blocks if block.removable}
    return {name: scale for name, scale in scales.items() if name in removable}


def _seen(found: dict[Subject, AblationSweep], image: str, script: Script) -> dict[str, Callable[..., go.Figure]]:
    """The chosen chart, which is added to the script; nothing while it is computed."""
    sweeps = list(found.values())
    recorded = _recorded([sweep.model for sweep in sweeps])
    kinds = list(SEEN) if recorded else ["each", "several"]
    chosen = lesson.value("see", "each", kinds)
    st.segmented_control(
        "See",
        kinds,
        format_func=lambda name: SEEN[name],
        required=True,
        label_visibility="collapsed",
        **lesson.bound("see", chosen),
    )
    if chosen == "each":
        draw = partial(rv.figures.removal_bars, sweeps)
        script.add(
            "chart = rv.figures.removal_bars([sweep(each, image, target) for each in nets])",
            imports="from resnet_viz.analyses.ablation import sweep",
        )
    elif chosen == "several":
        target = sweeps[0].target
        several = []
        for network in found:
            deleted = _deletions(network, image, target)
            if deleted is None:
                return {}
            several.append(deleted)
        draw = partial(rv.figures.deletion_lines, several)
        counts = ", ".join(f"({name}, {_sets(network)})" for name, network in zip(("net", "twin"), found, strict=False))
        script.add(
            f"several = [rv.deletions(each, image, target, sets=sets) for each, sets in ({counts},)]",
            "chart = rv.figures.deletion_lines(several)",
        )
    else:
        titles = [results.models()[record.model].title for record in recorded]
        change: fewer_blocks.Change = "removed" if chosen == "removed" else "shuffled"
        draw = partial(rv.figures.accuracy_lines, recorded, titles, change)
        script.add(
            f"recorded = [read(name) for name in {listed([record.model for record in recorded])}]",
            f"chart = rv.figures.accuracy_lines(recorded, {listed(titles)}, {quoted(change)})",
            imports="from resnet_viz.lessons.fewer_blocks import read",
        )
    lesson.chart({"fewer-blocks": draw}, "fewer-blocks")
    if chosen == "each":
        st.caption(show.escape(which_matters_most(sweeps[0])))
    return {"fewer-blocks": draw}


def _sets(network: Subject) -> int:
    return max(MOST_SETS // len(results.block_names(network)), 3)


def _deletions(network: Subject, image: str, target: int) -> rv.Deletions | None:
    """Several blocks removed at once; None if that was stopped."""
    view, sets = f"deletions {network.model}", _sets(network)
    ask = [lambda: jobs.submit(network, "deletions", image, target, view, sets=sets)]
    answers = waiting.long("pass", (view, network.key, image, target), ask, network)
    return None if answers is None else cast("rv.Deletions", answers[0])


def _recorded(models: list[str]) -> list[Recorded]:
    """The measurements on test images, if all the networks have them."""
    known = fewer_blocks.recorded_models()
    return [fewer_blocks.read(model) for model in models] if set(models) <= set(known) else []


def _sentence(scales: dict[str, float], ablations: list[rv.Ablation], sweeps: list[AblationSweep]) -> str:
    if not scales:
        return " ".join(map(_everything, sweeps)) + " Switch a block off and compare the predictions."
    off = [name for name, scale in scales.items() if scale == 0]
    faded = [f"block {short(name)} at {scale:.0%}" for name, scale in scales.items() if scale > 0]
    changed = " and ".join([f"without {_listed(off)}"] * bool(off) + [f"with {', '.join(faded)}"] * bool(faded))
    parts = [_says(ablation, sweep) for ablation, sweep in zip(ablations, sweeps, strict=True)]
    staying = [name for name in scales if name not in ablations[-1].scales]
    rest = f" ({_listed(staying)} of the plain network changes the shape, so it stays)" if staying else ""
    return f"{changed[0].upper()}{changed[1:]} {', while '.join(parts)}{rest}."


def _listed(names: list[str]) -> str:
    return "block" + "s" * (len(names) > 1) + " " + " and ".join(", ".join(map(short, names)).rsplit(", ", 1))


def _everything(sweep: AblationSweep) -> str:
    return f"With every block, {sweep.title} gives {sweep.target_label} a probability of {sweep.probability:.0%}."


def _says(ablation: rv.Ablation, sweep: AblationSweep) -> str:
    best = ablation.predictions[0]
    if best.label == sweep.prediction:
        return f"{ablation.title} still predicts {best.label} ({best.probability:.0%})"
    return f"{ablation.title} predicts {best.label} ({best.probability:.0%}) instead of {sweep.prediction}"


LESSON = Lesson(
    slug="fewer-blocks",
    title="Using fewer blocks",
    question="Does the network need all of its blocks?",
    do="Switch blocks off, or fade one, and watch the predictions.",
    rows=("S10",),
    sources="Veit et al. 2016, arXiv 1605.06431. He et al. 2015, arXiv 1512.03385, section 3.1.",
    body=body,
)
