"""How a component is built from its files."""

from pathlib import Path

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

FOLDER = Path(__file__).parent


def component(name: str) -> ComponentRenderer:
    """Register the component with the script and the style sheet of that name; the style sheet is optional."""
    sheet = FOLDER / f"{name}.css"
    return st.components.v2.component(
        f"resnet_viz_{name}",
        css=sheet.read_text() if sheet.exists() else None,
        js=(FOLDER / f"{name}.js").read_text(),
        # The component reads the charts and photos around it, and page styles position it.
        isolate_styles=False,
    )
