"""The open block: its equation in pictures and numbers, and behind it channels, Grad-CAM, depth and the table."""

import streamlit as st

import resnet_viz as rv
from app import show, state, waiting
from app.state import Selection
from app.views.measure_table import measure_table
from app.views.removals import with_removals
from resnet_viz.figures.block.block_equation import term_name, terms_of
from resnet_viz.figures.theme import short

DETAILS = {"channels": "All channels", "cam": "Grad-CAM", "depth": "Every block by depth", "numbers": "Table"}
SCALES = {"shared": "One scale for all", "each": "Each its own scale"}


def equation(result: rv.Inspection, chosen: Selection) -> None:
    """Identity + residual = sum -> ReLU -> output, for the mean over channels or for one of them."""
    block = result.block(chosen.block)
    channel = _channel(block, chosen)
    figure = rv.figures.block_equation(block, channel, "each" if chosen.scale == "each" else "shared", show.theme())
    with st.container(horizontal=True, vertical_alignment="bottom", key="equation-head"):
        show.heading(figure)
        st.selectbox(
            "Channel",
            ["", *map(str, range(block.shape[0]))],
            format_func=lambda number: f"channel {number}" if number else "mean of all channels",
            width=200,
            **state.bound("channel", "" if channel is None else str(channel)),
        )
        scale = chosen.scale if chosen.scale in SCALES else "shared"
        st.segmented_control(
            "Colours", list(SCALES), format_func=lambda name: SCALES[name], required=True, **state.bound("scale", scale)
        )
    pictures, facts = st.columns([4, 1], vertical_alignment="center")
    with pictures:
        show.chart(figure, "equation", width="content")
    with facts:
        _facts(block)
        _steps([each.name for each in result.blocks], chosen.block)


def details(result: rv.Inspection, chosen: Selection) -> None:
    """One of four ways to look closer."""
    detail = chosen.detail if chosen.detail in DETAILS else "channels"
    st.segmented_control(
        "Look closer", list(DETAILS), format_func=lambda name: DETAILS[name], required=True, **state.bound("detail", detail)
    )
    {"channels": _channels, "cam": _cam, "depth": _depth, "numbers": _numbers}[detail](result, chosen)


def _channel(block: rv.BlockInspection, chosen: Selection) -> int | None:
    """Return the channel asked for, or None for the mean where there is none of that number."""
    return chosen.channel_index if chosen.channel_index in range(block.shape[0]) else None


def _facts(block: rv.BlockInspection) -> None:
    m = block.measures
    rows = {
        "shape": "×".join(map(str, block.shape)),
        "shortcut": block.shortcut,
        "|F| / |x|": f"{m.ratio:.3f}",
        "cos(x, F)": f"{m.cosine:+.3f}",
        "gradient through F": f"{m.residual_share:.0%}",
        "parameters": f"{m.parameters:,}",
        "multiply-adds": f"{m.multiply_adds / 1e6:,.2f} M",
        "max |x + F − sum|": f"{block.maps.error:g}" if block.maps else "–",
    }
    if block.shortcut == "none":
        rows = {name: value for name, value in rows.items() if "F" not in name}
    show.facts(rows)


def _steps(names: list[str], here: str) -> None:
    position = names.index(here)
    with st.container(horizontal=True, vertical_alignment="center", key="steps"):
        for label, to, key in (("Previous", position - 1, "ArrowLeft"), ("Next", position + 1, "ArrowRight")):
            inside = 0 <= to < len(names)
            block = names[to] if inside else ""
            st.button(label, key=label, shortcut=key, disabled=not inside, on_click=state.change, kwargs={"block": block})
        st.caption(f"{position + 1} of {len(names)}")


def _channels(result: rv.Inspection, chosen: Selection) -> None:
    block = result.block(chosen.block)
    terms = terms_of(block)
    term = next((name for name in terms if name == chosen.term), terms[-1])
    channel = _channel(block, chosen)
    st.segmented_control(
        "Channels of",
        terms,
        format_func=lambda name: term_name(block, name),
        required=True,
        label_visibility="collapsed",
        **state.bound("term", term),
    )
    mosaic = rv.figures.channel_mosaic(block, term, channel, show.theme())
    show.heading(mosaic, level=4)
    tiles, one = st.columns([5, 3])
    with tiles:
        show.chart(mosaic, "mosaic", width="content", on_click=lambda channel: state.change(channel=channel))
    with one:
        if channel is None:
            st.caption("Click a tile: its map with all its values opens here, and the equation above shows that channel.")
        else:
            figure = rv.figures.channel_map(block, term, channel, show.theme())
            show.heading(figure, level=5)
            show.chart(figure, "channel", width="content")


def _cam(result: rv.Inspection, chosen: Selection) -> None:
    figure = rv.figures.cam_overlay(result, chosen.block, show.theme())
    show.heading(figure, level=4)
    show.chart(figure, "cam", width="content")


def _depth(result: rv.Inspection, chosen: Selection) -> None:
    figure = rv.figures.measures_by_depth(result, chosen.block, show.theme())
    show.heading(figure, level=4)
    show.chart(figure, "depth")


def _numbers(result: rv.Inspection, chosen: Selection) -> None:
    st.markdown(f"#### Every measure of the {len(result.blocks)} blocks")
    st.caption(
        f"Block {short(chosen.block)} is open above. Point at a column's name for its meaning and unit. In the file blocks are"
        " named by their modules, layer2.0 for block 2.0."
    )
    table = with_removals(waiting.network(chosen.model, trained=chosen.trained), chosen.image, result).table()
    measure_table(table)
    st.download_button("Download as CSV", table.to_csv(), f"{result.model}-blocks.csv", "text/csv")
