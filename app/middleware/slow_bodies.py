"""A time limit for the body of a request, which a client could otherwise send at a byte per hour."""

import asyncio
import time
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Seconds for the first pieces; after that, the average speed must reach that of a poor phone connection.
USUAL_SECONDS = 20.0
SLOWEST = 4096
TOO_SLOW = "The file arrived too slowly. Try again with a better connection, or with a smaller file."


class SlowBodies:
    """Ends requests with a stalled body: nothing for twenty seconds, or less than 4 KB per second."""

    def __init__(self, app: ASGIApp, seconds: float = USUAL_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._app, self._seconds, self._clock = app, seconds, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, with a time limit for each piece of a body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, came, more, answered = self._clock(), 0, True, False

        async def in_time() -> Message:
            nonlocal came, more
            if not more:
                # The body is complete; what comes next is that the client disconnects.
                return await receive()
            left = min(self._seconds, started + self._seconds + came / SLOWEST - self._clock())
            # Pieces that arrive at once give a timeout no chance to fire.
            if left <= 0:
                raise _too_slow()
            try:
                async with asyncio.timeout(left):
                    message = await receive()
            except TimeoutError as error:
                raise _too_slow() from error
            came += len(message.get("body", b""))
            more = message.get("more_body", False)
            return message

        async def noted(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            await self._app(scope, in_time, noted)
        except ClientDisconnect:
            # Nobody is left to answer, and it is not worth a log entry.
            return
        except HTTPException as error:
            if answered or error.status_code != 408:
                raise
            await PlainTextResponse(error.detail, error.status_code, error.headers)(scope, receive, send)


def _too_slow() -> HTTPException:
    return HTTPException(408, TOO_SLOW, {"Connection": "close"})
