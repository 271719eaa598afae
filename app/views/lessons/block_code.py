"""The official forward pass, line by line, each line with the tensor that it computes (S6)."""

import streamlit as st

from app import show
from app.views.lessons import lesson, subject, walking
from app.views.lessons.lesson import Lesson
from resnet_viz.lessons.block_steps import ForwardCode, SourceLine, Walk, forward_source

STYLE = """<style>
.st-key-code-lines { gap: 0; border-left: 2px solid rgba(128, 128, 128, 0.35); padding-left: 0.5rem; }
.st-key-code-lines button { min-height: 1.5rem; padding: 0 0.5rem; justify-content: flex-start; border-radius: 4px; }
.st-key-code-lines button div { justify-content: flex-start; }
.st-key-code-lines button p { font-family: "Source Code Pro", ui-monospace, monospace; font-size: 0.9rem; white-space: pre; }
.st-key-code-lines button:disabled { color: inherit; opacity: 0.65; }
.st-key-code-lines .code-blank { height: 0.45rem; }
</style>"""


def body() -> str:
    """The code on the left, the tensor of its active line on the right."""
    with lesson.doing():
        image = subject.picture_picker()
        network = subject.network_picker(lambda name: not subject.is_plain(name), subject.BOTTLENECKS)
        block = subject.block_picker(network)
        place = st.container(width="content")
    walk = walking.ask(network, image, block)
    source = forward_source(walk.kind)
    run = [line for line in source.lines if line.makes in walk.names]
    numbers = tuple(str(line.number) for line in run)
    chosen = lesson.value("line", numbers[1], numbers)
    active = run[numbers.index(chosen)]
    with place:
        subject.steps(numbers, chosen, "line")
    code, tensor = st.columns([4, 9], gap="large")
    with code:
        _code(source, walk, active)
    with tensor:
        walking.tensor(walk, active.makes, beside=False)
    return f"Line {active.number}, {active.text.strip()}: {walking.sentence(walk, walk.step(active.makes))}"


def _code(source: ForwardCode, walk: Walk, active: SourceLine) -> None:
    st.html(STYLE)
    st.caption(f"{show.escape(source.title)} as installed, torchvision {show.escape(source.version)}")
    with st.container(key="code-lines"):
        for line in source.lines:
            if line.text.strip():
                _line(line, walk, active)
            else:
                st.html("<div class='code-blank'></div>")


def _line(line: SourceLine, walk: Walk, active: SourceLine) -> None:
    runs = line.makes in walk.names
    indent = len(line.text) - len(line.text.lstrip())
    # Without a character between the two signs, Streamlit turns them into an arrow.
    text = show.escape(line.text.strip()).replace("\\-\\>", "\\-\u2060\\>")
    st.button(
        "\u00a0" * indent + text,
        key=f"code-line-{line.number}",
        type="primary" if line.number == active.number else "tertiary",
        disabled=not runs,
        help=None if runs or not line.makes else f"Not executed: in block {walk.block}, the shortcut is the identity.",
        on_click=lesson.change,
        kwargs={"line": line.number},
    )


LESSON = Lesson(
    slug="code",
    title="The forward pass, line by line",
    question="Which line of the code computes which tensor?",
    do="Click a line, or move through the lines with the up and down keys.",
    rows=("S6",),
    sources="The installed torchvision's own source. He et al. 2015, arXiv 1512.03385.",
    body=body,
)
