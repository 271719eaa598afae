"""The readiness route: whether this server can do its job, found out by doing it on a small picture."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import anyio
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import resnet_viz as rv
from resnet_viz import assets

READY = "/ready"
KEPT_SECONDS = 10.0
MODEL = "resnet20-cifar10"
PICTURE, ANSWER = assets.SAMPLES_FOLDER / "cifar-cat.jpg", "cat"


@dataclass(frozen=True)
class Readiness:
    """Whether the server is ready, in words, where it computes, and how long an inspection took in seconds."""

    ready: bool
    sentence: str
    device: str = ""
    seconds: float = 0.0


class Probe:
    """Inspects a picture when asked and remembers the answer for ten seconds; the first time it checks all weights, too."""

    def __init__(self, check: Callable[[], Readiness], clock: Callable[[], float] = time.monotonic) -> None:
        self._check = check
        self._clock = clock
        self._lock = anyio.Lock()
        self._found: Readiness | None = None
        self._until = 0.0

    async def readiness(self) -> Readiness:
        """Return the answer; many who ask at once wait for one check."""
        async with self._lock:
            if self._found is None or self._clock() >= self._until:
                self._found = await to_thread.run_sync(self._check)
                self._until = self._clock() + KEPT_SECONDS
            return self._found


class Check:
    """The check itself: every shipped network's weights by their hashes, once, and then an inspection of a cat."""

    def __init__(self) -> None:
        self._net: rv.Net | None = None

    def __call__(self) -> Readiness:
        """Run it; a failure is a sentence."""
        started = time.perf_counter()
        try:
            if self._net is None:
                _check_weights()
                self._net = rv.load(MODEL)
            result = rv.inspect(self._net, rv.open_image(PICTURE))
        except (rv.WeightsError, rv.ImageError) as error:
            return Readiness(ready=False, sentence=str(error))
        except (RuntimeError, OSError) as error:
            # A failed device says much about the machine: that is for the log alone.
            print(f"Not ready: {error}", flush=True)  # noqa: T201 - what containers log is what they print
            return Readiness(ready=False, sentence="The inspection of a small picture failed: the server's log says why.")
        seconds = round(time.perf_counter() - started, 4)
        says = result.predictions[0].label
        sentence = f"{self._net.title} takes the picture of a {ANSWER} for: {says}."
        return Readiness(says == ANSWER, sentence, str(result.device), seconds)


def route(probe: Probe) -> Route:
    """Return the route, which needs no code and no sign-in and says nothing about anybody."""

    async def answer(_: Request) -> JSONResponse:
        found = await probe.readiness()
        return JSONResponse(asdict(found), 200 if found.ready else 503, headers={"Cache-Control": "no-store"})

    return Route(READY, answer, methods=["GET"])


def _check_weights() -> None:
    for info in rv.list_models():
        if info.source == "shipped":
            rv.load(info.name, device="cpu")
