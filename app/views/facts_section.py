"""The key facts of a network in one line of figures: its accuracy, its origin, its size."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

import resnet_viz as rv
from app import show, state
from app.state import Selection
from resnet_viz.nets.architecture import Part
from resnet_viz.nets.families import timm
from resnet_viz.nets.published import published


def shipped(info: rv.ModelInfo, parts: Sequence[Part], card: Mapping[str, Any]) -> None:
    """A network that this project trained, with the accuracies of its card."""
    _heading(
        f"{info.title} classifies {card['test_accuracy']:.1%} of the test images correctly",
        f"Trained by this project on {info.task} for {card['recipe']['epochs']} epochs, seed {card['recipe']['seed']}. Its "
        f"weights are included, and the accuracies were measured with them.",
    )
    accuracies = {"Test accuracy": card["test_accuracy"], "Training accuracy": card["train_accuracy"]}
    _strip({name: f"{share:.1%}" for name, share in accuracies.items()} | _sizes(info, parts))


def without_card(info: rv.ModelInfo, parts: Sequence[Part], chosen: Selection) -> None:
    """Any other network: published results, or a note that there are none."""
    if not chosen.trained:
        _heading(
            f"{info.title} with random weights",
            "The weights are random, not trained. The architecture is the same as that of the trained network.",
        )
        _strip(_sizes(info, parts))
        if info.source != "untrained":
            trained = {"model": info.name, "weights": "trained"}
            st.button(f"{info.title} with trained weights", on_click=state.change, kwargs=trained)
    elif info.source == "official" and timm.is_name(info.name):
        _of_timm(info, parts)
    elif info.source == "official":
        _official(info, parts)
    elif info.source == "untrained":
        _heading(
            f"{info.title} has no trained weights yet",
            "This page shows its architecture. The Inspect page can show it with random weights.",
        )
        _strip(_sizes(info, parts))
    else:
        _heading(info.title, f"{info.task}; {info.note}.")
        _strip(_sizes(info, parts))


def _of_timm(info: rv.ModelInfo, parts: Sequence[Part]) -> None:
    place = "on this machine" if info.here else f"not on this machine: {_megabytes(info)}to download, on the Inspect page"
    _heading(info.title, f"timm's weights from the Hugging Face hub, {place}. Their accuracy was not measured here.")
    _strip(_sizes(info, parts))


def _megabytes(info: rv.ModelInfo) -> str:
    return f"about {info.size / 1e6:,.0f} MB " if info.size else ""


def _official(info: rv.ModelInfo, parts: Sequence[Part]) -> None:
    figures = published(info.name)
    megabytes = f"{info.size / 1e6:,.0f} MB"
    place = "on this machine" if info.here else f"not on this machine; the Inspect page offers the download ({megabytes})"
    _heading(
        f"{info.title} classifies {figures.top1:.1%} of ImageNet's validation images correctly",
        f"Torchvision's weights {figures.weights}, {place}. The accuracies are those published by torchvision, not measured "
        f"here. It has not published a training curve.",
    )
    _strip({"Top-1 accuracy": f"{figures.top1:.1%}", "Top-5 accuracy": f"{figures.top5:.1%}"} | _sizes(info, parts))
    st.link_button("How these weights were trained", figures.recipe, icon=":material/open_in_new:")


def _sizes(info: rv.ModelInfo, parts: Sequence[Part]) -> dict[str, str]:
    kinds = {part.shortcut for part in parts if part.shortcut is not None}
    depth = {"Layers with weights": str(info.depth)} if info.depth else {}
    blocks = info.blocks or sum(part.stage is not None for part in parts)
    return {
        "Parameters": _count(sum(part.parameters for part in parts)),
        "Multiply-adds": _count(sum(part.multiply_adds for part in parts)),
        **depth,
        "Blocks": str(blocks),
        "Shortcuts": ", ".join(sorted(kinds - {"identity"})) or "identity",
    }


def _count(count: float) -> str:
    """Write a large count with its unit word."""
    return f"{count / 1e9:,.2f} G" if count >= 1e9 else f"{count / 1e6:,.2f} M"


def _heading(finding: str, note: str) -> None:
    st.markdown(f"### {show.escape(finding)}")
    st.caption(show.escape(note))


def _strip(figures: Mapping[str, str]) -> None:
    with st.container(horizontal=True, gap="medium", key="key-facts"):
        for label, value in figures.items():
            st.metric(label, value, width="content")
