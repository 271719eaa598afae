"""The open block: its equation in images and numbers, and below it channels, Grad-CAM, measures by depth and the table."""

import streamlit as st

import resnet_viz as rv
from app import results, show, state, viewport
from app.catalogue import Subject
from app.components.links import links
from app.components.spots import Tiles, spots
from app.state import Selection
from app.views import cells_picker, peaks_section
from app.views.measure_table import measure_table
from app.views.removals import with_removals
from resnet_viz.figures.attribution.backdrop import FEWEST as PIXELATED
from resnet_viz.figures.attribution.cam_overlay import BAR as COLOURBAR
from resnet_viz.figures.block.block_equation import Scale, term_name, terms_of
from resnet_viz.figures.block.channel_mosaic import GAP, columns_of, strongest_channel
from resnet_viz.figures.block.equation_words import Term
from resnet_viz.figures.theme import short

DETAILS = {
    "channels": "All channels",
    "cam": "Grad-CAM",
    "fires": "What makes a channel fire",
    "depth": "Every block by depth",
    "numbers": "Table",
}
# Shares of a wide page: the mosaic and one of its channels, and Grad-CAM.
TILES, ONE, HALF = 0.62, 0.36, 0.47
SCALES = {"shared": "Common scale", "each": "Separate scales"}


def equation(result: rv.Inspection, chosen: Selection, subject: Subject) -> None:
    """Identity + residual = sum -> ReLU -> output, for the mean over channels or for one channel."""
    block = result.block(chosen.block)
    channel = _channel(block, chosen)
    scale: Scale = "each" if chosen.scale == "each" else "shared"
    theme, room = show.theme(), viewport.room()
    what = ("equation", block.name, channel, scale, theme, room)
    figure = results.chart(
        subject, chosen.image, what, lambda: rv.figures.block_equation(block, channel, scale, theme, width=room)
    )
    with st.container(horizontal=True, vertical_alignment="bottom", key="equation-head"):
        show.heading(figure)
        st.selectbox(
            "Channel",
            ["", *map(str, range(block.shape[0]))],
            format_func=lambda number: f"channel {number}" if number else "mean of all channels",
            width=200,
            **state.bound("channel", "" if channel is None else str(channel)),
        )
        st.segmented_control(
            "Colours", list(SCALES), format_func=lambda name: SCALES[name], required=True, **state.bound("scale", scale)
        )
    show.chart(figure, "equation", least=viewport.least())
    with st.container(horizontal=True, vertical_alignment="bottom", key="equation-foot"):
        with st.container():
            _facts(block)
        _steps([each.name for each in result.blocks], chosen.block)


def details(result: rv.Inspection, chosen: Selection, subject: Subject) -> None:
    """One of five detailed views."""
    detail = chosen.detail if chosen.detail in DETAILS else "channels"
    st.segmented_control(
        "Details", list(DETAILS), format_func=lambda name: DETAILS[name], required=True, **state.bound("detail", detail)
    )
    {"channels": _channels, "cam": cam, "fires": _fires, "depth": _depth, "numbers": _numbers}[detail](result, chosen, subject)
    _, rows, columns = result.block(chosen.block).shape
    side = result.seen.shape[0]
    down, across = (results.cell_centres(subject, side, cells) for cells in (rows, columns))
    links(rows, columns, side, (down.start, down.jump), (across.start, across.jump))


def _channel(block: rv.BlockInspection, chosen: Selection) -> int | None:
    """Return the chosen channel, or None for the mean if the block has no such channel."""
    return chosen.channel_index if chosen.channel_index in range(block.shape[0]) else None


def _facts(block: rv.BlockInspection) -> None:
    m = block.measures
    rows = {
        "shape": "×".join(map(str, block.shape)),
        "shortcut": block.shortcut,
        "|F| / |x|": f"{m.ratio:.3f}",
        "cos(x, F)": f"{m.cosine:+.3f}".replace("-", "−"),
        "gradient through F": f"{m.residual_share:.0%}",
        "parameters": f"{m.parameters:,}",
        "multiply-adds": f"{m.multiply_adds / 1e6:,.2f} M",
        "max |x + F − sum|": f"{block.maps.error:g}" if block.maps else "–",
    }
    if block.shortcut == "none":
        rows = {name: value for name, value in rows.items() if "F" not in name}
    if block.tokens_apart:
        rows["counted, not drawn"] = ", ".join(block.tokens_apart)
    about = f"Block {short(block.name)}, all {block.shape[0]} channels together"
    show.facts_in_line(f"{about}; {block.note}" if block.note else about, rows)


def _steps(names: list[str], here: str) -> None:
    position = names.index(here)
    with st.container(horizontal=True, vertical_alignment="center", key="steps", width="content"):
        for label, to, key in (("Previous", position - 1, "ArrowLeft"), ("Next", position + 1, "ArrowRight")):
            inside = 0 <= to < len(names)
            block = names[to] if inside else ""
            st.button(label, key=label, shortcut=key, disabled=not inside, on_click=state.change, kwargs={"block": block})
        st.caption(f"{position + 1} of {len(names)}")


def _fires(result: rv.Inspection, chosen: Selection, _: Subject) -> None:
    peaks_section.peaks(result, chosen)


def _channels(result: rv.Inspection, chosen: Selection, subject: Subject) -> None:
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
    tiles, one = st.columns([TILES, ONE], gap="medium")
    with tiles:
        _tiles(block, term, channel, chosen, subject)
    with one:
        # If no channel is chosen, the strongest one shows what a click opens.
        drawn = strongest_channel(block, term) if channel is None else channel
        theme, room = show.theme(), viewport.room(ONE)
        what = ("channel", block.name, term, drawn, theme, room)
        figure = results.chart(
            subject, chosen.image, what, lambda: rv.figures.channel_map(block, term, drawn, theme, width=room)
        )
        show.heading(figure, level=4)
        show.chart(figure, "channel", least=viewport.least(ONE))


def _tiles(block: rv.BlockInspection, term: Term, channel: int | None, chosen: Selection, subject: Subject) -> None:
    """The mosaic. It is the same whichever channel is open: the frame around its tile is a separate layer."""
    theme, room = show.theme(), viewport.room(TILES)
    what = ("mosaic", block.name, term, theme, room)
    mosaic = results.chart(subject, chosen.image, what, lambda: rv.figures.channel_mosaic(block, term, None, theme, width=room))
    count, height, width = block.shape
    places = Tiles(count, columns_of(count, room), width, height, GAP, "Open channel")
    show.heading(mosaic, level=4)
    show.chart(
        mosaic,
        "mosaic",
        least=viewport.least(TILES),
        over=lambda: spots(
            "mosaic",
            f"Channels of {term_name(block, term)}",
            places,
            "" if channel is None else str(channel),
            lambda name: state.change(channel=name),
        ),
    )


def cam(result: rv.Inspection, chosen: Selection, subject: Subject, *, level: int = 4) -> None:
    """Grad-CAM after the open block, and next to it the photo in colour."""
    ground, drawn = results.ground(chosen.image, subject), cells_picker.cells_of(chosen, "smooth")
    figure = rv.figures.cam_overlay(
        result, chosen.block, show.theme(), photo=ground.large, cells=drawn, width=viewport.room(HALF)
    )
    with st.container(horizontal=True, vertical_alignment="bottom", key="cam-head"):
        show.heading(figure, level=level)
        cells_picker.pick(chosen, "smooth")
    over, beside = st.columns(2, gap="medium")
    with over:
        show.chart(figure, "cam", least=viewport.least(HALF))
    with beside:
        alt, few = "The network's input at the resolution of the photo", ground.large.side < PIXELATED
        show.photo(ground.colour, alt, viewport.room(HALF) - COLOURBAR, pixelated=few)


def _depth(result: rv.Inspection, chosen: Selection, _: Subject) -> None:
    figure = rv.figures.measures_by_depth(result, chosen.block, show.theme())
    show.heading(figure, level=4)
    show.chart(figure, "depth")


def _numbers(result: rv.Inspection, chosen: Selection, subject: Subject) -> None:
    st.markdown(f"#### Every measure of the {len(result.blocks)} blocks")
    st.caption(
        f"Block {short(chosen.block)} is open above. Point at the name of a column to see its meaning and unit. In the file,"
        " blocks have the names of their modules: layer2.0 is block 2.0."
    )
    table = with_removals(subject, chosen.image, result).table()
    measure_table(table)
    st.download_button("Download CSV", table.to_csv(), f"{result.model}-blocks.csv", "text/csv")
