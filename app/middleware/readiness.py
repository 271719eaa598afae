"""The readiness route: whether this server works, which the engine tests by inspecting a small image."""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import anyio
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from resnet_viz.engine.jobs import Engine, EngineError

READY = "/ready"
KEPT_SECONDS = 10.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Readiness:
    """Whether the server is ready, in words, and how long the check took in seconds."""

    ready: bool
    sentence: str
    seconds: float = 0.0


class Probe:
    """Runs the check on request, and keeps its result for ten seconds."""

    def __init__(self, check: Callable[[], Readiness], clock: Callable[[], float] = time.monotonic) -> None:
        self._check = check
        self._clock = clock
        self._lock = anyio.Lock()
        self._found: Readiness | None = None
        self._until = 0.0

    async def readiness(self) -> Readiness:
        """Return the result; simultaneous requests wait for one check."""
        async with self._lock:
            if self._found is None or self._clock() >= self._until:
                self._found = await to_thread.run_sync(self._check, abandon_on_cancel=True)
                self._until = self._clock() + KEPT_SECONDS
            return self._found


class Check:
    """The check itself: the report of the engine in use, in this process or elsewhere."""

    def __init__(self, engine: Callable[[], Engine]) -> None:
        self._engine = engine

    def __call__(self) -> Readiness:
        """Run it; a failure becomes a sentence."""
        started = time.perf_counter()
        try:
            sentence = self._engine().check()
        except EngineError as error:
            return Readiness(ready=False, sentence=str(error))
        except Exception:
            # The cause may reveal much about the machine, so it is written only to the log.
            log.exception("not ready")
            return Readiness(ready=False, sentence="The engine did not answer. The server's log says why.")
        return Readiness(ready=True, sentence=sentence, seconds=round(time.perf_counter() - started, 4))


def route(probe: Probe) -> Route:
    """Return the route, which needs no code and no sign-in and reveals nothing about anybody."""

    async def answer(_: Request) -> JSONResponse:
        found = await probe.readiness()
        return JSONResponse(asdict(found), 200 if found.ready else 503, headers={"Cache-Control": "no-store"})

    return Route(READY, answer, methods=["GET"])
