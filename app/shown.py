"""Networks of the Python program that started this app with `rv.show`: listed here, computed there."""

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import streamlit as st

from resnet_viz.engine.jobs import EngineError
from resnet_viz.engine.protocol import MOST_ANSWER_BYTES
from resnet_viz.engine.shown import CATALOGUE, SHOWN, ShownNetwork
from resnet_viz.engine.wire import WireError, decode
from resnet_viz.settings import EngineSettings, ShownSettings

if TYPE_CHECKING:
    from resnet_viz.engine.remote import RemoteEngine

LOOK_SECONDS = 1.0


def is_on() -> bool:
    """Whether a program started this app to show its networks."""
    return bool(ShownSettings.read().shown_url)


def networks() -> dict[str, ShownNetwork]:
    """The networks that the program shows, by name, the latest first; at most a second old."""
    return _program().networks() if is_on() else {}


def engine() -> "RemoteEngine":
    """The engine for jobs about these networks."""
    return _program().engine


def end_with_the_program() -> None:
    """End this process when the program that started it ends, which closes the standard input."""
    if is_on():
        threading.Thread(target=_wait_for_the_end, name="end-with-the-program", daemon=True).start()


def _wait_for_the_end() -> None:
    while sys.stdin.buffer.read(1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


class _Program:
    """The connection to the program: its engine, and the list of its networks."""

    def __init__(self, url: str, token: str) -> None:
        # These imports are slow, and few users need them.
        from resnet_viz.engine.connection import Connection  # noqa: PLC0415 - see above
        from resnet_viz.engine.remote import RemoteEngine  # noqa: PLC0415 - see above

        self.engine = RemoteEngine(url, token, EngineSettings.read())
        self._connection = Connection(url, token)
        self._known: dict[str, ShownNetwork] = {}
        self._looked = 0.0
        self._looking = threading.Lock()

    def networks(self) -> dict[str, ShownNetwork]:
        with self._looking:
            if time.monotonic() - self._looked > LOOK_SECONDS:
                # While the program is busy, the last known list is used.
                with suppress(EngineError, WireError):
                    data = self._connection.start(self._connection.ask("GET", SHOWN)).result()
                    found: tuple[ShownNetwork, ...] = decode(data, CATALOGUE, MOST_ANSWER_BYTES)
                    self._known = {network.info.name: network for network in found}
                self._looked = time.monotonic()
            return self._known


@st.cache_resource(show_spinner=False)
def _program() -> _Program:
    settings = ShownSettings.read()
    return _Program(settings.shown_url, settings.shown_token)
