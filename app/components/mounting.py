"""How a component is made of its files."""

from pathlib import Path

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

FOLDER = Path(__file__).parent


def component(name: str) -> ComponentRenderer:
    """Register the component whose script and style sheet are called by its name; a sheet may be missing."""
    sheet = FOLDER / f"{name}.css"
    return st.components.v2.component(
        f"resnet_viz_{name}",
        css=sheet.read_text() if sheet.exists() else None,
        js=(FOLDER / f"{name}.js").read_text(),
        # Charts and photos around it are looked at, and styles say where it lies on the page.
        isolate_styles=False,
    )
