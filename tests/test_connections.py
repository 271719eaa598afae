"""Clients that send endless heads, or a byte at a time, and a server that is told to stop meanwhile."""

import asyncio
import gc
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psutil
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Message
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from app.middleware import connections
from app.middleware.connections import BoundedProtocol
from app.middleware.slow_bodies import SlowBodies
from tests.middleware_server import BOUNDARY, running
from tests.servers import free_port


async def length_of_body(request: Request) -> PlainTextResponse:
    if request.url.path == "/early":
        return PlainTextResponse("no need for it")
    return PlainTextResponse(str(len(await request.body())))


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server with these connections, that waits half a second for a head and for the rest of a body."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(connections, "REST_SECONDS", 0.5)
    app = Starlette(routes=[Route("/{path:path}", length_of_body, methods=["GET", "POST"])])
    found = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=found, http=BoundedProtocol, ws="none", lifespan="off", log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield found
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


def said(connection: socket.socket) -> bytes:
    """Everything that a server sends until it closes the connection."""
    connection.settimeout(20)
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def test_a_head_without_end_is_refused_early(port: int) -> None:
    sent = 0
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        try:
            for number in range(3000):
                connection.sendall(b"x-%d: " % number + b"y" * 100_000 + b"\r\n")
                sent += 100_000
        except OSError:
            pass
    # What fits into the buffers of two sockets, and not three hundred megabytes.
    assert sent < 20 * 2**20


def test_a_head_that_is_a_little_too_long_gets_a_sentence(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nx: " + b"y" * 66_000)
        assert b"longer than 64 KB" in said(connection)


@pytest.mark.parametrize("start", [b"", b"G", b"GET / HTTP/1.1\r\nHost: localhost\r\nx: "])
def test_a_head_that_does_not_end_is_hung_up_on(port: int, start: bytes) -> None:
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(start)
        assert said(connection) == b""
    assert time.monotonic() - started < 5


def test_a_drip_does_not_prolong_the_time_for_a_head(port: int) -> None:
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as connection, suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(b"GET / HTTP/1.1\r\nx: ")
        while time.monotonic() - started < 10:
            connection.sendall(b"y")
            time.sleep(0.05)
    assert time.monotonic() - started < 5


def test_the_rest_of_a_body_that_nobody_reads_has_a_time_limit(port: int) -> None:
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"POST /early HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nxx")
        assert b"no need for it" in said(connection)
    assert time.monotonic() - started < 5


def test_two_requests_on_one_connection_and_a_body_still_work(port: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(10)
        for _ in range(2):
            connection.sendall(head)
            time.sleep(0.7)
            connection.sendall(b"12345")
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
            time.sleep(0.2)


def test_a_body_that_drips_ends_with_a_sentence() -> None:
    now = [0.0]

    async def drip() -> Message:
        now[0] += 9
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def whole() -> list[Message]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}
        app = SlowBodies(Starlette(routes=[Route("/", length_of_body, methods=["POST"])]), 20, lambda: now[0])
        await app(scope, drip, send)
        return sent

    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(asyncio.run, whole()).result()
    assert sent[0]["status"] == 408
    assert b"too slowly" in sent[1]["body"]
    assert now[0] < 60


def test_a_server_is_found_and_bounded() -> None:
    server = uvicorn.Server(uvicorn.Config("nowhere:app"))
    server.config.http_protocol_class = asyncio.Protocol
    connections.bound_this_server(lambda: None)
    assert server.config.http_protocol_class is BoundedProtocol
    assert server.config.timeout_graceful_shutdown == connections.GRACE_SECONDS
    # Nobody told it to end by a signal: the thread that watches it hurts nobody.
    server.should_exit = True
    del server
    gc.collect()


def test_the_real_server_refuses_long_heads_and_ends_in_time_whatever_is_open() -> None:
    with running(name="end") as server, socket.create_connection(("127.0.0.1", server.port)) as upload:
        with socket.create_connection(("127.0.0.1", server.port)) as long:
            long.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nx: " + b"y" * 70_000)
            assert b"longer than 64 KB" in said(long)
        head = "PUT /_stcore/upload_file/a/b HTTP/1.1\r\nHost: localhost"
        head += f"\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}"
        upload.sendall(f"{head}\r\nContent-Length: 9999\r\n\r\nxx".encode())
        address = f"ws://127.0.0.1:{server.port}/_stcore/stream"
        with connect(address, subprotocols=[Subprotocol("streamlit")], max_size=None) as page:
            page.send(BackMsg(rerun_script=ClientState()).SerializeToString())
            page.recv(60)
            started = time.monotonic()
            os.kill(server.pid, signal.SIGTERM)
            psutil.Process(server.pid).wait(20) if psutil.pid_exists(server.pid) else None
            assert time.monotonic() - started < 10
