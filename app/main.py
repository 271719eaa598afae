"""ResNet Viz: `streamlit run app/main.py`. A picture frame: page, style and navigation."""

from pathlib import Path

import streamlit as st

from views import attribution, compare, gradients, inspect, model

PAGES = [
    st.Page(inspect.page, title="Inspect", url_path="inspect", default=True),
    st.Page(gradients.page, title="Gradients", url_path="gradients"),
    st.Page(attribution.page, title="Attribution", url_path="attribution"),
    st.Page(compare.page, title="Compare", url_path="compare"),
    st.Page(model.page, title="Model", url_path="model"),
]

# Pages link to one another by their titles.
st.session_state["pages"] = {page.title: page for page in PAGES}
st.set_page_config(page_title="ResNet Viz", page_icon=":material/stacked_line_chart:", layout="wide")
st.html(Path(__file__).parent / "style.css")
st.navigation(PAGES, position="top").run()
