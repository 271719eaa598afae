"""Inspect: what does each residual block do with this picture? The first page."""

import streamlit as st

import controls
import resnet_viz as rv
import show
from controls import Selection
from resnet_viz.figures.block_map import STYLES, measures_for
from views import block_section, current


def page() -> None:
    """The whole page, top to bottom."""
    result, chosen = current.top()
    _block_map(result, chosen)
    block_section.equation(result, chosen)
    block_section.details(result, chosen)


def _block_map(result: rv.Inspection, chosen: Selection) -> None:
    measures = measures_for(result)
    measure = chosen.measure if chosen.measure in measures else measures[0]
    figure = rv.figures.block_map(result, measure, chosen.block, show.theme())
    with st.container(horizontal=True, vertical_alignment="bottom", key="block-map-head"):
        show.heading(figure)
        st.segmented_control(
            "Width and colour of the arcs",
            measures,
            format_func=lambda name: STYLES[name].button,
            required=True,
            **controls.bound("measure", measure),
        )
    show.chart(figure, "block-map", on_click=lambda block: controls.change(block=block))
