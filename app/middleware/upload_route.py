"""What uploads may take: of memory, all of them together, and of a person's turns. Nothing of them reaches the disk.

Streamlit's route itself refuses files over `server.maxUploadSize`, also where the announced length is missing or false.
"""

import re

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.runtime import Runtime, get_instance
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager

from app.middleware.buckets import Buckets
from app.middleware.limits import spoken

_ROUTE = re.compile(r"/_stcore/upload_file/(?P<session>[^/]+)/[^/]+/?$")
FULL = "This server holds as many uploads as it has room for: try again in a minute."
MINUTE = {"Retry-After": "60"}


def keep_in_memory() -> None:
    """Keep uploads of any size in memory: parsed forms over a megabyte would be spooled to a temporary file."""
    MultiPartParser.spool_max_size = 0


class UploadRoute:
    """Lets an upload through while its session and the server have room for it.

    `most_bytes` bounds what arrives at the moment and what Streamlit holds for all sessions; 0 is no bound.
    """

    def __init__(self, app: ASGIApp, per_minute: int, most_bytes: int) -> None:
        self._app = app
        self._turns = Buckets(per_minute)
        self._most = most_bytes
        self._arriving = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on everything but uploads that there is no room for."""
        found = _ROUTE.search(scope["path"]) if scope["type"] == "http" and scope["method"] == "PUT" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        seconds = self._turns.take(found["session"])
        announced = Headers(scope=scope).get("content-length", "0")
        if seconds:
            sentence = f"That was a lot of files in a short time: wait {spoken(seconds)}."
            await PlainTextResponse(sentence, 429, {"Retry-After": str(seconds)})(scope, receive, send)
        elif announced.isdecimal() and self._is_full(found["session"], int(announced)):
            await PlainTextResponse(FULL, 503, MINUTE)(scope, receive, send)
        else:
            await self._count(found["session"], scope, receive, send)

    async def _count(self, session: str, scope: Scope, receive: Receive, send: Send) -> None:
        mine = 0

        async def counted() -> Message:
            nonlocal mine
            message = await receive()
            size = len(message.get("body", b""))
            mine += size
            self._arriving += size
            if size and self._is_full(session, mine):
                raise HTTPException(503, FULL, MINUTE)
            return message

        try:
            await self._app(scope, counted, send)
        finally:
            self._arriving -= mine

    def _is_full(self, session: str, more: int) -> bool:
        """Whether there is no room; a session may take half of it."""
        held = _held()
        everybody = sum(held.values()) + max(self._arriving, more)
        return bool(self._most) and (everybody > self._most or held.get(session, 0) + more > self._most // 2)


def _held() -> dict[str, int]:
    """Return the bytes that Streamlit holds of finished uploads, a number a session."""
    manager = get_instance().uploaded_file_mgr if Runtime.exists() else None
    if not isinstance(manager, MemoryUploadedFileManager):
        return {}
    return {
        session: sum(len(file.data) for file in list(files.values())) for session, files in list(manager.file_storage.items())
    }
