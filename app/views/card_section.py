"""The content of a model card: accuracy by class, the confusion matrix, and the recipe, data and files."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import streamlit as st

import resnet_viz as rv
from app import show
from resnet_viz.nets.curves import curve_file
from resnet_viz.nets.zoo import read_card


def read(name: str) -> dict[str, Any]:
    """The card of shipped weights; if it can no longer be read, the page ends with a message."""
    try:
        return read_card(name)
    except rv.WeightsError as error:
        st.error(show.escape(str(error)), icon=":material/error:")
        st.stop()


def accuracy(card: Mapping[str, Any]) -> None:
    """The accuracy by class, and which classes the network confuses."""
    counts, labels = np.array(card["confusion"]), list(card["accuracy_by_class"])
    classes, mistakes = st.columns([2, 3], gap="large")
    with classes:
        bars = rv.figures.class_accuracy(counts, labels, show.theme())
        show.heading(bars)
        show.chart(bars, "class-accuracy")
    with mistakes:
        matrix = rv.figures.confusion(counts, labels, show.theme())
        show.heading(matrix)
        show.chart(matrix, "confusion")


def origin(card: Mapping[str, Any]) -> None:
    """Recipe, data and files."""
    st.markdown(f"### {show.escape('Where ' + card['title'] + ' comes from')}")
    st.space("xsmall")
    recipe, data, files = st.columns(3, gap="large")
    with recipe:
        st.markdown("##### Recipe")
        show.facts(_recipe(card))
    with data:
        st.markdown("##### Data")
        st.write(show.escape(card["data"]["note"]))
        st.caption("SHA-256 of the archive")
        st.code(card["data"]["sha256"], language=None, wrap_lines=True)
    with files:
        st.markdown("##### Files")
        st.caption("SHA-256 of the weights")
        st.code(card["sha256"], language=None, wrap_lines=True)
        st.caption("Measure the accuracy again (DATA is the folder or archive of the images)")
        st.code(card["check"], language=None, wrap_lines=True)
        _downloads(card)


def _recipe(card: Mapping[str, Any]) -> dict[str, str]:
    recipe, versions, data = card["recipe"], card["versions"], card["data"]
    return {
        "images": f"{data['train']:,} for training, {data['test']:,} for testing",
        "epochs": f"{recipe['epochs']}, batches of {recipe['batch_size']}",
        "optimiser": f"{recipe['optimizer']}, momentum {recipe['momentum']}",
        "weight decay": f"{recipe['weight_decay']}",
        "learning rate": f"{recipe['schedule']}, peak {recipe['peak_learning_rate']}",
        "augmentation": _augmentation(recipe),
        "precision": recipe["precision"],
        "seed": f"{recipe['seed']}",
        "time": f"{card['seconds'] / 60:.0f} minutes ({card.get('device', 'CPU')})",
        "versions": f"torch {versions['torch']}, torchvision {versions['torchvision']}, Python {versions['python']}",
    }


def _augmentation(recipe: Mapping[str, Any]) -> str:
    stronger = f", TrivialAugment, {recipe['mixed']:.0%} of the batches mixed" if recipe.get("mixed") else ""
    return f"{_crops(recipe)}, random mirroring{stronger}"


def _crops(recipe: Mapping[str, Any]) -> str:
    smallest = recipe.get("smallest_crop")
    if smallest is None:
        return f"random crops after padding by {recipe['padding']} pixels"
    sizes = " to ".join(f"{recipe['sizes'][end][1]}" for end in (0, -1))
    return f"random crops of at least {smallest:.0%} of the area, resized to {sizes} pixels"


def _downloads(card: Mapping[str, Any]) -> None:
    name, curve = card["name"], curve_file(card["name"])
    with st.container(horizontal=True):
        text = json.dumps(card, indent=1)
        st.download_button("Download the card (JSON)", text, f"{name}.json", "application/json", icon=":material/download:")
        if curve.exists():
            st.download_button(
                "Download the curve (CSV)", curve.read_bytes(), f"{name}.csv", "text/csv", icon=":material/download:"
            )
