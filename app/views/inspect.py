"""Inspect: what does each residual block do with this image? The first page.

The part about the image is redrawn when the image or the network changes. The part about the blocks, below it, is redrawn alone
when another block, measure or channel is opened.
"""

from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

import resnet_viz as rv
from app import first_chart, jobs, results, show, state, waiting
from app.catalogue import Subject
from app.charts import Chart
from app.components.overview import overview
from app.components.spots import spots
from app.state import Selection
from app.views import block_section, current, peaks_section, picture_section, play_section, shares
from app.views.removals import asked as removals_asked
from app.views.removals import removals
from app.views.share_section import Shared
from resnet_viz.analyses.ablation import AblationSweep
from resnet_viz.figures.block.chain_layout import focus_of
from resnet_viz.figures.block.map_measures import MapMeasure, arc_heights, measures_for, name_of
from resnet_viz.figures.block.removal_words import which_matters_most
from resnet_viz.figures.without_legend import without_legend

MAP, EQUATION = "block-map", "open-block"
_INSPECTED = "just_inspected"


def page() -> None:
    """The whole page, top to bottom."""
    show.skip_link("Skip to the block map", MAP)
    st.session_state[_INSPECTED] = current.top(_shared)
    _blocks()


def _shared() -> Shared:
    """What this page gives away."""
    result, chosen = current.inspection()
    subject = waiting.network(chosen.model, trained=chosen.trained, framing=chosen.framing)
    sweep = waiting.at_hand(removals_asked(subject, chosen.image, result)) if chosen.measure == "ablation" else None
    lens = waiting.at_hand(partial(jobs.submit, subject, "lens", chosen.image, None, "shared lens"))
    firing = peaks_section.firing(result, chosen) if chosen.detail == "fires" else None
    return shares.inspection(subject, chosen, result, sweep=sweep, lens=lens, firing=firing)


@st.fragment
def _blocks() -> None:
    """The block map, the player, and the open block."""
    if first_chart.shows_place("blocks"):
        return
    result, chosen = st.session_state.pop(_INSPECTED, None) or current.inspection()
    if not picture_section.is_up_to_date():
        st.rerun()
    subject = waiting.network(chosen.model, trained=chosen.trained, framing=chosen.framing)
    box, place = _block_map(result, chosen, subject)
    play_section.play(subject, chosen.image, result, chosen.block, _open, MAP, EQUATION)
    with st.container(key=EQUATION):
        block_section.equation(result, chosen, subject)
    block_section.details(result, chosen, subject)
    # Last, so that nothing else has to wait for it.
    _lens(box, place, result, chosen, subject)


def _lens(box: DeltaGenerator, place: DeltaGenerator, result: rv.Inspection, chosen: Selection, subject: Subject) -> None:
    """Under the map: what the network would predict if it stopped after each block."""
    decoded, theme = play_section.lens_of(subject, chosen.image), show.theme()
    if decoded is None:
        return
    figure = results.chart(subject, chosen.image, ("lens", theme), lambda: rv.figures.lens_by_block(result, decoded, theme))
    show.under(box, MAP, figure, "lens-by-block")
    place.caption(f"**{show.escape(figure.finding)}.** {show.escape(figure.how_to_read)}")


def _block_map(result: rv.Inspection, chosen: Selection, subject: Subject) -> tuple[DeltaGenerator, DeltaGenerator]:
    """The map; returns the box that scrolls, and the place for the text about the lines under it."""
    measures: tuple[MapMeasure, ...] = (*measures_for(result), "ablation")
    wanted = next((measure for measure in measures if measure == chosen.measure), measures[0])
    sweep = removals(subject, chosen.image, result) if wanted == "ablation" else None
    drawn = measures[0] if wanted == "ablation" and sweep is None else wanted
    figure = _map_chart(result, drawn, chosen, subject, sweep)
    show.skip_target(MAP)
    with st.container(horizontal=True, vertical_alignment="bottom", key="block-map-head"):
        show.heading(figure)
        st.segmented_control(
            "Measure shown on the arcs",
            measures,
            format_func=name_of,
            required=True,
            **state.bound("measure", wanted),
        )
    show.legend(figure)
    places = play_section.spots_of(result)
    overview(MAP, places, arc_heights(result, drawn, sweep), figure.natural, chosen.block, _open)
    box = show.chart(
        figure,
        MAP,
        focus=focus_of(result, chosen.block),
        over=lambda: spots(MAP, "Blocks of the network", places, chosen.block, _open),
    )
    place = st.empty()
    if sweep is not None:
        st.caption(show.escape(which_matters_most(sweep)))
    return box, place


def _map_chart(
    result: rv.Inspection, measure: MapMeasure, chosen: Selection, subject: Subject, sweep: AblationSweep | None
) -> Chart:
    # Without the open block, whose frame is a separate layer: the map stays the same and is not sent again when another block
    # is opened.
    theme = show.theme()
    what = ("block map", measure, result.target, theme)
    return results.chart(
        subject,
        chosen.image,
        what,
        lambda: without_legend(rv.figures.block_map(result, measure, theme=theme, ablation=sweep)),
    )


def _open(block: str) -> None:
    state.change(block=block)
