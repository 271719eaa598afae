"""Class mode: nothing of the app is reached without the code that a class shares.

The door stands in front of Streamlit, so that also uploads and connections need the code. Whoever entered it holds a cookie
that says until when; it is signed with a key made from the code, so that it outlives a restart and not a new code.
"""

import hashlib
import hmac
import html
import time
from collections.abc import Callable
from pathlib import Path
from string import Template
from urllib.parse import parse_qs, quote

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from app.middleware.buckets import Buckets
from app.middleware.limits import spoken
from app.middleware.readiness import READY

COOKIE = "resnet_viz_class"
HOURS = 12
LONGEST_FORM = 4096
TRIES_OF_ALL = 10  # times what one address may try, so that many addresses do not add up
FORBIDDEN = 1008
NEEDED = "This server belongs to a class: open it in your browser and enter the code of the class first.\n"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'",
}

_FOLDER = Path(__file__).parent


class ClassCode:
    """Asks for the code, and opens the view that the link asked for once it was entered."""

    def __init__(self, app: ASGIApp, code: str, tries: int, clock: Callable[[], float] = time.time) -> None:
        self._app = app
        self._code = _digest(code)
        self._key = hashlib.scrypt(_plain(code), salt=b"resnet-viz class code", n=2**14, r=8, p=1)
        self._tries, self._all_tries = Buckets(tries), Buckets(tries * TRIES_OF_ALL)
        self._clock = clock
        self._page = Template((_FOLDER / "class_code.html").read_text())
        self._picture = (_FOLDER / "block.svg").read_text()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on who has entered the code, and probes."""
        if scope["type"] == "lifespan" or scope["path"] == READY or self._has_entered(HTTPConnection(scope)):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocket(scope, receive, send).close(FORBIDDEN)
        else:
            response = await self._answer(Request(scope, receive))
            await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method == "POST":
            return await self._enter(request)
        if request.method in ("GET", "HEAD") and "text/html" in Headers(scope=request.scope).get("accept", ""):
            return self._ask("", 401)
        return PlainTextResponse(NEEDED, 401)

    async def _enter(self, request: Request) -> Response:
        address = request.client.host if request.client else ""
        seconds = max(self._tries.wait(address), self._all_tries.wait(""))
        if seconds:
            said = f"Too many wrong codes were tried. Wait {spoken(seconds)}, then enter yours."
            return self._ask(said, 429, {"Retry-After": str(seconds)})
        if not hmac.compare_digest(_digest(await _typed(request)), self._code):
            self._tries.take(address)
            self._all_tries.take("")
            return self._ask("That is not the code of this class. Look at it again, letter by letter.", 401)
        response = RedirectResponse(_same_view(request), 303, HEADERS)
        response.set_cookie(
            COOKIE,
            self._signed(int(self._clock()) + HOURS * 3600),
            max_age=HOURS * 3600,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="lax",
        )
        return response

    def _ask(self, said: str, status: int, more: dict[str, str] | None = None) -> Response:
        page = self._page.substitute(said=html.escape(said), picture=self._picture)
        return HTMLResponse(page, status, HEADERS | (more or {}))

    def _has_entered(self, connection: HTTPConnection) -> bool:
        cookie = connection.cookies.get(COOKIE, "")
        until = cookie.partition(".")[0]
        if not (until.isascii() and until.isdecimal() and len(until) <= 12 and cookie.isascii()):
            return False
        return hmac.compare_digest(cookie, self._signed(int(until))) and self._clock() < int(until)

    def _signed(self, until: int) -> str:
        return f"{until}.{hmac.new(self._key, str(until).encode(), hashlib.sha256).hexdigest()}"


async def _typed(request: Request) -> str:
    """Return the code of a submitted form; empty for what is no such form."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_FORM:
            return ""
    return parse_qs(body.decode("latin-1")).get("code", [""])[0]


def _same_view(request: Request) -> str:
    """Return the address that was asked for, on this server whatever it looks like."""
    path = "/" + quote(request.scope["path"].lstrip("/\\"))
    query = request.scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path


def _plain(code: str) -> bytes:
    return "".join(code.split()).casefold().encode()


def _digest(code: str) -> bytes:
    return hashlib.sha256(_plain(code)).digest()
