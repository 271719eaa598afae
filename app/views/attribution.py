"""Attribution: which pixels speak for the class, through which block, and can the map be trusted?"""

from dataclasses import fields
from functools import partial
from typing import TypeVar

import streamlit as st

import controls
import resnet_viz as rv
import results
import show
from controls import Selection
from resnet_viz.analyses.baselines import BASELINES
from resnet_viz.analyses.trust import OnStep
from views import asking, current

VIEWS = {
    "one": "One method",
    "gallery": "Gallery",
    "strip": "Grad-CAM of every block",
    "conductance": "Conductance",
    "trust": "Can it be trusted?",
}
PLACES = {"output": "after the addition", "residual": "residual branch", "shortcut": "shortcut"}
STEPS, SAMPLES = ("16", "32", "64", "128", "256", "512"), ("8", "16", "24", "48", "96")
LARGE_DELTA = 0.05
INFIDELITY = (
    "The mean squared difference between what the map predicts for noisy copies of the picture and what the logit does, after"
    " the best scaling; 0 is best."
)
SENSITIVITY = "How far the map moves at most when the picture hardly does, relative to the map; 0 is best."
Value = TypeVar("Value", bound=str)
FAST = ("saliency", "input_x_gradient", "integrated_gradients", "smoothgrad", "deep_lift", "guided_backprop", "grad_cam")


def page() -> None:
    """The whole page, top to bottom."""
    result, chosen = current.top()
    view = chosen.view if chosen.view in VIEWS else "one"
    st.segmented_control(
        "Show", list(VIEWS), format_func=lambda name: VIEWS[name], required=True, **controls.bound("view", view)
    )
    net = asking.network(chosen.model, trained=chosen.trained)
    {"one": _one, "gallery": _gallery, "strip": _strip, "conductance": _conductance, "trust": _trust}[view](net, result, chosen)


def _one(net: rv.Net, result: rv.Inspection, chosen: Selection) -> None:
    method, options = _method(result, chosen)
    found = _attribute(net, chosen, method, options, result.target)
    if found is not None:
        _map(found)
        _sum(found, options)


def _method(result: rv.Inspection, chosen: Selection) -> tuple[str, dict[str, object]]:
    """The method and the options that it has, bound to the URL."""
    method = chosen.method if chosen.method in rv.METHODS else "integrated_gradients"
    known = {field.name for field in fields(rv.METHODS[method].options)}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Method",
            list(rv.METHODS),
            format_func=lambda name: rv.METHODS[name].title,
            width=260,
            help=f"{rv.METHODS[method].sentence} {rv.METHODS[method].source}",
            **controls.bound("method", method),
        )
        options: dict[str, object] = {}
        if "baseline" in known:
            options["baseline"] = _choice("baseline", "Baseline", BASELINES, chosen.baseline)
        if "steps" in known:
            options["steps"] = int(_choice("steps", "Steps", STEPS, chosen.steps or "32"))
        if "samples" in known:
            options["samples"] = int(_choice("samples", "Samples", SAMPLES, chosen.samples or "24"))
        if "block" in known:
            options["block"] = chosen.block
            _choice("block", "At block", tuple(block.name for block in result.blocks), chosen.block)
            places = tuple(PLACES) if result.block(chosen.block).shortcut != "none" else ("output", "residual")
            options["place"] = _choice("place", "Place", places, chosen.place, PLACES)
    return method, options


def _choice(field: str, label: str, values: tuple[Value, ...], value: str, names: dict[str, str] | None = None) -> Value:
    here = next((each for each in values if each == value), values[0])
    st.selectbox(
        label, values, format_func=lambda name: (names or {}).get(name, name), width=190, **controls.bound(field, here)
    )
    return here


def _attribute(net: rv.Net, chosen: Selection, method: str, options: dict[str, object], target: int) -> rv.Attribution | None:
    """The attribution, with progress and a way to stop it; None where it was stopped."""

    def compute(report: OnStep) -> rv.Attribution:
        return results.attribution(net, chosen.image, target, method, options, lambda done, total, _: report(done, total))

    return asking.stoppable(f"{net.title}: {rv.METHODS[method].title}", (method, str(options)), compute)


def _map(found: rv.Attribution) -> None:
    figure = rv.figures.attribution_map(found, theme=show.theme())
    show.heading(figure)
    show.chart(figure, "attribution", width="content")


def _sum(found: rv.Attribution, options: dict[str, object]) -> None:
    """What the map adds up to, and what it should."""
    st.caption(f"{found.seconds:.2f} s on {found.device}. {rv.METHODS[found.method].source}.")
    if found.delta is None or found.difference is None:
        return
    relative = found.relative_delta or 0.0
    sentence = (
        f"The map adds up to {found.difference + found.delta:+.3f} logits; the picture and the baseline differ by"
        f" {found.difference:+.3f}. Delta {found.delta:+.2g}, {relative:.1%} of the difference."
    )
    if relative <= LARGE_DELTA:
        st.success(show.escape(sentence), icon=":material/check:")
        return
    st.warning(f"{show.escape(sentence)} That is too much to trust single pixels.", icon=":material/warning:")
    _double(int(str(options.get("steps", 0))), relative)


def _double(steps: int, relative: float) -> None:
    """Offer more steps where the sum misses by too much and more would help."""
    doubled = str(2 * steps)
    if relative > LARGE_DELTA and doubled in STEPS:
        st.button(f"Double the steps to {doubled}", on_click=controls.change, kwargs={"steps": doubled})


def _gallery(net: rv.Net, result: rv.Inspection, chosen: Selection) -> None:
    methods = [name for name in chosen.methods.split(",") if name in rv.METHODS] or list(FAST)
    st.multiselect(
        "Methods",
        list(rv.METHODS),
        format_func=lambda name: rv.METHODS[name].title,
        key="choose_methods_list",
        default=methods,
        on_change=_take_methods,
    )

    def compute(report: OnStep) -> list[rv.Attribution]:
        found = []
        for number, method in enumerate(methods):
            report(number, len(methods))
            on_progress = partial(_still, report, number, len(methods))
            found.append(results.attribution(net, chosen.image, result.target, method, {}, on_progress))
        return found

    found = asking.stoppable(f"{net.title}: methods", ("gallery", *methods), compute)
    if found:
        figure = rv.figures.attribution_gallery(found, show.theme())
        show.heading(figure)
        show.chart(figure, "methods", width="content")


def _still(report: OnStep, number: int, total: int, *_: object) -> None:
    """While one of several methods works, none more is done; the report notices when the person has gone on."""
    report(number, total)


def _take_methods() -> None:
    controls.change(methods=",".join(st.session_state["choose_methods_list"]))


def _strip(_: rv.Net, result: rv.Inspection, chosen: Selection) -> None:
    figure = rv.figures.cam_strip(result, chosen.block, show.theme())
    show.heading(figure)
    show.chart(figure, "cam-strip", width="content", on_click=lambda block: controls.change(block=block))
    overlay = rv.figures.cam_overlay(result, chosen.block, show.theme())
    show.heading(overlay, level=4)
    show.chart(overlay, "cam", width="content")


def _conductance(net: rv.Net, result: rv.Inspection, chosen: Selection) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        baseline = _choice("baseline", "Baseline", BASELINES, chosen.baseline)
        steps = int(_choice("steps", "Steps", STEPS, chosen.steps or "32"))

    def compute(report: OnStep) -> rv.Conductance:
        return results.conductance(net, chosen.image, result.target, steps, baseline, report)

    found = asking.stoppable(f"{net.title}: points of the line", ("conductance", steps, baseline), compute)
    if found is None:
        return
    figure = rv.figures.conductance_bars(found, show.theme())
    show.heading(figure)
    show.chart(figure, "conductance")
    relative = abs(found.delta / found.difference) if found.difference else 0.0
    st.caption(
        show.escape(
            f"{steps} steps; the block that misses the difference by most misses it by {found.delta:+.3f} logits"
            f" ({relative:.1%})."
        )
    )
    _double(steps, relative)


def _trust(net: rv.Net, result: rv.Inspection, chosen: Selection) -> None:
    method, options = _method(result, chosen)
    found = _attribute(net, chosen, method, options, result.target)
    if found is None:
        return
    _map(found)
    st.caption(
        "Deletion covers the pixels that the map calls most important: the class should go quickly. Randomisation makes the"
        " network forget what it learned, from the head down: a map that does not change never showed what was learned."
    )
    left, right = st.columns(2)
    key = (method, str(options))
    with left:
        curves = asking.stoppable(
            f"{net.title}: pictures",
            ("perturbation", *key),
            lambda report: results.perturbation(net, chosen.image, found, report),
        )
        if curves is not None:
            figure = rv.figures.perturbation_curves(curves, found.target_label, show.theme())
            show.heading(figure, level=4)
            show.chart(figure, "perturbation", width="content")
    with right:
        steps = asking.stoppable(
            f"{net.title}: layers forgotten",
            ("randomisation", *key),
            lambda report: results.randomisation(net, chosen.image, found, report),
        )
        if steps is not None:
            figure = rv.figures.randomisation_steps(steps, show.theme())
            show.heading(figure, level=4)
            show.chart(figure, "randomisation", width="content")
    if st.toggle("Measure infidelity and sensitivity too", help="Some hundred more passes (Yeh et al. 2019)."):
        _robustness(net, chosen, found)


def _robustness(net: rv.Net, chosen: Selection, found: rv.Attribution) -> None:
    metrics = asking.stoppable(
        f"{net.title}: metrics",
        ("robustness", found.method, str(found.options)),
        lambda report: results.robustness(net, chosen.image, found, report),
    )
    if metrics is not None:
        with st.container(horizontal=True):
            st.metric("Infidelity", f"{metrics.infidelity:.3g}", help=INFIDELITY, width="content")
            st.metric("Max-sensitivity", f"{metrics.sensitivity:.3g}", help=SENSITIVITY, width="content")
