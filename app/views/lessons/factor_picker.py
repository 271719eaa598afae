"""The picker of the super-resolution factor, shared by every lesson that has one."""

import streamlit as st

from app.views.lessons import lesson
from resnet_viz.lessons.super_resolution import FACTORS


def factor_picker(usual: int) -> int:
    """How many times smaller the given image is in each direction."""
    factor = lesson.value("factor", usual, FACTORS)
    st.segmented_control("Factor", FACTORS, format_func="×{}".format, required=True, **lesson.bound("factor", factor))
    return factor
