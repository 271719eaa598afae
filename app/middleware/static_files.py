"""Streamlit's scripts, styles and icons, made small once for all visitors.

Streamlit sends them uncompressed, because compressing them for every visitor costs more than it saves. With files that are
compressed once and kept, a first visit takes a third of the bytes. The names contain a hash of the content, so browsers can
cache the files for a year.
"""

import re
import threading
from pathlib import Path

import anyio
import streamlit
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.middleware import icons
from app.middleware.encodings import ENCODERS, encoding_for

FOLDER = Path(streamlit.__file__).parent / "static"
ROUTE = "/static/"
KINDS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
YEAR = "public, immutable, max-age=31536000"
# A new version of the app may show an icon that the font did not have.
DAY = "public, max-age=86400"
SMALLEST = 512
# The kinds of elements on the first page, as Streamlit names their scripts.
ELEMENTS = (
    "PlotlyChart",
    "Button",
    "Html",
    "Selectbox",
    "FileUploader",
    "ChatInput",
    "Checkbox",
    "ButtonGroup",
    "BidiComponent",
)
NAMED = re.compile(r'(?:src|href)="\./(static/[^"]+)"')
IMPORTED = re.compile(r'(?:from|import)\s*"\./([^"]+\.js)"')


class Compressed:
    """The files of a folder, each compressed on the first request and kept afterwards."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder.resolve()
        self._kept: dict[tuple[Path, str], bytes] = {}
        self._icons: dict[Path, bytes] = {}
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

    def reduced_icons(self, name: str) -> bytes | None:
        """Return the font with the icons that can occur if `name` is the path of the whole font, once `prepare` has made it."""
        return self._icons.get(self._folder / name)

    def prepare(self) -> None:
        """Compress the files that a first visit needs, so that nobody has to wait for them, and reduce the font of icons."""
        document = self._folder / "index.html"
        if not document.is_file():
            return
        wanted = [*NAMED.findall(document.read_text()), *_first_scripts(self._folder)]
        for path in filter(None, map(self.file, wanted)):
            self.get(path, "br")
        for font in self._folder.glob(f"static/media/{icons.FONT}"):
            self._icons[font] = icons.reduced(font.read_bytes(), self._folder.parent)


class StaticFiles:
    """Answers requests for Streamlit's scripts, styles and icons with fewer bytes, and passes everything else on."""

    def __init__(self, app: ASGIApp, base: str, files: Compressed) -> None:
        self._app = app
        self._route = f"{base.rstrip('/')}{ROUTE}"
        self._files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on requests for ranges, for uncompressed files, and for anything else."""
        response = None
        if scope["type"] == "http" and scope["method"] in {"GET", "HEAD"} and scope["path"].startswith(self._route):
            name = f"static/{scope['path'].removeprefix(self._route)}"
            response = await self._response(name, Headers(scope=scope), with_body=scope["method"] == "GET")
        await (response or self._app)(scope, receive, send)

    async def _response(self, name: str, headers: Headers, *, with_body: bool) -> Response | None:
        font = None if "range" in headers else self._files.reduced_icons(name)
        if font is not None:
            return _response(font, {"Content-Type": "font/woff2", "Cache-Control": DAY}, with_body=with_body)
        encoding = encoding_for(headers)
        path = self._files.file(name) if encoding else None
        if path is None:
            return None
        if self._files.is_ready(path, encoding):
            body = self._files.get(path, encoding)
        else:
            body = await anyio.to_thread.run_sync(self._files.get, path, encoding)
        described = {"Content-Encoding": encoding, "Vary": "Accept-Encoding", "Cache-Control": YEAR}
        return _response(body, {"Content-Type": KINDS[path.suffix], **described}, with_body=with_body)


def _first_scripts(folder: Path) -> list[str]:
    """Return the paths of the scripts of the first page's elements, and of all that these import."""
    found = [f"static/js/{path.name}" for kind in ELEMENTS for path in (folder / "static" / "js").glob(f"{kind}.*.js")]
    for path in found:
        imported = (f"static/js/{name}" for name in IMPORTED.findall((folder / path).read_text()))
        found += [each for each in imported if each not in found and (folder / each).is_file()]
    return found


def _response(body: bytes, described: dict[str, str], *, with_body: bool) -> Response:
    return Response(body if with_body else b"", headers={**described, "Content-Length": str(len(body))})
