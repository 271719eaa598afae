"""The picker of the network, the same on every page that is about one."""

import streamlit as st

import controls
import results
from controls import Selection


def network_picker(chosen: Selection) -> None:
    """Every network of the catalogue, and whether its weights are here."""
    models = results.models()
    states = {"official": "to fetch, {:,.0f} MB", "untrained": "no trained weights"}

    def describe(name: str) -> str:
        info = models[name]
        state = "weights here" if info.here else states[info.source].format(info.size / 1e6)
        return f"{info.title} · {info.task} · {info.blocks} blocks · {info.params / 1e6:.2f} M · {state}"

    st.selectbox(
        "Network",
        list(models),
        format_func=describe,
        width=400,
        help="A checkpoint of your own? Bring it on the Model page.",
        **controls.bound("model", chosen.model),
    )
