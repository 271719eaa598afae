"""The engine on Ray Serve: `python -m resnet_viz.engine.serving`, or `resnet_viz.engine.serving:application` in a manifest.

Each replica is a LocalEngine on its share of the machine, behind the routes of ingress.py. HAProxy, which comes with Ray,
passes requests and answers through: in `make load` an inspection took half the CPU time that it took behind Ray's own proxy,
where every frame is a message between processes. The queue, the turns of the sessions, shared results, cancelling, and the
handling of exhausted memory are those of the LocalEngine, as in the app. So is batching across people: if it is faster, a
worker adds all waiting jobs for the same network to its pass, and never waits for a batch to fill. `@serve.batch` would be a
second queue in front: it holds the first job of a batch back for a while, does not distinguish networks, and has neither turns
nor progress.

Disconnecting cancels: Ray Serve cancels the task of the request, which closes the stream of frames, which drops the ticket. The
worker stops before its next block, or continues for others with jobs in the same pass.
"""

import asyncio
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
from resnet_viz.engine.ray_environment import ray_environment
from resnet_viz.settings import EngineSettings, ServingSettings, SettingError, WeightsSettings

APP, REPLICA = "resnet-viz", "Replica"
# In addition to the jobs: probes, catalogues and farewells.
OTHER_REQUESTS = 16
# Bytes for Ray itself; answers are stored there only behind Ray's own proxy.
SHARED_MEMORY = 500 * 10**6


class Replica:
    """One engine of several, on the device that Ray assigned to it."""

    def __init__(self) -> None:
        self._parsers = ParsingPool()
        self._parsers.start()
        self._engine = LocalEngine(EngineSettings.read(), opener=self._parsers.open_image)

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """Return the routes."""
        return ingress(self._engine, ServingSettings.read().token, _leave_everywhere)

    async def check_health(self) -> None:
        """Fail if a small image cannot be inspected: Ray Serve then replaces the replica."""
        await asyncio.to_thread(self._engine.check)

    def leave(self, session: str) -> None:
        """Forget a session."""
        self._engine.leave(session)

    def __del__(self) -> None:
        """End the threads, after the last requests have been answered."""
        self._engine.close()
        self._parsers.close()


def application(_: dict[str, str] | None = None) -> serve.Application:
    """Return the application for Ray Serve, as the environment configures it."""
    scale, settings = ServingSettings.read(), EngineSettings.read()
    replica = serve.deployment(
        name=REPLICA,
        ray_actor_options={"num_cpus": scale.replica_cpus, "num_gpus": scale.gpu_fraction},
        autoscaling_config=AutoscalingConfig(
            min_replicas=scale.min_replicas, max_replicas=scale.max_replicas, target_ongoing_requests=scale.busy
        ),
        # More than the engine's own queue accepts, so that the engine can say in a sentence that it is full.
        max_ongoing_requests=settings.queue + settings.batch + OTHER_REQUESTS,
        health_check_period_s=10,
        health_check_timeout_s=60,
        graceful_shutdown_timeout_s=60,
        # Requests are private and not logged.
        logging_config={"enable_access_log": False},
    )(serve.ingress()(Replica))
    served: serve.Application = replica.bind()
    return served


@contextmanager
def running(host: str, port: int, **cluster: Any) -> Iterator[None]:  # noqa: ANN401 - what ray.init takes
    """Run Ray on this machine, with a secret token, and the engine on it, which accepts jobs from the start.

    At the end, running requests are answered first.
    """
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="rv-", ignore_cleanup_errors=True) as folder:
        if haproxy.is_there(host):
            os.environ |= haproxy.environment(Path(folder)) | before
        os.environ |= ray_environment() | before
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
    """Serve until the process is told to stop."""
    try:
        place = ServingSettings.read()
        EngineSettings.read()
        WeightsSettings.read()
    except SettingError as error:
        sys.exit(f"The engine cannot start: {error}")
    host, port = place.host, place.port
    with running(host, port, object_store_memory=SHARED_MEMORY):
        # After Ray's own handler, which would end only this process.
        ended = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ended.set())
        print(f"The engine is ready on http://{host}:{port}", flush=True)  # noqa: T201 - what containers log is what they print
        ended.wait()


async def _leave_everywhere(session: str) -> None:
    """Forget a session in every replica: its jobs may have run on another one while its own was busy."""
    await serve.get_deployment_handle(REPLICA, APP).broadcast("leave", session).results_async()


if __name__ == "__main__":
    # By its name, so that all replicas find the same class.
    import_module("resnet_viz.engine.serving").main()
