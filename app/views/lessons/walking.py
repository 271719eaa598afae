"""What the lessons on a block and on its code share: the steps of a block, and the tensor of one step."""

from functools import partial
from typing import cast

import streamlit as st

import resnet_viz as rv
from app import show, waiting
from app.catalogue import Subject
from app.views.lessons import lesson
from app.views.lessons.lesson import Finding
from app.views.view_code import Script, quoted
from resnet_viz.lessons.block_steps import Step, Walk

# The pixels available for the tiles, so that a lesson fits on one screen.
TILES, MAP = 200, 165


def ask(subject: Subject, image: str, block: str) -> Walk:
    """Every tensor of one block."""
    return cast("Walk", waiting.answer(subject, "block", "walk", image, None, "walk", block=block))


def tensor(walk: Walk, name: str, script: Script, *, beside: bool = True) -> Finding:
    """All channels of a step, and next to them one channel or the mean; `script` makes the walk `w`."""
    count = len(walk.step(name).values)
    number = lesson.value("channel", -1)
    channel = number if 0 <= number < count else None
    tiles, one = st.columns([5, 2], gap="medium") if beside else (st.container(), st.container())
    drawn = {
        "step-mosaic": partial(rv.figures.step_mosaic, walk, name, channel, TILES),
        "step-map": partial(rv.figures.step_map, walk, name, channel, MAP),
    }
    with tiles:
        mosaic = drawn["step-mosaic"](theme=show.theme())
        show.heading(mosaic, level=5)
        show.chart(mosaic, "step-mosaic", width="content", on_click=lambda chosen: lesson.change(channel=chosen))
    with one:
        lesson.chart(drawn, "step-map", width="content")
    values = walk.step(name).values
    script.add(f"mosaic = rv.figures.step_mosaic(w, {quoted(name)}, {channel}, {TILES})")
    script.add(f"channel = rv.figures.step_map(w, {quoted(name)}, {channel}, {MAP})")
    numbers = {"step-mosaic": {name: values}, "step-map": {name: values.mean(0) if channel is None else values[channel]}}
    return Finding(sentence(walk, walk.step(name)), drawn, script, numbers)


def sentence(walk: Walk, step: Step) -> str:
    """What one step does to the values."""
    shape = "×".join(map(str, step.values.shape))
    values = step.values
    spread = f"{shape} values from {values.min():.2f} to {values.max():.2f}, standard deviation {values.std():.2f}"
    before = _before(walk, step)
    if step.operation.partition(":")[0] == "ReLU":
        return f"The ReLU sets the negative entries, {before.negative:.0%} of all, to 0. Output: {spread}."
    if step.name == "sum":
        m = walk.step("identity" if "identity" in walk.names else "x").values
        error = float(abs(m + before.values - values).max())
        return (
            f"Identity and residual are added element by element, which keeps the shape. Output: {spread}; the largest error "
            f"is {error:g}."
        )
    if step.name.startswith("bn"):
        was = before.values.std()
        scaled = f"from {was:.2f} to {values.std():.2f}"
        return (
            f"Batch norm changes the standard deviation {scaled}; {step.negative:.0%} of the entries are negative. "
            f"Output: {spread}."
        )
    if step.name == "x":
        rectified = (
            f" None of them is negative and {step.zero:.0%} are 0, as after a ReLU." if step.zero and not step.negative else ""
        )
        return f"The block's input has {spread}.{rectified}"
    return f"{step.operation[0].upper()}{step.operation[1:]}. Output: {spread}."


def _before(walk: Walk, step: Step) -> Step:
    """The step that produced this one's input; for the sum, the residual."""
    branch = [each for each in walk.steps if each.name != "identity"]
    return branch[max(0, [each.name for each in branch].index(step.name) - 1)] if step.name != "identity" else walk.step("x")
