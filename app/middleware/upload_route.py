"""The limits of uploads: memory in total, and the number per person. No part of an upload is written to disk.

Streamlit's route itself refuses files over `server.maxUploadSize`, even if the announced length is missing or false.
"""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.runtime import Runtime, get_instance
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager

from app.middleware.buckets import Buckets
from app.middleware.rate_limits import spoken
from app.middleware.refused_files import REFUSED
from app.middleware.upload_addresses import UploadAddresses, UploadPlace, is_upload_route
from app.middleware.upload_room import Held, HeldFile, UploadRoom

OFTEN = "You uploaded many files in a short time."
FULL = "This server's memory for uploads is full. Try again in a minute."
UNKNOWN = "This upload address is not valid, or has been used already. Reload the page, then choose the file again.\n"
MINUTE = {"Retry-After": "60"}


def keep_in_memory() -> None:
    """Keep uploads of any size in memory: parsed forms over a megabyte would be written to a temporary file."""
    MultiPartParser.spool_max_size = 0


class UploadRoute:
    """Passes an upload on while its session and the server have room for it.

    `most_bytes` limits what is arriving and what Streamlit holds for all sessions; 0 is no limit.
    """

    def __init__(self, app: ASGIApp, per_minute: int, most_bytes: int) -> None:
        self._app = app
        self._turns = Buckets(per_minute)
        self._addresses = UploadAddresses()
        self._room = UploadRoom(most_bytes, Held(_files, _drop, _is_connected))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on: uploads to their destination, as long as there is room."""
        if scope["type"] == "websocket" and (manager := _manager()) is not None:
            self._addresses.hand_out(manager)
        if scope["type"] != "http" or scope["method"] == "OPTIONS" or not is_upload_route(scope["path"]):
            await self._app(scope, receive, send)
            return
        place = self._addresses.place(scope["path"], takes=scope["method"] == "PUT")
        if place is None or not _is_connected(place.session):
            await PlainTextResponse(UNKNOWN, 400)(scope, receive, send)
            return
        scope = {**scope, "path": place.path, "raw_path": place.path.encode()}
        if scope["method"] == "PUT":
            await self._take_in(place, scope, receive, _noting_refusal(place, send))
        else:
            await self._app(scope, receive, send)

    async def _take_in(self, place: UploadPlace, scope: Scope, receive: Receive, send: Send) -> None:
        seconds = self._turns.take(place.session)
        announced = Headers(scope=scope).get("content-length", "0")
        if seconds:
            sentence = f"{OFTEN} Wait {spoken(seconds)}, then try again."
            await PlainTextResponse(sentence, 429, {"Retry-After": str(seconds)})(scope, receive, send)
        elif announced.isdecimal() and not self._room.has_room(place.session, int(announced[:18])):
            await PlainTextResponse(FULL, 503, MINUTE)(scope, receive, send)
        else:
            await self._count(place, scope, receive, send)

    async def _count(self, place: UploadPlace, scope: Scope, receive: Receive, send: Send) -> None:
        upload = self._room.enter(place.session)

        async def counted() -> Message:
            try:
                async with asyncio.timeout(None) as upload.timeout:
                    message = await receive()
            except TimeoutError:
                message = {}
            size = len(message.get("body", b""))
            if upload.gave_way or (size and not self._room.has_room(place.session, size)):
                raise HTTPException(503, FULL, MINUTE)
            upload.nbytes += size
            return message

        try:
            await self._app(scope, counted, send)
        finally:
            self._room.leave(upload, place.file)


def _noting_refusal(place: UploadPlace, send: Send) -> Send:
    """Send on, and note a refusal, by whatever answers."""

    async def noting(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] >= HTTPStatus.BAD_REQUEST:
            REFUSED.refuse(place.session, place.file)
        await send(message)

    return noting


def _manager() -> MemoryUploadedFileManager | None:
    manager = get_instance().uploaded_file_mgr if Runtime.exists() else None
    return manager if isinstance(manager, MemoryUploadedFileManager) else None


def _files() -> Iterable[HeldFile]:
    """The finished uploads that Streamlit holds."""
    manager = _manager()
    stored = [] if manager is None else list(manager.file_storage.items())
    return [HeldFile(session, file.file_id, len(file.data)) for session, files in stored for file in list(files.values())]


def _drop(held: HeldFile) -> None:
    manager = _manager()
    if manager is not None:
        manager.remove_file(held.session, held.file)


def _is_connected(session: str) -> bool:
    return Runtime.exists() and get_instance().is_active_session(session)
