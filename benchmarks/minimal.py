"""The smallest Streamlit page with a chart and a button, which serves as the reference for the waiting times of the app."""

import plotly.graph_objects as go
import streamlit as st

turn = st.session_state.get("turn", 0)
st.button("Another", on_click=lambda: st.session_state.update(turn=turn + 1))
st.plotly_chart(go.Figure(go.Bar(y=[1, 2, 3])), key="chart")
st.markdown(f"# Turn {turn}")
