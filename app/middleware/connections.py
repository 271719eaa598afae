"""Limits of a connection before any other check, and how long a server may take to stop.

Streamlit starts uvicorn without settings for this. The head of a request is limited by h11, to 64 KB (httptools, which uvicorn
prefers if it is installed, has no limit), and gets a time limit here.
"""

import asyncio
import gc
import os
import signal
import threading
import time
from collections.abc import Callable

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

# Seconds for the head of a request, and for the rest of a body that was answered early.
HEAD_SECONDS, REST_SECONDS = 20.0, 60.0
MOST_HEAD_BYTES = 64 * 2**10
MOST_CONNECTIONS = 2000
# Seconds until responses that are still being sent are cut off, and until the process ends in any case.
GRACE_SECONDS, LONGEST_END = 3, 8.0
LOOK = 0.25
UNREADABLE = "This request cannot be read, or its headers are longer than 64 KB. Open the address in a browser.\n"


class BoundedProtocol(H11Protocol):
    """HTTP for a client that may be slow, but not endlessly."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect the head of a request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Receive data."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Expect the rest of the body, if there is one."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._cancel()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over."""
        self._cancel()
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        """Say what is wrong, unless a response is already being sent."""
        del msg
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(UNREADABLE)
        else:
            self.transport.close()

    def _watch(self) -> None:
        head, rest = self.conn.their_state is h11.IDLE, self.conn.their_state is h11.SEND_BODY
        if self.transport.get_protocol() is not self or not (head or (rest and self.conn.our_state is h11.DONE)):
            self._cancel()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS if head else REST_SECONDS, self.transport.close)

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def bound_this_server(before_a_hard_end: Callable[[], None]) -> None:
    """Set the limits of the server that is starting; `before_a_hard_end` is called if it has to be killed.

    Call it while the server starts. The server is found among the objects of this process, because nothing passes it to the
    app.
    """
    for server in [found for found in gc.get_objects() if issubclass(type(found), uvicorn.Server)]:
        server.config.http_protocol_class = BoundedProtocol
        server.config.h11_max_incomplete_event_size = MOST_HEAD_BYTES
        server.config.limit_concurrency = server.config.limit_concurrency or MOST_CONNECTIONS
        server.config.timeout_graceful_shutdown = server.config.timeout_graceful_shutdown or GRACE_SECONDS
        threading.Thread(target=_end_in_time, args=(server, before_a_hard_end), name="end-in-time", daemon=True).start()


def _end_in_time(server: uvicorn.Server, before_a_hard_end: Callable[[], None]) -> None:
    while not server.should_exit:
        time.sleep(LOOK)
    time.sleep(LONGEST_END)
    if threading.main_thread().is_alive() and signal.SIGTERM in server._captured_signals:  # noqa: SLF001 - told to end, not asked
        print("The server did not stop in time and is killed.", flush=True)  # noqa: T201 - what containers log is what they print
        before_a_hard_end()
        os.kill(os.getpid(), signal.SIGKILL)
