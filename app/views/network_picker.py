"""The picker of the network, the same on every page about one network."""

import streamlit as st

import resnet_viz as rv
from app import results, state
from app.state import Selection

STATES = {"official": "download, {:,.0f} MB", "untrained": "no trained weights"}


def network_picker(chosen: Selection) -> None:
    """Every network of the catalogue by family, and whether its weights are available. Typing searches the whole list."""
    models = results.models()
    st.selectbox(
        "Network",
        list(models),
        format_func=lambda name: described(models[name]),
        width=400,
        help="Type to search. To use your own checkpoint or network, open it on the Model page.",
        **state.bound("model", chosen.model),
    )


def described(info: rv.ModelInfo) -> str:
    """The entry of a network in a list."""
    availability = "ready" if info.here else STATES[info.source].format(info.size / 1e6) if info.size else "download"
    # The blocks and the size of a network outside the lists are unknown until it is opened.
    blocks = [f"{info.blocks} blocks"] if info.blocks else []
    params = [f"{info.params / 1e6:.2f} M parameters"] if info.params else []
    family = [info.family] if info.family and not info.title.startswith(info.family) and info.family != info.task else []
    return " · ".join([info.title, *family, info.task, *blocks, *params, availability])
