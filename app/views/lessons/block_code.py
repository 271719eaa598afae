"""A block's forward pass, line by line, each line with the tensor that it computes (S6)."""

from dataclasses import replace
from typing import cast

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import show, waiting
from app.views.lessons import lesson, subject, walking
from app.views.lessons.lesson import Finding, Lesson
from app.views.view_code import Script, quoted
from resnet_viz.figures.theme import short
from resnet_viz.lessons.block_code import PLACES, BlockCode, FunctionCode, SourceLine
from resnet_viz.lessons.block_steps import Walk

# Besides ResNet-50, networks whose blocks are written differently, offered with random weights.
OTHERS = (*subject.BOTTLENECKS, "regnet_y_400mf", "convnext_tiny")
# The characters of the longest line that fits beside wide tiles.
NARROW = 52
BADGES = {
    "x": ":gray-badge[input x]",
    "identity": ":blue-badge[shortcut]",
    "residual": ":orange-badge[branch]",
    "sum": ":green-badge[sum]",
    "output": ":green-badge[activation]",
}
TENSORS = {"x": "Input x", "identity": "Identity", "residual": "Residual F(x)", "sum": "Sum", "output": "Output"}
STYLE = """<style>
[class*='st-key-code-lines'] { gap: 0; border-left: 2px solid rgba(128, 128, 128, 0.35); padding-left: 0.5rem; }
[class*='st-key-code-lines'] button { min-height: 1.5rem; padding: 0 0.5rem; justify-content: flex-start; border-radius: 4px; }
[class*='st-key-code-lines'] button div { justify-content: flex-start; }
[class*='st-key-code-lines'] button p { font-family: "Source Code Pro", ui-monospace, monospace; font-size: 0.9rem; }
[class*='st-key-code-lines'] button p { white-space: pre-wrap; text-align: left; }
[class*='st-key-code-lines'] button:disabled { color: inherit; opacity: 0.65; }
[class*='st-key-code-lines'] .code-blank { height: 0.45rem; }
</style>"""


def body() -> Finding:
    """The code on the left, the tensor of its active line on the right."""
    with lesson.doing():
        image = subject.picture_picker()
        network = subject.network_picker(lambda name: not subject.is_plain(name), OTHERS)
        block = subject.block_picker(network)
        place = st.container(width="content")
    found = cast("BlockCode", waiting.answer(network, "block", "block code", image, None, "block code", block=block))
    script = Script.of(network, image)
    script.add(
        "", f"w = block_code(net, image, {quoted(block)}).walk", imports="from resnet_viz.lessons.block_code import block_code"
    )
    if not found.functions:
        return _without_code(found, place, script)
    lines = {
        _name(number, line): line
        for number, function in enumerate(found.functions)
        for line in function.lines
        if set(line.makes) & set(found.walk.names)
    }
    names = tuple(lines)
    chosen = lesson.value("line", names[min(1, len(names) - 1)], names)
    with place:
        subject.steps(names, chosen, "line")
    longest = max(len(line.text) for function in found.functions for line in function.lines)
    code, tensor = st.columns([4, 9] if longest <= NARROW else [1, 1], gap="large")
    with code:
        st.html(STYLE)
        for number, function in enumerate(found.functions):
            _code(number, function, found.walk, chosen)
    active = lines[chosen]
    with tensor:
        step = _step(active)
        shown = walking.tensor(found.walk, step, script, beside=False)
    return replace(shown, sentence=f"Line {active.number}, {active.text.strip()}: {shown.sentence}")


def _name(function: int, line: SourceLine) -> str:
    """What the URL calls a line: its number in the file, with the function's position if it is not the first."""
    return f"{function}:{line.number}" if function else str(line.number)


def _step(line: SourceLine) -> str:
    """The step whose tensor is shown; if a line computes several, the one chosen by the reader."""
    chosen = lesson.value("step", line.makes[-1], line.makes)
    if len(line.makes) > 1:
        st.segmented_control(
            "Tensor of this line", line.makes, format_func=TENSORS.__getitem__, required=True, **lesson.bound("step", chosen)
        )
    return chosen


def _without_code(found: BlockCode, place: DeltaGenerator, script: Script) -> Finding:
    """The tensors alone, and why there is no code."""
    names = found.walk.names
    chosen = lesson.value("step", names[-1], names)
    with place:
        subject.steps(names, chosen, "step")
    st.caption(show.escape(f"The code of block {short(found.walk.block)} cannot be shown: {found.missing}."))
    return walking.tensor(found.walk, chosen, script, beside=False)


def _code(number: int, function: FunctionCode, walk: Walk, chosen: str) -> None:
    installed = f" as installed, {function.package}" if function.package else ""
    st.caption(show.escape(function.title + installed))
    with st.container(key=f"code-lines-{number}"):
        for line in function.lines:
            if line.text.strip():
                _line(_name(number, line), line, walk, chosen)
            else:
                st.html("<div class='code-blank'></div>")


def _line(name: str, line: SourceLine, walk: Walk, chosen: str) -> None:
    runs = bool(set(line.makes) & set(walk.names))
    indent = len(line.text) - len(line.text.lstrip())
    # Without a character between the two signs, Streamlit turns them into an arrow.
    text = show.escape(line.text.strip()).replace("\\-\\>", "\\-\u2060\\>")
    parts = line.parts or (line.makes if runs else ())
    badges = " ".join(BADGES[part] for part in parts if part in PLACES)
    st.button(
        "\u00a0" * indent + text + (f"\u2003{badges}" if badges else ""),
        key=f"code-line-{name}",
        type="primary" if name == chosen else "tertiary",
        disabled=not runs,
        help=None if runs or not line.makes else f"Not executed: in block {walk.block}, the shortcut is the identity.",
        on_click=lesson.change,
        kwargs={"line": name},
    )


LESSON = Lesson(
    slug="code",
    title="The forward pass, line by line",
    question="Which line of the code computes which tensor?",
    do="Click a line, or move through the lines with the up and down keys; then try a network of another family.",
    rows=("S6",),
    sources="The source of the network's own blocks, as installed. He et al. 2015, arXiv 1512.03385.",
    body=body,
)
