"""The frame around every view: page settings, style, navigation, and the sign-in page if sign-in is configured."""

from pathlib import Path

import streamlit as st

from app import refused_uploads, state, turns, viewport
from app.views import attribution, compare, gradients, inspect, learn, model, questions, sign_in, survey


def draw() -> None:
    """One view, selected by its address, when it is its turn."""
    with turns.turn():
        _draw()


def _draw() -> None:
    pages = [
        st.Page(inspect.page, title="Inspect", url_path="inspect", default=True),
        st.Page(gradients.page, title="Gradients", url_path="gradients"),
        st.Page(attribution.page, title="Attribution", url_path="attribution"),
        st.Page(compare.page, title="Compare", url_path="compare"),
        st.Page(survey.page, title="Survey", url_path="survey"),
        st.Page(model.page, title="Model", url_path="model"),
        st.Page(learn.page, title="Learn", url_path="learn"),
        st.Page(questions.page, title="Questions", url_path="questions"),
    ]
    # Pages link to one another by their titles.
    st.session_state["pages"] = {page.title: page for page in pages}
    st.set_page_config(
        page_title="ResNet Viz", page_icon=str(Path(__file__).parent / "middleware" / "block.svg"), layout="wide"
    )
    st.html(Path(__file__).parent / "style.css")
    closed = sign_in.is_closed()
    chosen = st.navigation(pages, position="hidden" if closed else "top")
    if closed:
        sign_in.page()
        return
    state.visit(chosen.title)
    viewport.watch()
    refused_uploads.explain()
    chosen.run()
    if sign_in.is_set_up():
        sign_in.way_out()
