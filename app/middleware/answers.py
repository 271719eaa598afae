"""Headers of every response, and the metrics, which are hidden unless a setting enables them."""

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METRICS = "/_stcore/metrics"
# Links name uploads, so other sites do not get the referrer. Files keep their declared type. Pages use the camera.
HEADERS = {
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), display-capture=()",
}
# Everything comes from this server. Streamlit writes styles into the page, the pages write a few scripts (keys, scrolling), its
# components' scripts come with the page and become blobs, and charts and images are made of data and blobs. Nothing evaluates
# text as a program.
POLICY = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-inline' 'wasm-unsafe-eval' blob:",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "media-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self' data: blob:",
    "worker-src": "'self' blob:",
    "frame-src": "'self' data: blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
}
# Most responses are scripts and styles, for which the document's policy matters and not their own: the other headers would be
# half of the bytes of most of them.
POLICED_BY_DOCUMENT, THEIRS = ("text/javascript", "text/css"), "X-Content-Type-Options"


class Answers:
    """Adds headers to every response, and hides metrics; `frames` are sites that may embed the app in their pages."""

    def __init__(self, app: ASGIApp, *, metrics: bool, frames: tuple[str, ...] = ()) -> None:
        self._app = app
        self._metrics = metrics
        self._ancestors = " ".join(("frame-ancestors 'self'", *frames))
        self._policy = "; ".join([*(f"{name} {sources}" for name, sources in POLICY.items()), self._ancestors])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on everything except hidden metrics."""

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("Content-Type", "").startswith(POLICED_BY_DOCUMENT):
                    headers[THEIRS] = HEADERS[THEIRS]
                else:
                    headers.update(HEADERS)
                    # A page with its own, stricter policy keeps it.
                    own = headers.get("Content-Security-Policy")
                    headers["Content-Security-Policy"] = f"{own}; {self._ancestors}" if own else self._policy
            await send(message)

        if scope["type"] == "http" and scope["path"].rstrip("/").endswith(METRICS) and not self._metrics:
            await PlainTextResponse("Metrics are off: RESNET_VIZ_METRICS=1 turns them on.\n", 404)(scope, receive, answer)
        else:
            await self._app(scope, receive, answer)
