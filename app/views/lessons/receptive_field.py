"""What the centre of a block output sees of the image: along the shortcuts alone, and with the branches."""

import math
from functools import partial
from typing import cast

import streamlit as st

import resnet_viz as rv
from app import jobs, results, waiting
from app.catalogue import Subject
from app.views.lessons import lesson, own_picture, subject
from app.views.lessons.lesson import Finding, Lesson
from app.views.view_code import Script, quoted
from resnet_viz.figures.theme import short


def body() -> Finding | str:
    """The two maps of the open block over the photo, and the widths by depth."""
    with lesson.doing():
        image = own_picture.picker()
        network = subject.network_picker()
        names = results.block_names(network)
        block = subject.block_picker(network)
        subject.steps(names, block, "block")
    found = _fields(network, image)
    if found is None:
        return "Stopped before all blocks were measured."
    left, right = st.columns([11, 10], gap="large")
    drawn = {
        "field-maps": partial(rv.figures.field_maps, found, block, results.ground(image, network).small),
        "field-widths": partial(rv.figures.field_widths, found, block),
    }
    with left:
        lesson.chart(drawn, "field-maps", width="content")
    with right:
        lesson.chart(drawn, "field-widths")
    script = Script.of(network, image)
    script.add(
        "",
        "fields = rv.receptive_fields(net, image)",
        f"maps = rv.figures.field_maps(fields, {quoted(block)})",
        f"widths = rv.figures.field_widths(fields, {quoted(block)})",
    )
    field = found.block(block)
    maps = {"all_paths": field.map, "shortcuts_alone": field.shortcut_map}
    return Finding(_sentence(found, block), drawn, script, {"field-maps": maps})


def _fields(network: Subject, image: str) -> rv.ReceptiveFields | None:
    ask = [lambda: jobs.submit(network, "receptive fields", image, None, "receptive fields")]
    answers = waiting.long("block", ("receptive fields", network.key, image), ask, network)
    return None if answers is None else cast("rv.ReceptiveFields", answers[0])


def _sentence(found: rv.ReceptiveFields, name: str) -> str:
    block = found.block(name)
    can = (
        ""
        if math.isnan(block.theoretical)
        else "could see the whole image and "
        if math.isinf(block.theoretical)
        else f"could see {block.theoretical:.0f} pixels across and "
    )
    sees = f"The centre of the output of block {short(name)} {can}sees {block.effective:.0f} of {found.side} pixels across"
    if not block.shortcut_effective:
        return f"{sees}. Without a shortcut, everything that it sees comes through its layers."
    return (
        f"{sees}. Along the shortcuts alone it sees {block.shortcut_effective:.0f}: what the stem sees, because a shortcut"
        " passes on each position separately. Everything beyond that comes through residual branches."
    )


LESSON = Lesson(
    slug="receptive-field",
    title="What a block sees",
    question="How much of the image does a block see?",
    do="Move through the blocks with the up and down keys, and compare the two maps.",
    rows=(),
    sources=(
        "Luo et al. 2016, Understanding the Effective Receptive Field in Deep Convolutional Neural Networks, arXiv 1701.04128."
    ),
    body=body,
)
