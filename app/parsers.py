"""Where uploads are parsed: not in this process, so that no file can stop it for everybody."""

import streamlit as st

from resnet_viz.engine.parsing.pool import ParsingPool


@st.cache_resource(show_spinner=False)
def parsers() -> ParsingPool:
    """The pool of this server."""
    return ParsingPool()
