"""A web server that serves weights as badly as the real world does, and official weights of a content of our own."""

import hashlib
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import pytest
import torch
from torch import Tensor
from torchvision.models import ResNet18_Weights, WeightsEnum
from torchvision.models._api import Weights

from resnet_viz.nets import official

PIECE = 2**16
RELEASE_SECONDS = 60


@dataclass(frozen=True)
class Reply:
    """What the server says to everybody who asks.

    `length` is the promised one, None for no promise and "true" for the body's. Between two pieces of the body the server rests
    for `pause` seconds; after `stop_after` bytes it cuts the connection, or waits. Once it is released it does neither.
    """

    body: bytes = b""
    status: int = 200
    length: int | Literal["true"] | None = "true"
    stop_after: int | None = None
    then: Literal["cut", "wait"] = "cut"
    pause: float = 0.0


class WeightsServer(ThreadingHTTPServer):
    """Gives `reply`, whatever is asked for, and keeps the paths that were asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reply = Reply()
        self.asked: list[str] = []
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: WeightsServer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        reply = self.server.reply
        self.send_response(reply.status)
        if reply.length is not None:
            self.send_header("Content-Length", str(len(reply.body) if reply.length == "true" else reply.length))
        self.end_headers()
        # Whoever asked may be gone by now.
        with suppress(OSError):
            self._send(reply)
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass

    def _send(self, reply: Reply) -> None:
        self._trickle(reply.body[: reply.stop_after], reply.pause)
        if reply.stop_after is not None and reply.then == "wait":
            self.server.released.wait(RELEASE_SECONDS)
            self._trickle(reply.body[reply.stop_after :], reply.pause)

    def _trickle(self, body: bytes, pause: float) -> None:
        for start in range(0, len(body), PIECE):
            self.wfile.write(body[start : start + PIECE])
            self.server.released.wait(pause)


@contextmanager
def weights_server() -> Iterator[WeightsServer]:
    """A server on a free port of this machine, in threads of its own."""
    with WeightsServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()


def saved(state: dict[str, Tensor] | dict[str, Any]) -> bytes:
    """What torch.save writes."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def publish(monkeypatch: pytest.MonkeyPatch, content: bytes, url: str = "http://127.0.0.1:9") -> WeightsEnum:
    """Let torchvision's weights of every network be a file of this content: named after its hash, to be had at `url`."""
    name = f"resnet18-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    real = ResNet18_Weights.DEFAULT
    weights = Weights(f"{url}/{name}", real.transforms, real.meta | {"_file_size": len(content) / 2**20})
    members: Any = WeightsEnum("Published", {"IMAGENET1K_V1": weights, "DEFAULT": weights})
    monkeypatch.setattr(official, "get_model_weights", lambda _: members)
    return members.DEFAULT
