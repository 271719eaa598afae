"""The names of this server, so that a page elsewhere cannot reach it under its own name (DNS rebinding)."""

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from app.middleware.readiness import READY

# Endings that nobody on the internet can register.
PRIVATE = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".test")
FORBIDDEN = 1008
SENTENCE = (
    "This server does not answer to the name in your address bar. If you run it, add that name to RESNET_VIZ_ALLOWED_HOSTS "
    "and restart it; otherwise inform its administrator.\n"
)


class AllowedHosts:
    """Refuses requests and connections under a foreign name.

    Numeric addresses (which cannot be rebound), names of a local network and `names` are accepted; "*.school.example" means
    every name below a domain, "*" any name. The readiness route answers under any name, because probes use any.
    """

    def __init__(self, app: ASGIApp, names: tuple[str, ...]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on requests for this server."""
        if scope["type"] == "lifespan" or scope["path"] == READY or is_own(Headers(scope=scope).get("host", ""), self._names):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocket(scope, receive, send).close(FORBIDDEN)
        else:
            await PlainTextResponse(SENTENCE, 400)(scope, receive, send)


def is_own(host: str, names: tuple[str, ...]) -> bool:
    """Whether a Host header names this server."""
    name = _name(host)
    if not name:
        return False
    return "*" in names or _is_local(name) or any(_fits(name, pattern) for pattern in names)


def _name(host: str) -> str:
    """Return the name without its port; empty if there is none."""
    try:
        parts = urlsplit(f"//{host}")
        plain = parts.port is None or parts.port >= 0
    except ValueError:
        return ""
    only_a_name = parts.netloc == host and "@" not in host and not (parts.path or parts.query or parts.fragment)
    return (parts.hostname or "").rstrip(".") if plain and only_a_name else ""


def _is_local(name: str) -> bool:
    if "." not in name or name.endswith(PRIVATE):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _fits(name: str, pattern: str) -> bool:
    return name.endswith(pattern[1:]) if pattern.startswith("*.") else name == pattern
