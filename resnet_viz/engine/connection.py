"""The connection to an engine on another server: HTTP in a separate thread, with two kinds of failure, away and cut."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp

from resnet_viz.engine.jobs import AwayError, EngineError
from resnet_viz.engine.protocol import HEAD, MOST_ANSWER_BYTES, SILENCE

CONNECT_SECONDS = 3.0
LONGEST_SENTENCE = 1000
AWAY = "The engine that computes the analyses cannot be reached at the moment. Your selection is kept. Try again in a minute."
NOWHERE = "There is no engine of this program at the address in RESNET_VIZ_ENGINE. Correct the address."
UNREADABLE = "The engine's answer cannot be read. The app and the engine must run the same version of this program."

Found = TypeVar("Found")


class CutError(AwayError):
    """The engine was reachable, and disconnected before it had answered."""


class Connection:
    """Sends requests to the engine at `url`, with its token; the thread starts with the first request and ends with `close`.

    Raises ValueError for an invalid address.
    """

    def __init__(self, url: str, token: str = "") -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is not the address of an engine. Write http:// or https://, a name and a port")
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._starting = threading.Lock()

    def start(self, work: Coroutine[Any, Any, Found]) -> "Future[Found]":
        """Let the thread run a coroutine; cancelling the future closes the connection."""
        with self._starting:
            if not self._thread.is_alive():
                self._thread.start()
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """End the thread, if there is one."""
        with self._starting:
            running = self._thread.is_alive()
        if running:
            self.start(self._hang_up()).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()

    async def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> bytes:
        """Return the engine's answer; raises AwayError, or EngineError with a sentence."""
        async with self._response(method, path, headers=headers) as response:
            return await response.read()

    async def frames(self, path: str, data: bytes, headers: Mapping[str, str]) -> AsyncGenerator[tuple[bytes, bytes]]:
        """Post something and return the frames of the answer, letter and payload; raises CutError if they are cut off."""
        async with self._response("POST", path, data, headers) as response:
            while True:
                letter, length = HEAD.unpack(await response.content.readexactly(HEAD.size))
                if length > MOST_ANSWER_BYTES:
                    raise EngineError(UNREADABLE)
                yield letter, await response.content.readexactly(length)

    @asynccontextmanager
    async def _response(
        self, method: str, path: str, data: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        given = {**self._headers, **(headers or {})}
        try:
            async with self._http.request(method, self._url + path, data=data, headers=given) as response:
                if not response.ok:
                    raise await _refusal(response)
                yield response
        except (aiohttp.ClientConnectorError, TimeoutError) as error:
            raise AwayError(AWAY) from error
        except (aiohttp.ClientError, asyncio.IncompleteReadError, OSError) as error:
            raise CutError(AWAY) from error

    async def _hang_up(self) -> None:
        await self._http.close()

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.new_event_loop()

    @cached_property
    def _thread(self) -> threading.Thread:
        return threading.Thread(target=self._loop.run_forever, name="engine-elsewhere", daemon=True)

    @cached_property
    def _http(self) -> aiohttp.ClientSession:
        # Created in the thread that uses it.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE)
        return aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0))


async def _refusal(response: aiohttp.ClientResponse) -> EngineError:
    """Turn a status into a sentence."""
    if response.status >= 500:
        return CutError(AWAY)
    if response.status == 404:
        return EngineError(NOWHERE)
    said = await response.content.read(LONGEST_SENTENCE)
    return EngineError(
        said.decode(errors="replace").strip() or f"The engine refused the request with status {response.status}."
    )
