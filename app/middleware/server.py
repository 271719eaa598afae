"""The middleware in front of Streamlit: the arguments of `st.App` besides the script."""

import gc
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import streamlit as st
from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.types import ASGIApp

from app import shown
from app.middleware import connections, readiness, upload_route
from app.middleware.answers import Answers
from app.middleware.class_code import ClassCode
from app.middleware.hosts import AllowedHosts
from app.middleware.sent_pages import SentPages
from app.middleware.slow_bodies import SlowBodies
from app.middleware.static_files import Compressed, StaticFiles
from app.middleware.upload_route import UploadRoute
from app.middleware.wanted_view import WantedView
from app.settings import check, settings
from resnet_viz.engine.jobs import Engine
from resnet_viz.engine.parsing.pool import ParsingPool
from resnet_viz.nets.download import remove_unfinished
from resnet_viz.settings import SettingError

# In seconds. Scripts compute in threads beside the one that answers requests, which needs Python often and for short.
SWITCH_EVERY, COLLECT_EVERY = 0.0005, 20.0
FAILED = (
    "An unexpected error occurred; the server's log has the details. Reload the page. If it happens again, choose another "
    "image or network."
)


def _engine() -> Engine:
    # Pages import the middleware, so this is imported only when it is needed.
    from app import engines  # noqa: PLC0415 - see above

    return engines.engine()


def _parsers() -> ParsingPool:
    from app import parsers  # noqa: PLC0415 - as above

    return parsers.parsers()


_probe = readiness.Probe(readiness.Check(_engine))
_files = Compressed()


def routes() -> list[Route]:
    """Return the routes in addition to Streamlit's own."""
    return [readiness.route(_probe)]


def middleware() -> list[Middleware]:
    """Return the middleware in the order in which a request meets it."""
    upload_route.keep_in_memory()
    # Reading secrets.toml makes its top level environment variables: hosting services have no other place for them.
    st.secrets.load_if_toml_exists()
    try:
        check()
    except SettingError as error:
        sys.exit(f"ResNet Viz cannot start: {error}")
    chosen = settings()
    named = (*chosen.allowed_hosts, *(host.lower() for host in st.get_option("server.allowedHosts")))
    layers = [
        Middleware(Answers, metrics=chosen.metrics, frames=chosen.frame_sites),
        Middleware(SlowBodies),
        Middleware(AllowedHosts, names=named),
    ]
    if chosen.class_code:
        layers.append(Middleware(ClassCode, code=chosen.class_code, tries=chosen.code_tries_per_minute))
    start = f"/{st.get_option('server.baseUrlPath').strip('/')}"
    return [
        *layers,
        Middleware(WantedView, start=start),
        Middleware(UploadRoute, chosen.uploads_per_minute, chosen.upload_bytes),
        Middleware(StaticFiles, start, _files),
        Middleware(SentPages),
    ]


@asynccontextmanager
async def lifespan(_: ASGIApp) -> AsyncIterator[None]:
    """Prepare while the server starts, so that the first person does not wait; leave no partial file when it stops."""
    sys.setswitchinterval(SWITCH_EVERY)
    connections.bound_this_server(remove_unfinished)
    shown.end_with_the_program()
    _import_pages()
    _parsers().start()
    threading.Thread(target=_files.prepare, daemon=True).start()
    async with anyio.create_task_group() as started:
        started.start_soon(_probe.readiness)
        started.start_soon(_collect_garbage)
        yield
        started.cancel_scope.cancel()
    _parsers().close()
    # uvicorn ends with the signal that it was sent, which ends the process before the interpreter cleans up.
    remove_unfinished()


def _import_pages() -> None:
    """Import what every page needs, and exclude it from garbage collection from now on.

    A collection takes a quarter of a second and more, in which no other Python code runs: there are half a million objects,
    nearly all of them modules, classes and functions that stay.
    """
    from app import navigation  # noqa: F401, PLC0415 - the pages' imports, for their effect

    gc.collect()
    gc.freeze()


async def _collect_garbage() -> None:
    """Collect every few seconds, instead of after every script as Streamlit does by default."""
    while True:
        await anyio.sleep(COLLECT_EVERY)
        gc.collect()


def on_script_error(_: Exception) -> bool:
    """Say in a sentence that a page failed; the cause is in the log only."""
    with st.container(key="script-error"):
        st.error(FAILED, icon=":material/error:")
    return True
