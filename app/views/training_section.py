"""The training: error by epoch of this and related networks, and the gradient norm of every block in every epoch."""

import streamlit as st

import resnet_viz as rv
from app import results, show


def section(info: rv.ModelInfo) -> None:
    """Both charts; a sentence if the curve is missing."""
    try:
        curves = results.curves()
    except rv.WeightsError as error:
        st.error(show.escape(str(error)), icon=":material/error:")
        return
    if info.name not in curves:
        st.caption(show.escape(f"This copy does not include a training curve of {info.title}."))
        return
    errors = rv.figures.training_curves(curves, info.name, show.theme())
    show.heading(errors)
    show.chart(errors, "training-curves")
    norms = rv.figures.gradient_norms(curves[info.name], info.title, show.theme())
    show.heading(norms)
    show.chart(norms, "gradient-norms")
