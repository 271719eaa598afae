"""Gradients: how does the gradient divide between shortcut and branch, and how much reaches the first block?"""

from typing import cast

import streamlit as st

import resnet_viz as rv
from app import results, show, state, waiting
from app.catalogue import Subject, plain_twin
from app.state import Selection
from app.views import current, shares
from app.views.measure_table import short_names
from app.views.share_section import Shared
from resnet_viz.analyses.objectives import OBJECTIVES, ObjectiveKind
from resnet_viz.reporting.pieces import ReportImage

BESIDE = {"": "none", "plain": "plain network of the same depth", "random": "same network, untrained"}
FORMATS = {
    "grad_identity_norm": "%.4g",
    "grad_residual_norm": "%.4g",
    "grad_input_norm": "%.4g",
    "shortcut_share": "percent",
    "residual_share": "percent",
}
# The measures that only this page has; the others have the same names as in every other table.
COLUMNS = {
    "angle": ("angle", "Angle between the two parts, in degrees. Above 90, they partly cancel.", "%.1f°"),
    "error": ("largest error", "The largest entry of |g shortcut + g F − g|.", "%.3g"),
} | {name: (rv.MEANINGS[name].symbol, rv.MEANINGS[name].sentence, form) for name, form in FORMATS.items()}


def page() -> None:
    """The whole page, top to bottom."""
    result, chosen = current.top(_shared)
    kind, versus = _objective(result, chosen)
    subject = waiting.network(chosen.model, trained=chosen.trained, framing=chosen.framing)
    found = _ask(subject, chosen.image, chosen.target_index, kind, versus)
    beside = _beside(chosen, found.objective.target, kind, versus)
    _flow(found, beside, chosen)
    _table(found)
    _parameters(found)


def _shared() -> Shared:
    """What this page gives away."""
    result, chosen = current.inspection()
    kind, versus = _chosen_objective(result, chosen)
    subject = waiting.network(chosen.model, trained=chosen.trained, framing=chosen.framing)
    found = _ask(subject, chosen.image, chosen.target_index, kind, versus)
    other = _beside_subject(chosen)
    compared = None if other is None else (_ask(other, chosen.image, found.objective.target, kind, versus), other)
    return shares.gradients(subject, chosen, ReportImage.seen(result.seen), found, compared)


def _offered(result: rv.Inspection) -> tuple[dict[str, str], tuple[ObjectiveKind, ...]]:
    """The other classes, and the objectives: a difference needs another class."""
    labels = {str(p.index): p.label for p in result.predictions if p.index != result.target}
    return labels, OBJECTIVES if labels else tuple(each for each in OBJECTIVES if each != "logit difference")


def _chosen_objective(result: rv.Inspection, chosen: Selection) -> tuple[ObjectiveKind, int | None]:
    """The objective and the other class of a difference, as the link says or by default."""
    labels, offered = _offered(result)
    kind = next((each for each in offered if each == chosen.objective), OBJECTIVES[0])
    return kind, int(chosen.versus) if chosen.versus in labels and kind == "logit difference" else None


def _objective(result: rv.Inspection, chosen: Selection) -> tuple[ObjectiveKind, int | None]:
    kind, other = _chosen_objective(result, chosen)
    labels, offered = _offered(result)
    versus = chosen.versus if chosen.versus in labels else ""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            f"Gradient of {result.target_label}'s",
            offered,
            required=True,
            **state.bound("objective", kind),
        )
        if kind == "logit difference":
            st.selectbox(
                "against",
                ["", *labels],
                format_func=lambda index: labels.get(index, "the most probable other class"),
                width=240,
                **state.bound("versus", versus),
            )
        st.segmented_control(
            "Compare with",
            list(BESIDE),
            format_func=lambda name: BESIDE[name],
            required=True,
            **state.bound("beside", chosen.beside if chosen.beside in BESIDE else ""),
        )
    return kind, other


def _beside_subject(chosen: Selection) -> Subject | None:
    """The network that the chosen one is compared with; None if there is none."""
    if chosen.beside not in ("plain", "random"):
        return None
    name = chosen.model if chosen.beside == "random" else plain_twin(chosen.model)
    info = results.models().get(name)
    if info is None or info.source == "checkpoint" or (name == chosen.model and chosen.beside == "plain"):
        return None
    trained = chosen.beside == "plain" and info.here
    return waiting.network(name, trained=trained, field="beside", framing=chosen.framing)


def _beside(chosen: Selection, target: int, kind: ObjectiveKind, versus: int | None) -> rv.Gradients | None:
    """The gradients of the network that the chosen one is compared with, for the same class; a sentence if there is none."""
    if chosen.beside not in ("plain", "random"):
        return None
    subject = _beside_subject(chosen)
    if subject is None:
        st.info(
            "This network has no plain counterpart in the list. Choose ResNet-18 Imagenette or a residual CIFAR-10 network."
        )
        return None
    if not subject.trained:
        st.warning(f"Compared with {subject.title} with random weights.", icon=":material/casino:")
    return _ask(subject, chosen.image, target, kind, versus)


def _ask(subject: Subject, image: str, target: int | None, kind: ObjectiveKind, versus: int | None) -> rv.Gradients:
    view = f"gradients {subject.field}"
    found = waiting.answer(subject, "block", "gradients", image, target, view, objective=kind, versus=versus)
    return cast("rv.Gradients", found)


def _flow(found: rv.Gradients, beside: rv.Gradients | None, chosen: Selection) -> None:
    figure = rv.figures.gradient_flow(found, beside, chosen.block, show.theme())
    show.heading(figure)
    show.chart(figure, "gradient-flow")


def _table(found: rv.Gradients) -> None:
    worst = max(block.error for block in found.blocks)
    st.markdown("#### The two parts at every block")
    st.caption(f"They add up to the total gradient; the largest error over all entries of all blocks is {worst:g}.")
    columns = {
        name: st.column_config.NumberColumn(title, help=text, format=form) for name, (title, text, form) in COLUMNS.items()
    }
    table = found.table()
    st.dataframe(short_names(table.drop(columns="stage")), column_config=columns)
    st.download_button("Download CSV", table.to_csv(), f"{found.model}-gradients.csv", "text/csv")


def _parameters(found: rv.Gradients) -> None:
    figure = rv.figures.parameter_gradients(found, show.theme())
    show.heading(figure)
    show.chart(figure, "parameter-gradients")
