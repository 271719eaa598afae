"""A web server that plays the Hugging Face hub: it says where a file is and what its SHA-256 is, and another path serves it."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
STORE = "/store/"


@dataclass(frozen=True)
class Refusal:
    """What the hub answers in place of a file; `code` is its own word for the reason."""

    status: int
    code: str = ""


@dataclass
class Hub:
    """Files by path, "timm/a/model.safetensors"; `lies` are sent in a file's place, `stop_after` cuts the connection.

    `asked` are the requests: method, path and what the authorization header said. Without a `store` the hub sends files itself.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    refusal: Refusal | None = None
    lies: bytes | None = None
    etag: str | None = None
    stop_after: int | None = None
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    url: str = ""
    store: str = ""


@contextmanager
def hub_server() -> Iterator[Hub]:
    """A hub on a free port of this machine, whose files are stored under another name of it, "localhost"."""
    hub = Hub()

    class Handler(_Handler):
        pass

    Handler.hub = hub
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.url, hub.store = (f"http://{name}:{server.server_address[1]}" for name in ("127.0.0.1", "localhost"))
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self._note()
        path = self.path.removeprefix("/").replace("/resolve/main/", "/")
        if self.hub.refusal:
            self._answer(self.hub.refusal.status, {"X-Error-Code": self.hub.refusal.code, "X-Error-Message": "no"})
        elif path not in self.hub.files:
            self._answer(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        else:
            body = self.hub.files[path]
            etag = hashlib.sha256(body).hexdigest() if self.hub.etag is None else self.hub.etag
            known = {"X-Repo-Commit": COMMIT, "X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(body))}
            if self.hub.store:
                self._answer(302, known | {"Location": f"{self.hub.store}{STORE}{path}"})
            else:
                self._answer(200, known, len(body))

    def do_GET(self) -> None:
        self._note()
        path = self.path.removeprefix(STORE).removeprefix("/").replace("/resolve/main/", "/")
        body = self.hub.files.get(path, b"")
        sent = body if self.hub.lies is None else self.hub.lies
        self._answer(200, {}, len(sent))
        # Whoever asked may be gone by now.
        with suppress(OSError):
            self.wfile.write(sent[: self.hub.stop_after])
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass

    def _note(self) -> None:
        self.hub.asked.append((self.command, self.path, self.headers.get("Authorization", "")))

    def _answer(self, status: int, headers: dict[str, str], length: int = 0) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()
