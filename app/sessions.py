"""Sessions: a name for each, and what happens some time after its browser has gone."""

import threading
from collections.abc import Callable
from uuid import uuid4

import streamlit as st
from streamlit.web.server.starlette.starlette_app_utils import decode_xsrf_token_string

from app.settings import XSRF_COOKIE, settings

Farewell = Callable[[str], None]

_farewells: list[Farewell] = []
_leaving: dict[str, threading.Timer] = {}
_lock = threading.Lock()


def name() -> str:
    """The session's name, which is unique, and which stays the same if the browser comes back in time."""
    found: str = st.session_state.setdefault("session", uuid4().hex)
    return found


def browser() -> str:
    """What all sessions of one browser have in common and nobody else knows; empty without cookies.

    Streamlit changes the cookie with each response: it contains the same secret under another mask.
    """
    secret, _ = decode_xsrf_token_string(st.context.cookies.get(XSRF_COOKIE, ""))
    return secret.hex() if secret else ""


def at_end(farewell: Farewell) -> None:
    """Call a function with the name of every session that has ended."""
    _farewells.append(farewell)


def present(session: str) -> None:
    """Note that a session's browser is connected, possibly again."""
    with _lock:
        timer = _leaving.pop(session, None)
    if timer is not None:
        timer.cancel()


def gone(session: str) -> None:
    """Note that a session's browser has disconnected; the session ends unless it comes back in time."""
    present(session)
    timer = threading.Timer(settings().session_grace_s, _end, (session,))
    timer.daemon = True
    with _lock:
        _leaving[session] = timer
    timer.start()


def _end(session: str) -> None:
    with _lock:
        if _leaving.pop(session, None) is None:
            return
    for farewell in _farewells:
        farewell(session)
