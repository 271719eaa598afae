"""Streamlit's document, with the scripts named that every page with a chart needs.

Without the names, a browser learns of a script when the first element of its kind arrives, and of Plotly, by far the largest
one, when the first chart does. With them, it loads all scripts together, and starts Plotly while the server prepares the page.
"""

import re
from functools import lru_cache
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.middleware.encodings import ENCODERS, encoding_for

# The kinds of elements on the first page, as Streamlit names their scripts.
CHART = "PlotlyChart"
KINDS = (CHART, "Button", "Html", "Selectbox", "FileUploader", "ChatInput", "Checkbox", "ButtonGroup", "BidiComponent")
NAMED = re.compile(r'(?:src|href)="\./static/js/([^"]+\.js)"')
IMPORTED = re.compile(r'(?:from|import)\s*"\./([^"]+\.js)"')
END = b"</head>"
SOME = 8


def first_scripts(folder: Path) -> list[str]:
    """Return the scripts of those kinds of elements and what they import, except what the document already names."""
    known = set(NAMED.findall((folder / "index.html").read_text()))
    wanted = [path.name for kind in KINDS for path in (folder / "static" / "js").glob(f"{kind}.*.js")]
    found: list[str] = []
    for name in wanted:
        if name not in known:
            known.add(name)
            found.append(name)
            wanted += IMPORTED.findall((folder / "static" / "js" / name).read_text())
    return found


def hints(folder: Path) -> str:
    """Return the elements of the document that load these scripts, and start Plotly after the page's own script."""
    names = first_scripts(folder)
    loaded = [f'<link rel="modulepreload" crossorigin href="./static/js/{name}">' for name in names]
    started = [name for name in names if name.startswith(f"{CHART}.")]
    return "\n".join([*loaded, *(f'<script type="module" crossorigin src="./static/js/{name}"></script>' for name in started)])


class Document:
    """Adds the hints to the HTML documents of `app`, which are Streamlit's, and compresses them; passes everything else on."""

    def __init__(self, app: ASGIApp, folder: Path) -> None:
        self._app = app
        self._hints = hints(folder).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Collect the body of a document, which has some kilobytes, and send it as a whole."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        encoding = encoding_for(Headers(scope=scope))
        start: Message | None = None
        body = b""

        async def answer(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start" and _is_document(message):
                start = message
            elif start is None:
                await send(message)
            else:
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    whole = _encoded(body.replace(END, self._hints + END, 1), encoding)
                    headers = MutableHeaders(scope=start)
                    headers["Content-Length"] = str(len(whole))
                    headers.add_vary_header("Accept-Encoding")
                    if encoding:
                        headers["Content-Encoding"] = encoding
                    await send(start)
                    await send({"type": "http.response.body", "body": whole})

        await self._app(scope, receive, answer)


def _is_document(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    return start["status"] == 200 and headers.get("content-type", "").startswith("text/html")


@lru_cache(SOME)
def _encoded(body: bytes, encoding: str) -> bytes:
    return ENCODERS[encoding](body) if encoding else body
