"""Class mode: nothing of the app is reachable without the code that a class shares.

The check is in front of Streamlit, so that uploads and connections need the code too. A browser that has entered it holds a
cookie with the time of entry. The cookie is signed with a key derived from the code, so that it survives a restart but not a
new code. Another cookie distinguishes the browsers that still try, so that one that guesses does not slow down others at its
address.

Both are signed by itsdangerous, as in Starlette's SessionMiddleware. That middleware decides once for all requests whether
cookies are for HTTPS only, and a server behind a proxy is reached both ways.
"""

import hashlib
import hmac
import html
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from string import Template
from urllib.parse import parse_qs, quote

from itsdangerous import BadSignature, TimestampSigner
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from app.middleware.rate_limits import spoken
from app.middleware.readiness import READY
from app.middleware.tries import TooManyTriesError, Tries

COOKIE, BROWSER = "resnet_viz_class", "resnet_viz_browser"
HOURS = 12
LONGEST_FORM, LONGEST_COOKIE = 4096, 400
TRIES_OF_ALL = 10  # As a multiple of the tries of one address, so that many addresses do not add up.
FORBIDDEN = 1008
NEEDED = "This server requires the code of a class. Open it in your browser and enter the code first.\n"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'",
}

_FOLDER = Path(__file__).parent


class ClassCode:
    """Asks for the code, and then opens the view of the link."""

    def __init__(self, app: ASGIApp, code: str, tries: int, clock: Callable[[], float] = time.time) -> None:
        self._app = app
        self._code = _digest(code)
        key = hashlib.scrypt(_plain(code), salt=b"resnet-viz class code", n=2**14, r=8, p=1)
        self._signer, self._browsers = _Signer(key, COOKIE, clock), _Signer(key, BROWSER, clock)
        self._tries = Tries(tries, tries * TRIES_OF_ALL)
        self._page = Template((_FOLDER / "class_code.html").read_text())
        self._picture = (_FOLDER / "block.svg").read_text()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on browsers that have entered the code, and probes."""
        if scope["type"] == "lifespan" or scope["path"] == READY or self._has_entered(HTTPConnection(scope)):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocket(scope, receive, send).close(FORBIDDEN)
        else:
            response = await self._answer(Request(scope, receive))
            await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method == "POST":
            response = await self._enter(request)
        elif request.method in ("GET", "HEAD") and "text/html" in Headers(scope=request.scope).get("accept", ""):
            response = self._ask("", 401)
        else:
            return PlainTextResponse(NEEDED, 401)
        if not self._browser(request):
            _set_cookie(request, response, BROWSER, self._browsers.signed(secrets.token_hex(16)))
        return response

    async def _enter(self, request: Request) -> Response:
        # The whole form first: between here and the comparison, no other try can come in.
        typed = _digest(await _typed(request))
        address, browser = request.client.host if request.client else "", self._browser(request)
        try:
            await self._tries.admit(address, browser)
        except TooManyTriesError as error:
            said = f"Many codes are being tried at the moment. Wait {spoken(error.seconds)}, then enter your code again."
            return self._ask(said, 429, {"Retry-After": str(error.seconds)})
        if not hmac.compare_digest(typed, self._code):
            self._tries.was_wrong(browser)
            return self._ask("This code is not correct. Check each letter and enter it again.", 401)
        self._tries.give_back(address)
        response = RedirectResponse(_same_view(request), 303, HEADERS)
        _set_cookie(request, response, COOKIE, self._signer.signed("entered"))
        return response

    def _ask(self, said: str, status: int, more: dict[str, str] | None = None) -> Response:
        page = self._page.substitute(said=html.escape(said), picture=self._picture)
        return HTMLResponse(page, status, HEADERS | (more or {}))

    def _has_entered(self, connection: HTTPConnection) -> bool:
        return self._signer.read(connection.cookies.get(COOKIE, "")) == "entered"

    def _browser(self, request: Request) -> str:
        """The browser's name; empty for all that keep no cookies."""
        return self._browsers.read(request.cookies.get(BROWSER, ""))


class _Signer(TimestampSigner):
    """Signs the content of a cookie; `purpose` prevents one cookie from being used as another."""

    def __init__(self, key: bytes, purpose: str, clock: Callable[[], float]) -> None:
        super().__init__(key, salt=purpose.encode())
        self._clock = clock

    def get_timestamp(self) -> int:
        """Seconds, by this server's clock."""
        return int(self._clock())

    def signed(self, value: str) -> str:
        """Sign a value."""
        return self.sign(value).decode()

    def read(self, cookie: str) -> str:
        """Return the value that was signed less than twelve hours ago; empty for anything else."""
        if len(cookie) > LONGEST_COOKIE:
            return ""
        try:
            return self.unsign(cookie, max_age=HOURS * 3600 - 1).decode()
        except (BadSignature, UnicodeError, ValueError, OverflowError):
            return ""


def _set_cookie(request: Request, response: Response, name: str, value: str) -> None:
    response.set_cookie(name, value, max_age=HOURS * 3600, secure=request.url.scheme == "https", httponly=True, samesite="lax")


async def _typed(request: Request) -> str:
    """Return the code of a submitted form; empty if it is no such form."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_FORM:
            return ""
    return parse_qs(body.decode("latin-1")).get("code", [""])[0]


def _same_view(request: Request) -> str:
    """Return the requested address, always on this server."""
    path = "/" + quote(request.scope["path"].lstrip("/\\"))
    query = request.scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path


def _plain(code: str) -> bytes:
    return "".join(code.split()).casefold().encode()


def _digest(code: str) -> bytes:
    return hashlib.sha256(_plain(code)).digest()
