"""The residual block, step by step, on a real image (S5)."""

import streamlit as st

import resnet_viz as rv
from app import show
from app.views.lessons import lesson, subject, walking
from app.views.lessons.lesson import Lesson


def body() -> str:
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
    diagram = rv.figures.block_steps(walk, name, show.theme())
    show.heading(diagram, level=4)
    show.chart(diagram, "block-steps", on_click=lambda chosen: lesson.change(step=chosen))
    walking.tensor(walk, name)
    return walking.sentence(walk, walk.step(name))


LESSON = Lesson(
    slug="block",
    title="The residual block, step by step",
    question="What happens to an image inside one residual block?",
    do="Step through the block with the buttons or the up and down keys.",
    rows=("S5",),
    sources="He et al. 2015, arXiv 1512.03385, section 3, Fig. 2 and 5.",
    body=body,
)
