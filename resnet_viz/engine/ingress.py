"""The HTTP routes of an engine, in front of an engine in the same process; any ASGI server can run them.

POST   /jobs             a job as a message of wire.py -> frames of protocol.py, as a stream; disconnecting cancels
DELETE /sessions         forgets the session in the header; it is not part of any address, because proxies log addresses
GET    /models           the catalogue, and which weights are on the engine's machine
GET    /ready            whether a small image can be inspected; the only route that needs no token
"""

import asyncio
import hashlib
import hmac
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, suppress
from uuid import uuid4

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resnet_viz.engine.jobs import EngineError, Job, Progress, Ticket
from resnet_viz.engine.local import LocalEngine
from resnet_viz.engine.protocol import (
    ANSWER,
    LIFE,
    MOST_JOB_BYTES,
    SESSION_HEADER,
    SESSION_NAME,
    SIGN_OF_LIFE,
    error_frame,
    frame,
    progress_frame,
)
from resnet_viz.engine.session_expiry import Silence
from resnet_viz.engine.wire import WireError, decode, encode
from resnet_viz.nets.zoo import list_models

READY = "/ready"
BINARY = "application/octet-stream"
# Seconds between two checks of a job that runs, and of one that waits, and between two partial maps.
LOOK, QUEUE, PREVIEW = 0.2, 1.0, 1.0

# Ray's own proxy accepts up to 100 KB at once. Larger data goes through shared memory, which is slower than a few pieces.
PIECE, MOST_PIECES = 90_000, 8

Leave = Callable[[str], Awaitable[None]]


def ingress(engine: LocalEngine, token: str = "", leave: Leave | None = None) -> Starlette:
    """Return the routes of an engine; with a token, only for clients that send it. `leave` forgets a session everywhere."""
    routes = _Routes(engine, leave)
    return Starlette(
        routes=[
            Route("/jobs", routes.jobs, methods=["POST"]),
            Route("/sessions", routes.sessions, methods=["DELETE"]),
            Route("/models", routes.models, methods=["GET"]),
            Route(READY, routes.ready, methods=["GET"]),
        ],
        middleware=[Middleware(_Guard, token=token)] if token else [],
    )


class _Guard:
    """Admits requests with the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope.get("headers", ())).get(b"authorization", b"")
        welcome = scope["type"] == "lifespan" or scope["path"] == READY
        app = self._app if welcome or hmac.compare_digest(given, self._token) else _STRANGER
        await app(scope, receive, send)


_STRANGER = PlainTextResponse(
    "This engine needs a token. Set RESNET_VIZ_TOKEN of the app to the engine's token.\n", 401, {"WWW-Authenticate": "Bearer"}
)


class _Stream(StreamingResponse):
    """A stream with a source that is closed as soon as its reader has disconnected, and not when it is collected."""

    def __init__(self, frames: AsyncGenerator[bytes]) -> None:
        super().__init__(frames, media_type=BINARY)
        self._frames = frames

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._frames):
            await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        """Send the head together with the first frame: each separate message costs Ray Serve milliseconds."""
        held: list[Message] = []

        async def send_together(message: Message) -> None:
            if message["type"] == "http.response.start":
                held.append(message)
                return
            while held:
                await send(held.pop())
            await send(message)

        await super().stream_response(send_together)


class _Routes:
    def __init__(self, engine: LocalEngine, leave: Leave | None) -> None:
        self._engine, self._leave = engine, leave
        self._silence = Silence(engine.leave)

    async def jobs(self, request: Request) -> Response:
        session = _session(request.headers.get(SESSION_HEADER, ""))
        data = await _body(request)
        try:
            job = await asyncio.to_thread(_read, data)
        except WireError as error:
            raise HTTPException(400, str(error)) from error
        self._silence.broken(session)
        return _Stream(self._frames(job, session))

    async def sessions(self, request: Request) -> Response:
        session = _session(request.headers.get(SESSION_HEADER, ""))
        if self._leave is None:
            self._engine.leave(session)
        else:
            await self._leave(session)
        return Response(status_code=204)

    async def models(self, _: Request) -> Response:
        found = tuple(await asyncio.to_thread(list_models))
        return Response(encode(found), media_type=BINARY)

    async def ready(self, _: Request) -> Response:
        try:
            sentence, status = await asyncio.to_thread(self._engine.check), 200
        except EngineError as error:
            sentence, status = str(error), 503
        return PlainTextResponse(f"{sentence}\n", status, {"Cache-Control": "no-store"})

    async def _frames(self, job: Job, session: str) -> AsyncGenerator[bytes]:
        """Submit a job and report on it until it has finished; cancel it when the client disconnects."""
        try:
            # Each request is its own view: the app decides which job replaces another one, by disconnecting.
            ticket = self._engine.submit(job, session, uuid4().hex)
        except Exception as error:  # noqa: BLE001 - becomes a frame
            yield error_frame(error)
            return
        try:
            async for progress in _watch(ticket):
                yield progress
            for piece in _pieces(await asyncio.to_thread(_last_frame, ticket)):
                yield piece
        finally:
            ticket.cancel()


def _pieces(data: bytes) -> Iterator[bytes]:
    step = PIECE if len(data) <= MOST_PIECES * PIECE else len(data)
    return (data[start : start + step] for start in range(0, len(data), step))


async def _watch(ticket: Ticket) -> AsyncGenerator[bytes]:
    """Report the progress if it has changed, and a sign of life if it has not."""
    finished, loop = asyncio.Event(), asyncio.get_running_loop()

    def wake() -> None:
        loop.call_soon_threadsafe(finished.set)

    ticket.when_finished(wake)
    told, told_at, map_at, pause = None, time.monotonic(), 0.0, LOOK
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(finished.wait(), pause)
        if finished.is_set():
            return
        progress, now = ticket.progress, time.monotonic()
        place = (progress.ahead, progress.done, progress.total)
        pause = LOOK if progress.ahead is None else QUEUE
        if place != told:
            with_map = progress.partial is not None and now - map_at >= PREVIEW
            yield progress_frame(progress if with_map else Progress(*place))
            told, told_at, map_at = place, now, now if with_map else map_at
        elif now - told_at >= SIGN_OF_LIFE:
            yield frame(LIFE)
            told_at = now


def _last_frame(ticket: Ticket) -> bytes:
    try:
        return frame(ANSWER, encode(ticket.answer()))
    except Exception as error:  # noqa: BLE001 - becomes a frame
        return error_frame(error)


def _read(data: bytes) -> Job:
    job: Job = decode(data, Job, MOST_JOB_BYTES)
    if hashlib.sha256(job.data).hexdigest() != job.image:
        # Otherwise the answers for another image could be stored under this one's name.
        raise WireError("The image was damaged on its way. Send it again.")
    if job.owner:
        raise WireError(
            "This engine has only the networks of the catalogue. Analyse your own network in the app in which you opened it."
        )
    return job


def _session(name: str) -> str:
    if not re.fullmatch(SESSION_NAME, name):
        raise HTTPException(400, f"The header {SESSION_HEADER} must name the session, in 1 to 200 letters, digits and signs.")
    return name


async def _body(request: Request) -> bytes:
    """Read the body, and not more than a job may have, whatever length was announced."""
    parts, length = [], 0
    async for part in request.stream():
        parts.append(part)
        length += len(part)
        if length > MOST_JOB_BYTES:
            raise HTTPException(413, f"A job may have at most {MOST_JOB_BYTES >> 20} MB. Send a smaller image.")
    return b"".join(parts)
