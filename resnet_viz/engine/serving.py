"""The engine on Ray Serve: `python -m resnet_viz.engine.serving`, or `resnet_viz.engine.serving:application` in a manifest.

Each replica is a LocalEngine on its share of the machine behind the routes of ingress.py. HAProxy, which comes with Ray,
hands requests and answers through: in `make load` an inspection took half the processor time that it took behind Ray's own
proxy, to which every frame is a message between processes. The queue, the turns that sessions take, what several ask computed
once, cancelling, and what is done when memory runs out are the LocalEngine's, as in the app. So is batching across people:
where that is faster a worker takes along whatever waits for the same network, and never waits for a batch to fill.
`@serve.batch` would: it holds the first of a batch back for a while, cannot tell networks apart, knows neither turns nor
progress, and would be a second queue in front of the first.

Who hangs up cancels: Ray Serve cancels the task of the request, which closes the stream of frames, which drops the ticket, and
the worker stops before its next block, or goes on for those whose job shares the pass.
"""

import asyncio
import os
import secrets
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import ray
from ray import serve
from ray.serve.config import AutoscalingConfig
from starlette.types import ASGIApp

from resnet_viz.engine import haproxy
from resnet_viz.engine.ingress import ingress
from resnet_viz.engine.local import LocalEngine
from resnet_viz.engine.parsing.pool import ParsingPool
from resnet_viz.engine.settings import Settings

APP, REPLICA = "resnet-viz", "Replica"
# Beside the jobs: probes, catalogues and farewells.
OTHER_REQUESTS = 16
# Bytes of Ray's own; answers pass through them behind Ray's own proxy alone.
SHARED_MEMORY = 500 * 10**6


@dataclass(frozen=True)
class Scale:
    """How many replicas there are, and what each takes of its machine.

    `gpu` is a share of a GPU; nothing holds a replica to it, so that what runs together must fit into its memory. A replica
    with more than `busy` unfinished jobs calls for another one.
    """

    fewest: int = 1
    most: int = 1
    cpus: float = 1.0
    gpu: float = 0.0
    busy: int = 4

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> "Scale":
        """Read the environment; ValueError names a variable that has no such number."""
        fewest = int(_number(environment, "RESNET_VIZ_MIN_REPLICAS", 1, least=1))
        return cls(
            fewest=fewest,
            most=int(_number(environment, "RESNET_VIZ_MAX_REPLICAS", fewest, least=fewest)),
            cpus=_number(environment, "RESNET_VIZ_REPLICA_CPUS", 1.0, least=0.0),
            gpu=_number(environment, "RESNET_VIZ_GPU_FRACTION", 0.0, least=0.0),
            busy=int(_number(environment, "RESNET_VIZ_BUSY", 4, least=1)),
        )


class Replica:
    """One engine of several, on the device that Ray gave it."""

    def __init__(self) -> None:
        self._parsers = ParsingPool()
        self._parsers.start()
        self._engine = LocalEngine(Settings.of(), opener=self._parsers.open_image)

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """Return the routes."""
        return ingress(self._engine, os.environ.get("RESNET_VIZ_TOKEN", ""), _leave_everywhere)

    async def check_health(self) -> None:
        """Fail where a small picture cannot be inspected: Ray Serve replaces the replica."""
        await asyncio.to_thread(self._engine.check)

    def leave(self, session: str) -> None:
        """Forget a session."""
        self._engine.leave(session)

    def __del__(self) -> None:
        """End the threads, once the last requests have been answered."""
        self._engine.close()
        self._parsers.close()


def application(_: dict[str, str] | None = None) -> serve.Application:
    """Return what Ray Serve is to run, as the environment says."""
    scale, settings = Scale.of(), Settings.of()
    replica = serve.deployment(
        name=REPLICA,
        ray_actor_options={"num_cpus": scale.cpus, "num_gpus": scale.gpu},
        autoscaling_config=AutoscalingConfig(
            min_replicas=scale.fewest, max_replicas=scale.most, target_ongoing_requests=scale.busy
        ),
        # More than the engine's own queue takes, which then says with a sentence that it is full.
        max_ongoing_requests=settings.queue + settings.batch + OTHER_REQUESTS,
        health_check_period_s=10,
        health_check_timeout_s=60,
        graceful_shutdown_timeout_s=60,
        # Who asked what is nobody's business.
        logging_config={"enable_access_log": False},
    )(serve.ingress()(Replica))
    served: serve.Application = replica.bind()
    return served


@contextmanager
def running(host: str, port: int, **cluster: Any) -> Iterator[None]:  # noqa: ANN401 - what ray.init takes
    """Run Ray on this machine, with a token that nobody else knows, and the engine on it, which can be asked from the start.

    At the end what is being answered is answered first.
    """
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="rv-", ignore_cleanup_errors=True) as folder:
        if haproxy.is_there(host):
            os.environ |= haproxy.environment(Path(folder)) | before
        os.environ |= {"RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
        try:
            ray.init(include_dashboard=False, configure_logging=False, **cluster)
            serve.start(http_options={"host": host, "port": port})
            serve.run(application(), name=APP, route_prefix="/")
            yield
        finally:
            serve.shutdown()  # type: ignore[no-untyped-call]
            ray.shutdown()
            os.environ.clear()
            os.environ |= before


def main() -> None:
    """Serve until the process is told to end."""
    # Without a token whoever reaches the port may compute: then that is this machine alone.
    default = "0.0.0.0" if os.environ.get("RESNET_VIZ_TOKEN") else "127.0.0.1"  # noqa: S104 - the token stands before it
    host, port = os.environ.get("RESNET_VIZ_ENGINE_HOST", default), int(os.environ.get("PORT", "8000"))
    with running(host, port, object_store_memory=SHARED_MEMORY):
        # After Ray's own, which would end this process and leave the others.
        ended = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ended.set())
        print(f"The engine is ready on http://{host}:{port}", flush=True)  # noqa: T201 - what containers log is what they print
        ended.wait()


async def _leave_everywhere(session: str) -> None:
    """Forget a session in every replica: its jobs may have gone to another one when its own was busy."""
    await serve.get_deployment_handle(REPLICA, APP).broadcast("leave", session).results_async()


def _number(environment: Mapping[str, str], variable: str, default: float, least: float) -> float:
    text = environment.get(variable, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1.0
    if not value >= least:
        raise ValueError(f"{variable}={text!r} is no number of {least:g} or more")
    return value


if __name__ == "__main__":
    # By its name, so that replicas find the same class.
    import_module("resnet_viz.engine.serving").main()
