"""Uploads are parsed in other processes, so that no file can stop this one for everybody."""

import streamlit as st
from PIL import Image

from app import turns
from resnet_viz.analyses.survey.result import Survey
from resnet_viz.engine.parsing.pool import ParsingPool
from resnet_viz.nets.checkpoints.loading import Extract


@st.cache_resource(show_spinner=False)
def parsers() -> ParsingPool:
    """The pool of this server."""
    return ParsingPool()


def open_image(data: bytes) -> Image.Image:
    """Open an uploaded image; rv.ImageError if it is none. Do not modify the image: others share it."""
    with turns.paused():
        return parsers().open_image(data)


def extract(data: bytes, part: str | None = None) -> Extract:
    """Extract an uploaded checkpoint's tensors; rv.CheckpointError if it has none."""
    with turns.paused():
        return parsers().extract(data, part)


def open_survey(data: bytes, most_images: int) -> Survey:
    """Open an uploaded survey's file; rv.SurveyError if it is none."""
    with turns.paused():
        return parsers().open_survey(data, most_images)
