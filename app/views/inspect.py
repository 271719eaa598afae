"""Inspect: what does each residual block do with this image? The first page."""

import streamlit as st

import resnet_viz as rv
from app import show, state, waiting
from app.state import Selection
from app.views import block_section, current
from app.views.removals import removals
from resnet_viz.figures.block.map_measures import MapMeasure, measures_for, name_of
from resnet_viz.figures.block.removal_words import which_matters_most


def page() -> None:
    """The whole page, top to bottom."""
    result, chosen = current.top()
    _block_map(result, chosen)
    block_section.equation(result, chosen)
    block_section.details(result, chosen)


def _block_map(result: rv.Inspection, chosen: Selection) -> None:
    measures: tuple[MapMeasure, ...] = (*measures_for(result), "ablation")
    wanted = next((measure for measure in measures if measure == chosen.measure), measures[0])
    subject = waiting.network(chosen.model, trained=chosen.trained, framing=chosen.framing)
    sweep = removals(subject, chosen.image, result) if wanted == "ablation" else None
    drawn = measures[0] if wanted == "ablation" and sweep is None else wanted
    figure = rv.figures.block_map(result, drawn, chosen.block, show.theme(), ablation=sweep)
    with st.container(horizontal=True, vertical_alignment="bottom", key="block-map-head"):
        show.heading(figure)
        st.segmented_control(
            "Measure shown on the arcs",
            measures,
            format_func=name_of,
            required=True,
            **state.bound("measure", wanted),
        )
    show.chart(figure, "block-map", on_click=lambda block: state.change(block=block))
    if sweep is not None:
        st.caption(show.escape(which_matters_most(sweep)))
