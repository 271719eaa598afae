"""The doors in front of Streamlit: what `st.App` gets beside the script."""

import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import streamlit as st
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.middleware import readiness, upload_route
from app.middleware.class_code import ClassCode
from app.middleware.hosts import AllowedHosts
from app.middleware.upload_route import UploadRoute
from app.middleware.wanted_view import WantedView
from app.settings import check, settings
from resnet_viz.nets.download import remove_unfinished
from resnet_viz.settings import SettingError

METRICS = "/_stcore/metrics"
# Links name uploads: other sites do not learn them. Nothing is taken for what it does not say it is.
HEADERS = {"Referrer-Policy": "same-origin", "X-Content-Type-Options": "nosniff"}
FAILED = (
    "Something went wrong here, and the server has written down what. Reload the page; if it happens again, take another"
    " picture or network."
)

_probe = readiness.Probe(readiness.Check())


class Answers:
    """What every answer says to browsers, and the metrics that are nobody's business unless a setting asks for them."""

    def __init__(self, app: ASGIApp, *, metrics: bool) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on but hidden metrics."""

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if scope["type"] == "http" and scope["path"].rstrip("/").endswith(METRICS) and not self._metrics:
            await PlainTextResponse("Metrics are off: RESNET_VIZ_METRICS=1 turns them on.\n", 404)(scope, receive, answer)
        else:
            await self._app(scope, receive, answer)


def routes() -> list[Route]:
    """Return the routes beside Streamlit's own."""
    return [readiness.route(_probe)]


def middleware() -> list[Middleware]:
    """Return the doors in the order in which a request meets them."""
    upload_route.keep_in_memory()
    # Makes the top level of secrets.toml environment variables: hosting services have no other place for them.
    st.secrets.load_if_toml_exists()
    try:
        check()
    except SettingError as error:
        sys.exit(f"ResNet Viz does not start: {error}")
    chosen = settings()
    named = (*chosen.allowed_hosts, *(host.lower() for host in st.get_option("server.allowedHosts")))
    layers = [Middleware(Answers, metrics=chosen.metrics), Middleware(AllowedHosts, names=named)]
    if chosen.class_code:
        layers.append(Middleware(ClassCode, code=chosen.class_code, tries=chosen.code_tries_per_minute))
    start = f"/{st.get_option('server.baseUrlPath').strip('/')}"
    return [
        *layers,
        Middleware(WantedView, start=start),
        Middleware(UploadRoute, chosen.uploads_per_minute, chosen.upload_bytes),
    ]


@asynccontextmanager
async def lifespan(_: ASGIApp) -> AsyncIterator[None]:
    """Get ready while the server starts, so that the first person waits for nothing; leave no half file at its end."""
    _import_pages()
    async with anyio.create_task_group() as started:
        started.start_soon(_probe.readiness)
        yield
    # uvicorn ends by the signal that it was sent, which ends the process before the interpreter cleans up.
    remove_unfinished()


def _import_pages() -> None:
    """Import what every page needs, and have the garbage collector leave that alone from now on.

    Streamlit collects after every script, for a quarter of a second and more in which nobody else's Python runs: there are half
    a million objects, nearly all of them modules, classes and functions that stay.
    """
    from app import navigation  # noqa: F401, PLC0415 - the pages' imports, for their effect

    gc.collect()
    gc.freeze()


def on_script_error(_: Exception) -> bool:
    """Say in a sentence that a page failed; what failed is in the log alone."""
    with st.container(key="script-error"):
        st.error(FAILED, icon=":material/error:")
    return True
