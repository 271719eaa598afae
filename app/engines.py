"""The engines of this server, each created once and shared by all sessions, and its downloads of weights.

Jobs about images go to `engine`, those about a session's own checkpoint to `local_engine`. The experiments of lessons and the
verdicts on uploaded files have the `workshop`, where they do not delay inspections.
"""

import threading

import streamlit as st

from app import parsers, sessions
from app.settings import settings
from resnet_viz.engine.downloads import Downloads
from resnet_viz.engine.jobs import Engine
from resnet_viz.engine.local import LocalEngine
from resnet_viz.lessons import super_resolution_training
from resnet_viz.settings import EngineSettings


@st.cache_resource(show_spinner=False)
def engine() -> Engine:
    """The engine for all jobs: the one at RESNET_VIZ_ENGINE, or one in this process."""
    if not settings().engine:
        return local_engine()
    from resnet_viz.engine.remote import RemoteEngine  # noqa: PLC0415 - its library is the extra "remote"

    return RemoteEngine(settings().engine, settings().token, EngineSettings.read())


@st.cache_resource(show_spinner=False)
def local_engine() -> LocalEngine:
    """The engine in this process."""
    return LocalEngine(EngineSettings.read(), opener=parsers.parsers().open_image)


@st.cache_resource(show_spinner=False)
def workshop() -> LocalEngine:
    """The engine in this process whose jobs do not delay inspections."""
    return LocalEngine(EngineSettings.read(), opener=parsers.parsers().open_image)


@st.cache_resource(show_spinner=False)
def downloads() -> Downloads:
    """The downloads of official weights, shared by everybody on this server."""
    return Downloads()


@st.cache_resource(show_spinner=False)
def prepare_lessons() -> None:
    """Do the slow imports of lessons before anybody waits for them."""
    threading.Thread(target=super_resolution_training.prepare, daemon=True).start()


def _leave(session: str) -> None:
    for each in {id(each): each for each in (engine(), local_engine(), workshop())}.values():
        each.leave(session)


sessions.at_end(_leave)
