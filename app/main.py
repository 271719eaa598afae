"""ResNet Viz: `streamlit run app/main.py`. A picture frame: page, style and navigation."""

from pathlib import Path

import streamlit as st

from views import compare, inspect, model

PAGES = [
    st.Page(inspect.page, title="Inspect", url_path="inspect", default=True),
    st.Page(compare.page, title="Compare", url_path="compare"),
    st.Page(model.page, title="Model", url_path="model"),
]

st.set_page_config(page_title="ResNet Viz", page_icon=":material/stacked_line_chart:", layout="wide")
st.html(Path(__file__).parent / "style.css")
st.navigation(PAGES, position="top").run()
