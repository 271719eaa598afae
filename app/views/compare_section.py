"""The differences between the sides: in words, on both block maps, by depth, in the images of the open block, in numbers."""

from collections.abc import Callable

import streamlit as st

import resnet_viz as rv
from app import show, state, viewport
from app.charts import Chart
from app.state import Selection
from app.views.block_section import SCALES
from app.views.measure_table import measure_table
from resnet_viz.analyses.comparison_words import sentences
from resnet_viz.figures.block.map_measures import OF_THE_TARGET, STYLES, MapMeasure, arc_scale, measures_for, name_of
from resnet_viz.figures.theme import short
from resnet_viz.figures.without_legend import without_legend


def differences(result: rv.Comparison, truth: str | None) -> None:
    """The largest differences as a list, with the predictions as its heading."""
    first, *others = (show.escape(sentence) for sentence in sentences(result, truth))
    st.markdown(f"### {first}")
    st.markdown("\n".join(f"- {sentence}." for sentence in others))


def maps(result: rv.Comparison, chosen: Selection) -> MapMeasure:
    """Both block maps on one scale; maps of the same length scroll together. Returns the measure that they show."""
    ready = measures_for(result.left, result.right)
    offered: tuple[MapMeasure, ...] = tuple(dict.fromkeys((*ready, "ablation")))
    measure = next((name for name in ready if name == chosen.measure), ready[0])
    pair, scale = result.pair(chosen.block), arc_scale(measure, result.left, result.right)
    left, right = (
        Chart.of(without_legend(rv.figures.block_map(side, measure, block, show.theme(), scale)))
        for side, block in ((result.left, pair.left), (result.right, pair.right))
    )
    with st.container(horizontal=True, vertical_alignment="bottom", key="block-map-head"):
        with st.container():
            st.markdown("### Both block maps on one scale")
            st.caption(show.escape(_reading(result, measure, scale.largest)))
        st.segmented_control(
            "Measure shown on the arcs",
            offered,
            format_func=name_of,
            required=True,
            **state.bound("measure", measure),
        )
    show.legend(left, right)
    together = len(result.left.blocks) == len(result.right.blocks)
    with st.container(key="scroll-maps" if together else "maps"):
        _map(left, result.left_name, "map-left", _opener([pair.left for pair in result.pairs], result))
        _map(right, result.right_name, "map-right", _opener([pair.right for pair in result.pairs], result))
    if together:
        st.html(f"<style>.st-key-scroll-maps > div {{ min-width: {left.natural}px; }}</style>")
        st.html(show.SCROLL.format(key="maps", focus=left.focus), unsafe_allow_javascript=True)
    return measure


def depth(result: rv.Comparison, chosen: Selection, measure: MapMeasure) -> None:
    """The measure of both sides by depth."""
    figure = rv.figures.comparison_by_depth(result, measure, chosen.block, show.theme())
    show.heading(figure)
    show.chart(figure, "comparison-depth")


def equations(result: rv.Comparison, chosen: Selection) -> None:
    """The open block of each side as an equation of images, one below the other."""
    pair = result.pair(chosen.block)
    left, right = result.left.block(pair.left), result.right.block(pair.right)
    scale = chosen.scale if chosen.scale in SCALES else "shared"
    if scale == "shared":
        pairs, width = ((left, right), (right, left)), viewport.room()
        figures = [rv.figures.comparison_equation(*blocks, show.theme(), width=width) for blocks in pairs]
    else:
        width = viewport.room()
        figures = [rv.figures.block_equation(block, scale="each", theme=show.theme(), width=width) for block in (left, right)]
    with st.container(horizontal=True, vertical_alignment="bottom", key="equation-head"):
        with st.container():
            sides = f"{short(pair.left)} of {result.left_name} and {short(pair.right)} of {result.right_name}"
            name = f"{short(pair.left)} on both sides" if result.aligned_by == "name" else show.escape(sides)
            st.markdown(f"### Block {name}")
            st.caption(show.escape(figures[0].layout.meta["how_to_read"]))
        st.segmented_control(
            "Colours", list(SCALES), format_func=lambda name: SCALES[name], required=True, **state.bound("scale", scale)
        )
    for figure, side, key in zip(figures, (result.left_name, result.right_name), ("left", "right"), strict=True):
        st.markdown(f"##### {_title(side)} · {show.escape(figure.layout.meta['finding'])}")
        show.chart(figure, f"equation-{key}", least=viewport.least())


def numbers(result: rv.Comparison) -> None:
    """Every measure that both sides have, and its difference."""
    table = result.table()
    st.markdown(f"### Every measure of {len(table)} {'blocks' if result.aligned_by == 'name' else 'pairs of blocks'}")
    sides = f"left is {result.left_name}, right {result.right_name}"
    st.caption(show.escape(f"Blocks are paired by {result.aligned_by}; {sides}. Each difference is right − left."))
    measure_table(table)
    st.download_button("Download CSV", table.to_csv(), f"{result.left.model}-{result.right.model}.csv", "text/csv")


def _reading(result: rv.Comparison, measure: MapMeasure, largest: float) -> str:
    classes = f" (for {result.left.target_label} on the left, {result.right.target_label} on the right)"
    explained = classes if measure in OF_THE_TARGET and result.left.target_label != result.right.target_label else ""
    widest = f"{STYLES[measure].legend}{explained}; the widest arc is {STYLES[measure].template.format(largest)}"
    return f"Arcs of the same width have the same value: {widest}. Click a block to open it on both sides."


def _map(figure: Chart, side: str, key: str, on_click: Callable[[str], None]) -> None:
    st.markdown(f"##### {_title(side)} · {show.escape(figure.finding)}")
    show.chart(figure, key, on_click=on_click)


def _opener(blocks: list[str], result: rv.Comparison) -> Callable[[str], None]:
    """What a click on a side's block does; `blocks` are that side's of each pair. It opens the middle one of its pairs."""

    def open_block(clicked: str) -> None:
        names = [pair.name for pair, block in zip(result.pairs, blocks, strict=True) if block == clicked]
        state.change(block=names[len(names) // 2])

    return open_block


def _title(side: str) -> str:
    return show.escape(side[0].upper() + side[1:])
