"""The key facts of a network in one line of figures: how well it does, where it comes from, how large it is."""

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
    """A network that this project trained: accuracies as its card says."""
    recipe = card["recipe"]
    _heading(
        f"{info.title} gets {card['test_accuracy']:.1%} of the test images right",
        f"Trained by this project on {info.task} for {recipe['epochs']} epochs, seed {recipe['seed']}; its weights ship with"
        " this copy, and the figures were measured from that file.",
    )
    accuracies = {"Test images right": card["test_accuracy"], "Training images right": card["train_accuracy"]}
    _strip({name: f"{share:.1%}" for name, share in accuracies.items()} | _sizes(info, parts))


def without_card(info: rv.ModelInfo, parts: Sequence[Part], chosen: Selection) -> None:
    """Any other network: what others published, or that there is nothing to say yet."""
    if not chosen.trained:
        _heading(f"{info.title} with random weights", "Nothing was learned. Its architecture is that of the trained network.")
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
            "This page shows its architecture; on Inspect it can be looked at with random weights.",
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
    place = "on this machine" if info.here else f"not on this machine: {megabytes} to download, on the Inspect page"
    _heading(
        f"{info.title} gets {figures.top1:.1%} of ImageNet's validation images right",
        f"Torchvision's weights {figures.weights}, {place}. Accuracies are as torchvision published them, not measured here;"
        " it published no training curve.",
    )
    _strip({"Top 1": f"{figures.top1:.1%}", "Top 5": f"{figures.top5:.1%}"} | _sizes(info, parts))
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
    """Write a large count as people say it."""
    return f"{count / 1e9:,.2f} G" if count >= 1e9 else f"{count / 1e6:,.2f} M"


def _heading(finding: str, note: str) -> None:
    st.markdown(f"### {show.escape(finding)}")
    st.caption(show.escape(note))


def _strip(figures: Mapping[str, str]) -> None:
    with st.container(horizontal=True, gap="medium", key="key-facts"):
        for label, value in figures.items():
            st.metric(label, value, width="content")
