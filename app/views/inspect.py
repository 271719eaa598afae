"""Inspect: what does each residual block do with this picture? The first page."""

from functools import partial

import streamlit as st

import resnet_viz as rv
from app import results, show, state, waiting
from app.state import Selection
from app.views import block_section, current
from resnet_viz.analyses.ablation import AblationSweep
from resnet_viz.figures.block.map_measures import STYLES, MapMeasure, measures_for


def page() -> None:
    """The whole page, top to bottom."""
    result, chosen = current.top()
    _block_map(result, chosen)
    block_section.equation(result, chosen)
    block_section.details(result, chosen)


def _block_map(result: rv.Inspection, chosen: Selection) -> None:
    measures: tuple[MapMeasure, ...] = (*measures_for(result), "ablation")
    wanted = next((measure for measure in measures if measure == chosen.measure), measures[0])
    sweep = _sweep(result, chosen) if wanted == "ablation" else None
    drawn = measures[0] if wanted == "ablation" and sweep is None else wanted
    figure = rv.figures.block_map(result, drawn, chosen.block, show.theme(), ablation=sweep)
    with st.container(horizontal=True, vertical_alignment="bottom", key="block-map-head"):
        show.heading(figure)
        st.segmented_control(
            "Width and colour of the arcs",
            measures,
            format_func=lambda name: STYLES[name].button,
            required=True,
            **state.bound("measure", wanted),
        )
    show.chart(figure, "block-map", on_click=lambda block: state.change(block=block))


def _sweep(result: rv.Inspection, chosen: Selection) -> AblationSweep | None:
    """Each block's branch removed in turn, for the class that is explained; None where that was stopped."""
    subject = waiting.network(chosen.model, trained=chosen.trained, framing=chosen.framing)
    ask = partial(results.submit, subject, "ablation sweep", chosen.image, result.target, "ablation sweep")
    found = waiting.long(
        "without block",
        ("ablation sweep", subject.model, subject.trained, subject.preprocessing.framing, chosen.image, result.target),
        [ask],
        subject,
    )
    return found[0] if found else None
