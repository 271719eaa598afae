"""The view of a link, kept during sign-in, because a provider sends everybody back to the start page."""

from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SIGNED_IN = "_streamlit_user"
COOKIE = "resnet_viz_view"
CALLBACK = "/oauth2callback"
SECONDS = 600
LONGEST = 2048


class WantedView:
    """Stores, in a cookie for ten minutes, the address that a person requested before signing in, and opens it afterwards.

    `start` is the path to which a provider sends people back.
    """

    def __init__(self, app: ASGIApp, start: str = "/") -> None:
        self._app = app
        self._start = start

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; store the address on the way in, redirect on the way back."""
        request = Request(scope) if scope["type"] == "http" and scope["method"] == "GET" else None
        if request is None or "text/html" not in request.headers.get("accept", ""):
            await self._app(scope, receive, send)
        elif SIGNED_IN in request.cookies:
            await self._open(request, scope, receive, send)
        else:
            await self._app(scope, receive, _remembering(request, send))

    async def _open(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        view = unquote(request.cookies.get(COOKIE, ""))
        if not view or request.url.query or request.url.path.rstrip("/") != self._start.rstrip("/"):
            await self._app(scope, receive, send)
            return
        response = RedirectResponse("/" + view.lstrip("/\\"), 303)
        response.delete_cookie(COOKIE)
        await response(scope, receive, send)


def _remembering(request: Request, send: Send) -> Send:
    path, query = request.url.path, request.url.query
    view = quote(f"{path}?{query}" if query else path, safe="")
    is_page = "." not in path and not path.startswith(("/auth/", CALLBACK, "/_stcore"))

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start" and is_page and view != quote("/", safe="") and len(view) < LONGEST:
            cookie = f"{COOKIE}={view}; Max-Age={SECONDS}; Path=/; HttpOnly; SameSite=Lax"
            message["headers"] = [*message["headers"], (b"set-cookie", cookie.encode())]
        await send(message)

    return answer
