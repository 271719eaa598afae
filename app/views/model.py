"""Model: what is this network, how was it trained, and how well does it do?"""

import streamlit as st


def page() -> None:
    """The whole page, top to bottom."""
    st.html("<h1 class='product'>ResNet Viz</h1>")
