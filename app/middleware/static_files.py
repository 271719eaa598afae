"""Streamlit's scripts and styles, compressed once for all visitors.

Streamlit sends them uncompressed, because compressing them for every visitor costs more than it saves. With files that are
compressed once and kept, a first visit takes a third of the bytes. The names contain a hash of the content, so browsers can
cache the files for a year.
"""

import gzip
import re
import threading
from collections.abc import Callable
from pathlib import Path

import anyio
import brotli
import streamlit
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

FOLDER = Path(streamlit.__file__).parent / "static"
ROUTE = "/static/"
KINDS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
YEAR = "public, immutable, max-age=31536000"
# At this quality, Plotly's 4.7 MB take 0.6 s of one core and become 1.18 MB. The highest quality saves 0.1 MB more and takes 10
# s.
QUALITY = 9
SMALLEST = 512
# The files that every first page needs in addition to the scripts that the document names.
FIRST = ("PlotlyChart.*.js", "StreamlitMarkdown.*.js", "styled-components.*.js", "FileUploader.*.js", "ButtonGroup.*.js")

Encoder = Callable[[bytes], bytes]


def _brotli(data: bytes) -> bytes:
    packed: bytes = brotli.compress(data, quality=QUALITY)
    return packed


def _gzip(data: bytes) -> bytes:
    # Without a timestamp, the same file gives the same bytes.
    return gzip.compress(data, mtime=0)


# Browsers accept brotli only over HTTPS and from localhost, and gzip always. The first encoding that both sides know is used.
ENCODERS: dict[str, Encoder] = {"br": _brotli, "gzip": _gzip}


class Compressed:
    """The files of a folder, each compressed on the first request and kept afterwards."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder.resolve()
        self._kept: dict[tuple[Path, str], bytes] = {}
        self._lock = threading.Lock()

    def file(self, name: str) -> Path | None:
        """Return the file for a path in the folder if it is one to compress; never a file outside of the folder."""
        if "\0" in name or Path(name).suffix not in KINDS:
            return None
        path = (self._folder / name).resolve()
        inside = path.is_relative_to(self._folder) and path.is_file()
        return path if inside and path.stat().st_size >= SMALLEST else None

    def get(self, path: Path, encoding: str) -> bytes:
        """Return the bytes of a file in an encoding; the first call blocks until they are compressed."""
        found = self._kept.get((path, encoding))
        if found is None:
            # One at a time: a second request for the same file gets the bytes that the first one waited for.
            with self._lock:
                found = self._kept.get((path, encoding))
                if found is None:
                    found = self._kept[path, encoding] = ENCODERS[encoding](path.read_bytes())
        return found

    def is_ready(self, path: Path, encoding: str) -> bool:
        """Whether the bytes are already available."""
        return (path, encoding) in self._kept

    def prepare(self) -> None:
        """Compress the files that a first visit needs, so that nobody has to wait for them."""
        document = self._folder / "index.html"
        named = re.findall(r'(?:src|href)="\./(static/[^"]+)"', document.read_text()) if document.is_file() else []
        wanted = [
            *named,
            *(str(path.relative_to(self._folder)) for one in FIRST for path in self._folder.glob(f"static/js/{one}")),
        ]
        for path in filter(None, map(self.file, wanted)):
            self.get(path, "br")


class StaticFiles:
    """Answers requests for Streamlit's scripts and styles with compressed bytes, and passes everything else on."""

    def __init__(self, app: ASGIApp, base: str, files: Compressed) -> None:
        self._app = app
        self._route = f"{base.rstrip('/')}{ROUTE}"
        self._files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on requests for ranges, for uncompressed files, and for anything else."""
        asked = scope["type"] == "http" and scope["method"] in {"GET", "HEAD"} and scope["path"].startswith(self._route)
        encoding = _encoding(Headers(scope=scope)) if asked else ""
        path = self._files.file(f"static/{scope['path'].removeprefix(self._route)}") if encoding else None
        if path is None:
            await self._app(scope, receive, send)
            return
        if self._files.is_ready(path, encoding):
            body = self._files.get(path, encoding)
        else:
            body = await anyio.to_thread.run_sync(self._files.get, path, encoding)
        headers = {
            "Content-Type": KINDS[path.suffix],
            "Content-Encoding": encoding,
            "Content-Length": str(len(body)),
            "Vary": "Accept-Encoding",
            "Cache-Control": YEAR,
        }
        await Response(b"" if scope["method"] == "HEAD" else body, headers=headers)(scope, receive, send)


def _encoding(headers: Headers) -> str:
    """Return the encoding of the response; empty for none."""
    if "range" in headers:
        return ""
    offered = dict(map(_weighed, headers.get("accept-encoding", "").split(",")))
    return next((name for name in ENCODERS if offered.get(name, 0.0) > 0), "")


def _weighed(offer: str) -> tuple[str, float]:
    """Read "gzip;q=0.5" as a name and a weight. A weight of 0 or an unreadable weight refuses the encoding."""
    name, _, rest = offer.partition(";")
    weight = re.fullmatch(r"\s*q\s*=\s*([01](?:\.[0-9]*)?)\s*", rest)
    return name.strip().lower(), float(weight[1]) if weight else float(not rest)
