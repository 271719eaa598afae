"""The systems under load: an app with the local engine in this process, and one with Ray Serve and two replicas."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from resnet_viz.engine.jobs import Engine
from resnet_viz.engine.remote import RemoteEngine
from resnet_viz.settings import EngineSettings
from tests.servers import app_command, free_port, running

ROOT = Path(__file__).parents[1]
# No rate limits; and without stored results, everything is computed.
NO_LIMIT = {"RESNET_VIZ_COMPUTATIONS_PER_MINUTE": "0"}
NOTHING_KEPT = NO_LIMIT | {"RESNET_VIZ_RESULTS_MB": "1"}
REPLICAS = 2


@dataclass(frozen=True)
class Site:
    """An engine, the address of an app that uses it, its number of workers, and its processes."""

    name: str
    engine: Engine
    url: str
    workers: int
    processes: tuple[psutil.Process, ...]


@contextmanager
def local_site() -> Iterator[Site]:
    """The app in this process, as `streamlit run` serves it, and its engine."""
    import uvicorn  # noqa: PLC0415 - only here

    os.environ |= NOTHING_KEPT
    from app import engines, main  # noqa: PLC0415 - only here

    port = free_port()
    server = uvicorn.Server(uvicorn.Config(main.app, port=port, log_level="warning"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.1)
    yield Site("The local engine", engines.local_engine(), f"http://127.0.0.1:{port}", 1, (psutil.Process(),))
    server.should_exit = True
    engines.local_engine().close()


@contextmanager
def ray_site() -> Iterator[Site]:
    """Ray Serve with two replicas, and the app that uses it."""
    port = free_port()
    with running_engine(port) as serving, running_app(f"http://127.0.0.1:{port}") as (url, app):
        engine = RemoteEngine(f"http://127.0.0.1:{port}", settings=EngineSettings(results_mb=0))
        yield Site("Ray Serve", engine, url, REPLICAS, (psutil.Process(serving.pid), psutil.Process(app.pid)))
        engine.close()


@contextmanager
def running_engine(port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """The engine's own command, when it is ready."""
    sizes = {"RESNET_VIZ_MIN_REPLICAS": str(REPLICAS), "RESNET_VIZ_RESULTS_MB": "1", "PORT": str(port)}
    command = [sys.executable, "-m", "resnet_viz.engine.serving"]
    with running(command, f"http://127.0.0.1:{port}/ready", "load-engine", sizes) as process:
        yield process


@contextmanager
def running_app(
    engine: str = "", environment: Mapping[str, str] = NOTHING_KEPT
) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """The app by its real command, and its address; it uses the engine at that address, or its own."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running(app_command(port), f"{url}/ready", "load-app", {**environment, "RESNET_VIZ_ENGINE": engine}) as process:
        yield url, process


def with_children(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """These processes and all their descendants."""
    return [each for process in processes for each in (process, *process.children(recursive=True))]


def processor_seconds(processes: Iterable[psutil.Process]) -> float:
    """CPU seconds of these processes and all their descendants, without browsers."""
    return sum(map(_own_seconds, with_children(processes)))


def is_the_peoples(process: psutil.Process) -> bool:
    """Whether it is a browser or its driver."""
    return any(name in " ".join((process.name(), *process.cmdline()[:2])) for name in ("chrom", "node", "browsers.py"))


def _own_seconds(process: psutil.Process) -> float:
    try:
        return 0.0 if is_the_peoples(process) else sum(process.cpu_times()[:2])
    except psutil.Error:
        return 0.0
