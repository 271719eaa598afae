"""The residual block, step by step, on a real image (S5)."""

from dataclasses import replace
from functools import partial

import streamlit as st

import resnet_viz as rv
from app import show
from app.views.lessons import lesson, subject, walking
from app.views.lessons.lesson import Finding, Lesson
from app.views.view_code import Script, quoted


def body() -> Finding:
    """The block as a chain of steps, and the tensor of the open step."""
    with lesson.doing():
        image = subject.picture_picker()
        network = subject.network_picker(also=subject.BOTTLENECKS)
        block = subject.block_picker(network)
        place = st.container(width="content")
    walk = walking.ask(network, image, block)
    name = lesson.value("step", walk.names[1], walk.names)
    with place:
        subject.steps(walk.names, name, "step")
    draw = partial(rv.figures.block_steps, walk, name)
    diagram = draw(theme=show.theme())
    show.heading(diagram, level=4)
    show.chart(diagram, "block-steps", on_click=lambda chosen: lesson.change(step=chosen))
    script = Script.of(network, image)
    script.add("", f"w = walk(net, image, {quoted(block)})", imports="from resnet_viz.lessons.block_steps import walk")
    found = walking.tensor(walk, name, script)
    found.script.add(f"steps = rv.figures.block_steps(w, {quoted(name)})")
    every = {"block-steps": {step.name: step.values for step in walk.steps}}
    return replace(found, charts={"block-steps": draw, **found.charts}, numbers={**every, **found.numbers})


LESSON = Lesson(
    slug="block",
    title="The residual block, step by step",
    question="What happens to an image inside one residual block?",
    do="Step through the block with the buttons or the up and down keys.",
    rows=("S5",),
    sources="He et al. 2015, arXiv 1512.03385, section 3, Fig. 2 and 5.",
    body=body,
)
