"""An engine that cannot be reached: the page says so, keeps what it shows, and goes on by itself when the engine is back."""

import streamlit as st

from app import results, show, state
from app.state import Notice

EVERY_SECONDS = 3.0


def wait(found: Notice) -> None:
    """Say what is the matter, and ask again when there is hope."""
    st.warning(
        f"{show.escape(found.sentence)} What was asked for opens by itself as soon as it is back.", icon=":material/cloud_off:"
    )
    _look(found)


@st.fragment(run_every=EVERY_SECONDS)
def _look(found: Notice) -> None:
    if state.notice() is found and results.engine().ready():
        del st.session_state["notice"]
        state.write(found.asked)
        st.rerun()
