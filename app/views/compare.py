"""Compare: how do two networks, or one network on two pictures, differ block by block?"""

import streamlit as st


def page() -> None:
    """The whole page, top to bottom."""
    st.html("<h1 class='product'>ResNet Viz</h1>")
