"""Uploads are parsed in other processes, so that no file can stop this one for everybody."""

import streamlit as st
from PIL import Image

from resnet_viz.engine.parsing.pool import ParsingPool


@st.cache_resource(show_spinner=False)
def parsers() -> ParsingPool:
    """The pool of this server."""
    return ParsingPool()


def open_image(data: bytes) -> Image.Image:
    """Open an uploaded image; rv.ImageError if it is none. Do not modify the image: others share it."""
    return parsers().open_image(data)
