"""The picker of the network, the same on every page about one network."""

import streamlit as st

import resnet_viz as rv
from app import results, state
from app.state import Selection

STATES = {"official": "download, {:,.0f} MB", "untrained": "no trained weights"}


def network_picker(chosen: Selection) -> None:
    """Every network of the catalogue, and whether its weights are available."""
    models = results.models()
    st.selectbox(
        "Network",
        list(models),
        format_func=lambda name: described(models[name]),
        width=400,
        help="To use your own checkpoint, open it on the Model page.",
        **state.bound("model", chosen.model),
    )


def described(info: rv.ModelInfo) -> str:
    """A network's entry in a list of networks."""
    availability = "ready" if info.here else STATES[info.source].format(info.size / 1e6)
    return f"{info.title} · {info.task} · {info.blocks} blocks · {info.params / 1e6:.2f} M parameters · {availability}"
