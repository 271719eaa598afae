"""An engine that cannot be reached: the page says so, keeps its content, and continues when the engine is back."""

import streamlit as st

from app import engines, show, state
from app.state import Notice

EVERY_SECONDS = 3.0


def wait(found: Notice) -> None:
    """Show the reason, and ask again when there is a chance of an answer."""
    st.warning(
        f"{show.escape(found.sentence)} The requested view opens automatically when the engine is back.",
        icon=":material/cloud_off:",
    )
    _look(found)


@st.fragment(run_every=EVERY_SECONDS)
def _look(found: Notice) -> None:
    if state.notice() is found and engines.engine().ready():
        del st.session_state["notice"]
        state.write(found.asked)
        st.rerun()
