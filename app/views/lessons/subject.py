"""The image, network and block of a lesson: pickers that keep their values in the URL."""

from collections.abc import Callable

import streamlit as st

from app import results, waiting
from app.catalogue import Subject
from app.views.lessons import lesson
from resnet_viz.figures.theme import short

# A network with bottleneck blocks, offered with random weights if its trained ones are not available.
BOTTLENECKS = ("resnet50",)


def picture_picker() -> str:
    """The samples, and the user's own image if the link has one."""
    shown, samples = lesson.picture(), results.samples()
    names = [*samples, *({shown} - samples.keys())]
    titles = {name: sample.title for name, sample in samples.items()}
    st.selectbox(
        "Image", names, format_func=lambda name: titles.get(name, "your image"), width=190, **lesson.bound("image", shown)
    )
    return shown


def network_picker(fits: Callable[[str], bool] = lambda _: True, also: tuple[str, ...] = ()) -> Subject:
    """The available networks that fit the lesson; those in `also` may have random weights."""
    models = results.models()
    names = [name for name, info in models.items() if (info.here or name in also) and fits(name)]
    shown = lesson.model() if lesson.model() in names else names[0]

    def describe(name: str) -> str:
        return f"{models[name].title} · {models[name].task if models[name].here else 'random weights'}"

    st.selectbox("Network", names, format_func=describe, width=240, **lesson.bound("model", shown))
    return waiting.network(shown, trained=models[shown].here)


def block_picker(subject: Subject) -> str:
    """The blocks of a network. The default is the second one: it keeps the shape, and its input is a block's output."""
    names = results.block_names(subject)
    shown = lesson.value("block", names[min(1, len(names) - 1)], names)
    st.selectbox("Block", names, format_func=short, width=110, **lesson.bound("block", shown))
    return shown


def steps(names: tuple[str, ...], here: str, field: str) -> None:
    """Buttons, and the up and down keys, for the neighbours in a row; `field` is also the word for what is in the row."""
    position = names.index(here)
    with st.container(horizontal=True, vertical_alignment="bottom", width="content", gap="small"):
        for label, to, key in (("Previous", position - 1, "Up"), ("Next", position + 1, "Down")):
            inside = 0 <= to < len(names)
            st.button(
                f"{label} {field}",
                key=f"lesson-step-{label.lower()}",
                shortcut=key,
                disabled=not inside,
                on_click=lesson.change,
                kwargs={field: names[to] if inside else here},
            )


def is_plain(model: str) -> bool:
    """Whether a network of the catalogue has no shortcuts."""
    info = results.models().get(model)
    return info is not None and info.shortcut == "no shortcut"
