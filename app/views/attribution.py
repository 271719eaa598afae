"""Attribution: which pixels raise the class's logit, through which block, and can the map be trusted?"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any

import plotly.graph_objects as go
import streamlit as st

import resnet_viz as rv
from app import jobs, results, show, state, viewport, waiting
from app.catalogue import Subject
from app.pictures import Ground
from app.state import Selection
from app.views import block_section, cells_picker, current, method_picker, shares
from app.views.block_section import SCALES
from app.views.share_section import Shared
from app.views.shares.attribution import MEASURED
from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.trust import Robustness
from resnet_viz.engine.jobs import OptionValue, Ticket
from resnet_viz.figures.attribution.overlay import Cells
from resnet_viz.figures.block.block_equation import Scale

VIEWS = {
    "one": "One method",
    "gallery": "Gallery",
    "strip": "Grad-CAM of every block",
    "conductance": "Conductance",
    "trust": "Can it be trusted?",
}
BY_METHOD = ("one", "trust")
LARGE_DELTA = 0.05
# Shares of a wide page: one map, and the map over the photo next to the map alone.
ONE_MAP, TWO_MAPS = 0.36, 1.0
INFIDELITY = (
    "The mean squared difference, in logits², between the change of the logit that the map predicts for noisy copies of the"
    " image and the change that the network shows, after the best scaling. 0 is best."
)
SENSITIVITY = "The largest change of the map, relative to its norm, when the image changes only minimally. 0 is best."
Options = dict[str, OptionValue]
FAST = ("saliency", "input_x_gradient", "integrated_gradients", "smoothgrad", "deep_lift", "guided_backprop", "grad_cam")


@dataclass(frozen=True)
class _Question:
    """What all parts of the page are about; `method` and `options` are those of the picker.

    `ask` returns the attribution by that method; the request may have been sent before the top of the page was drawn.
    """

    subject: Subject
    result: rv.Inspection
    chosen: Selection
    method: str
    options: Options
    ask: Callable[[], Ticket] | None = None

    @property
    def what(self) -> str:
        """The method's title, which names its steps and its position on the page."""
        return rv.METHODS[self.method].title

    @property
    def key(self) -> Hashable:
        """What distinguishes this attribution from others."""
        return self.what, str(self.options), self._about

    @property
    def _about(self) -> Hashable:
        """What all results depend on: the network with its input, the photo, and the class."""
        return self.subject.key, self.chosen.image, self.result.target

    @property
    def ground(self) -> Ground:
        """The photo behind the maps."""
        return results.ground(self.chosen.image, self.subject)

    def submit(self, kind: str, what: str, **given: OptionValue) -> Ticket:
        """Request a kind of job for the target class."""
        return jobs.submit(self.subject, kind, self.chosen.image, self.result.target, what, **given)

    def attribute(self) -> Ticket:
        """Request the attribution."""
        return self.submit("attribution", self.what, method=self.method, **self.options)

    def cells(self, usual: Cells) -> Cells:
        """How maps are drawn: as the link says, or by default."""
        return cells_picker.cells_of(self.chosen, usual)

    def answers(self, what: str, asked: list[tuple[str, Options]]) -> list[Any] | None:
        """Results of kinds of jobs with options; None if they were stopped."""
        asks = [partial(self.submit, kind, what, **given) for kind, given in asked]
        return waiting.long(what, (what, str(asked), self._about), asks, self.subject)


def page() -> None:
    """The whole page, top to bottom."""
    result, chosen = current.inspection()
    view = chosen.view if chosen.view in VIEWS else "one"
    subject = waiting.network(chosen.model, trained=chosen.trained, framing=chosen.framing)
    question = _Question(subject, result, chosen, *method_picker.chosen_method(result, chosen))
    if view not in BY_METHOD:
        _draw(view, question)
        return
    # The first map appears a tenth of a second earlier this way.
    with waiting.begun(question.key, question.attribute) as ask:
        _draw(view, replace(question, ask=ask))


def _shared() -> Shared | None:
    """What this page gives away; None before the computation has finished."""
    result, chosen = current.inspection()
    subject = waiting.network(chosen.model, trained=chosen.trained, framing=chosen.framing)
    view = chosen.view if chosen.view in VIEWS else "one"
    return shares.attribution(subject, chosen, result, view, _methods(chosen))


def _draw(view: str, question: _Question) -> None:
    current.draw(question.result, question.chosen, _shared)
    st.segmented_control("Show", list(VIEWS), format_func=lambda name: VIEWS[name], required=True, **state.bound("view", view))
    {"one": _one, "gallery": _gallery, "strip": _strip, "conductance": _conductance, "trust": _trust}[view](question)


def _one(question: _Question) -> None:
    method_picker.pick(question.result, question.chosen)
    found = _attribution(question)
    if found is None:
        return
    _map(question, found)
    _sum(found, question.options)
    if question.method == "grad_cam":
        _places(question)


def _attribution(question: _Question) -> rv.Attribution | None:
    """The attribution, with a partial map while it is computed; None if it was stopped."""
    drawn = count()

    def preview(so_far: Array) -> None:
        st.markdown("#### Partial map")
        st.caption("The sum of the passes so far; the map is not finished.")
        # Streamlit counts everything that one run has drawn, also what it has replaced, so each map needs a key of its own.
        picture = rv.figures.attribution_so_far(question.ground.small, so_far, question.cells("exact"))
        show.picture(picture, "Partial map.", f"so-far-{next(drawn)}", viewport.room(ONE_MAP))

    asks = [question.ask or question.attribute]
    found = waiting.long(question.what, question.key, asks, question.subject, preview)
    return found[0] if found else None


def _map(question: _Question, found: rv.Attribution) -> None:
    usual: Cells = "exact" if found.cells is None else "smooth"
    figure = rv.figures.attribution_map(
        found,
        theme=show.theme(),
        photo=question.ground.large,
        cells=question.cells(usual),
        width=viewport.room(TWO_MAPS),
    )
    with st.container(horizontal=True, vertical_alignment="bottom", key="map-head"):
        show.heading(figure)
        cells_picker.pick(question.chosen, usual)
    show.chart(figure, "attribution", least=viewport.least(TWO_MAPS))


def _sum(found: rv.Attribution, options: Options) -> None:
    """The sum of the map, and its expected value."""
    st.caption(f"{found.seconds:.2f} s on {found.device}. {rv.METHODS[found.method].source}.")
    if found.delta is None or found.difference is None:
        return
    relative = found.relative_delta or 0.0
    sentence = (
        f"The map adds up to {found.difference + found.delta:+.3f} logits; logit(image) − logit(baseline) is "
        f"{found.difference:+.3f}. Convergence delta: {found.delta:+.2g}, {relative:.1%} of the difference."
    )
    if relative <= LARGE_DELTA:
        st.success(show.escape(sentence), icon=":material/check:")
        return
    st.warning(f"{show.escape(sentence)} This error is too large to trust single pixels.", icon=":material/warning:")
    _double(int(str(options.get("steps", 0))), relative)


def _double(steps: int, relative: float) -> None:
    """Offer more steps if the error of the sum is too large and more steps would reduce it."""
    doubled = str(2 * steps)
    if relative > LARGE_DELTA and doubled in method_picker.STEPS.values:
        st.button(f"Double the steps to {doubled}", on_click=state.change, kwargs={"steps": doubled})


def _places(question: _Question) -> None:
    """The places of the block, on one scale."""
    block = question.chosen.block
    places = method_picker.places(question.result.block(block))
    asked: list[tuple[str, Options]] = [
        ("attribution", {"method": "grad_cam", "block": block, "place": place}) for place in places
    ]
    found = question.answers("place", asked)
    if found:
        figure = rv.figures.cam_places(
            found, show.theme(), photo=question.ground.small, cells=question.cells("smooth"), width=viewport.room()
        )
        _small(figure, "places")


def _gallery(question: _Question) -> None:
    methods = _methods(question.chosen)
    st.multiselect(
        "Methods",
        list(rv.METHODS),
        format_func=lambda name: rv.METHODS[name].title,
        key="choose_methods_list",
        default=methods,
        on_change=_take_methods,
    )
    found = question.answers("method", [("attribution", {"method": method}) for method in methods])
    if found:
        figure = rv.figures.attribution_gallery(
            found, show.theme(), photo=question.ground.small, cells=question.cells("exact"), width=viewport.room()
        )
        with st.container(horizontal=True, vertical_alignment="bottom", key="map-head"):
            show.heading(figure)
            cells_picker.pick(question.chosen, "exact")
        show.chart(figure, "methods", least=viewport.least())


def _methods(chosen: Selection) -> list[str]:
    return [name for name in chosen.methods.split(",") if name in rv.METHODS] or list(FAST)


def _take_methods() -> None:
    state.change(methods=",".join(st.session_state["choose_methods_list"]))


def _strip(question: _Question) -> None:
    result, chosen = question.result, question.chosen
    scale: Scale = "each" if chosen.scale == "each" else "shared"
    figure = rv.figures.cam_strip(
        result,
        chosen.block,
        show.theme(),
        scale=scale,
        photo=question.ground.large,
        cells=question.cells("smooth"),
        width=viewport.room(),
    )
    with st.container(horizontal=True, vertical_alignment="bottom", key="strip-head"):
        show.heading(figure)
        st.segmented_control(
            "Colours", list(SCALES), format_func=lambda name: SCALES[name], required=True, **state.bound("scale", scale)
        )
    show.chart(figure, "cam-strip", least=viewport.least(), on_click=lambda block: state.change(block=block))
    block_section.cam(result, chosen, question.subject)


def _conductance(question: _Question) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        baseline = method_picker.ask("baseline", method_picker.BASELINE, question.chosen)
        steps = method_picker.ask("steps", method_picker.STEPS, question.chosen)

    answer = question.answers("point", [("conductance", {"baseline": baseline, "steps": steps})])
    if not answer:
        return
    found: rv.Conductance = answer[0]
    figure = rv.figures.conductance_bars(found, show.theme())
    show.heading(figure)
    show.chart(figure, "conductance")
    relative = abs(found.delta / found.difference) if found.difference else 0.0
    st.caption(show.escape(f"{steps} steps; the largest error of a block's sum is {found.delta:+.3f} logits ({relative:.1%})."))
    _double(steps, relative)


def _trust(question: _Question) -> None:
    method_picker.pick(question.result, question.chosen)
    found = _attribution(question)
    if found is None:
        return
    _map(question, found)
    st.caption(
        "Two checks. Deletion removes the pixels that the map ranks highest: the probability of the class should fall quickly."
        " Re-initialisation replaces the trained weights by random ones, from the head down; the map should change."
    )
    checked = {"method": question.method, **question.options}
    left, right = st.columns(2)
    with left:
        curves = question.answers("image", [("perturbation", checked)])
        if curves:
            _small(rv.figures.perturbation_curves(curves[0], found.target_label, show.theme()), "perturbation")
    with right:
        steps = question.answers("layer re-initialised", [("randomisation", checked)])
        if steps:
            _small(rv.figures.randomisation_steps(steps[0], show.theme()), "randomisation")
    passes = "Takes a few hundred more passes (Yeh et al. 2019)."
    if st.toggle("Also measure infidelity and sensitivity", key=MEASURED, help=passes):
        metrics = question.answers("metric", [("robustness", checked)])
        if metrics:
            _metrics(metrics[0])


def _small(figure: go.Figure, key: str) -> None:
    """A figure next to or below the page's main one."""
    show.heading(figure, level=4)
    show.chart(figure, key, least=viewport.least(ONE_MAP))


def _metrics(found: Robustness) -> None:
    with st.container(horizontal=True):
        st.metric("Infidelity", f"{found.infidelity:.3g}", help=INFIDELITY, width="content")
        st.metric("Max-sensitivity", f"{found.sensitivity:.3g}", help=SENSITIVITY, width="content")
