"""Inspect: what does each residual block do with this picture? The first page."""

import time
from dataclasses import replace

import streamlit as st

import controls
import resnet_viz as rv
import results
import show
from controls import Selection
from resnet_viz.figures.block_map import STYLES, measures_for
from views import block_section, picture_section

PROGRESS_AFTER = 0.3


def page() -> None:
    """The whole page, top to bottom; when something goes wrong a sentence says so and the last good view stays."""
    result = _result()
    chosen = controls.selection()
    picture_section.header(result, chosen)
    picture_section.notice()
    picture_section.picture(result, chosen)
    _block_map(result, chosen)
    block_section.equation(result, chosen)
    block_section.details(result, chosen)


def _result() -> rv.Inspection:
    """The inspection that the URL asks for; where it cannot be had, the last one that could."""
    last_good = st.session_state.get("last_good", Selection())
    for attempt in (controls.selection(), last_good, Selection()):
        try:
            result = _inspect(attempt)
        except rv.WeightsError as error:
            controls.complain(str(error), untrained=attempt.model)
        except (results.MissingImageError, rv.ImageError, ValueError) as error:
            controls.complain(str(error))
        else:
            known = attempt.block in {block.name for block in result.blocks}
            good = attempt if known else replace(attempt, block=result.most_changed())
            st.session_state["last_good"] = good
            controls.write(good)
            return result
    picture_section.notice()
    return st.stop()


def _inspect(chosen: Selection) -> rv.Inspection:
    if chosen.model not in results.models():
        raise ValueError(f"There is no network called {chosen.model}: choose one from the list.")
    with st.spinner(f"Opening {results.models()[chosen.model].title}"):
        network = results.net(chosen.model, trained=chosen.trained)
    progress, started = st.empty(), time.monotonic()

    def on_block(done: int, total: int) -> None:
        # Streamlit stops a script that was overtaken by a newer request here, and with it the inspection.
        if time.monotonic() - started > PROGRESS_AFTER:
            progress.progress(done / total, f"{network.title}: block {done} of {total}")

    try:
        return results.inspection(network, chosen.image, chosen.target_index, chosen.block, on_block)
    finally:
        progress.empty()


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
