"""`rv.show(net)`: open the app on a network of the calling program, from a notebook or a script.

The app runs in a separate process, because Streamlit takes control of its process. The network stays in the calling process,
where a thread answers the requests of the app. Nothing is pickled, and the module is unchanged. The app ends with the program.
"""

import atexit
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import webbrowser
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import torch
from torch import nn

from resnet_viz.engine.allocator import ALLOCATOR
from resnet_viz.nets.net import Net, WeightsError
from resnet_viz.nets.own_modules import from_module

ROOT = Path(__file__).parents[1]
APP = ROOT / "app" / "main.py"
HOST = "127.0.0.1"
START_SECONDS, END_SECONDS = 300.0, 15.0
LAST_OUTPUT = 2000


class Shown(str):
    """The address of the app with an open network; `stop()` ends the app and the thread that answers it."""

    __slots__ = ()

    def stop(self) -> None:
        """End the app with all its networks; does nothing if it has already ended."""
        stop()

    def _repr_html_(self) -> str:
        """Show the address as a link in a notebook."""
        return f'<a href="{self}" target="_blank">{self}</a>'


def show(net: Net | nn.Module, *, port: int | None = None, open_browser: bool = False) -> Shown:
    """Open the app on a network of this program and return its address: rv.show(net), or rv.show(my_module).

    A module is opened as by `rv.from_module(module)`. The first call starts the app, which takes seconds. Later calls add their
    networks to the same app; a network that is shown again appears with its current weights. `port` is a free port by default.
    With `open_browser`, the address is opened in the browser of this machine.

    The app answers only this machine. It ends with the program, or when `.stop()` of the address is called.

    Raises ValueError as `from_module` does, and RuntimeError if the app does not start.
    """
    opened = net if isinstance(net, Net) else from_module(net)
    with _lock:
        if _running and not _running[0].is_alive():
            _stop()
        if not _running:
            _running.append(_Showing(port))
        address = _running[0].add(opened, net.module if isinstance(net, Net) else net)
    if open_browser:
        webbrowser.open(address)
    return Shown(address)


def stop() -> None:
    """End the app that `show` started, if it is running."""
    with _lock:
        _stop()


_lock = threading.RLock()
_running: "list[_Showing]" = []


@atexit.register
def _stop() -> None:
    while _running:
        _running.pop().close()


class _Showing:
    """The networks that are shown, the thread that answers requests about them, and the process of the app."""

    def __init__(self, port: int | None) -> None:
        # Slow imports that nothing else needs.
        from resnet_viz.engine.local import LocalEngine  # noqa: PLC0415 - see above
        from resnet_viz.engine.shown import ShownNetwork, routes  # noqa: PLC0415 - see above

        self._nets: dict[str, Net] = {}
        self._shown: dict[str, ShownNetwork] = {}
        self._names: dict[int, str] = {}
        self._turns = count()
        # The networks are kept alive, so that no other object gets their identity.
        self._held: list[nn.Module] = []
        token = secrets.token_urlsafe(24)
        self._engine = LocalEngine(devices=["cpu"], loader=self._load)
        self._answering = _Answering(routes(self._engine, token, lambda: tuple(self._shown.values())))
        self._port = port or _free_port()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the app runs
        variables = {"RESNET_VIZ_SHOWN_URL": self._answering.url, "RESNET_VIZ_SHOWN_TOKEN": token}
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            _command(self._port),
            env=_environment(variables),
            # When this pipe closes, the app knows that the program has ended, for whatever reason.
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def add(self, net: Net, module: nn.Module) -> str:
        """Show a network and return its address; `module` identifies a module that was shown before."""
        from resnet_viz.engine.shown import PREFIX, shown_network  # noqa: PLC0415 - as above

        if id(module) not in self._names:
            self._names[id(module)] = self._free_name(PREFIX, net.name)
            self._held.append(module)
        name = self._names[id(module)]
        # A new key each time, so that stored results of an earlier state are not used.
        key = f"{name}#{next(self._turns)}"
        found = shown_network(net, name, key)
        self._nets = {other: kept for other, kept in self._nets.items() if other.rpartition("#")[0] != name} | {key: net}
        # The latest network is the first in the list of the app.
        self._shown = {name: found} | {other: known for other, known in self._shown.items() if other != name}
        return f"http://{HOST}:{self._port}/?{urlencode({'model': name})}"

    def is_alive(self) -> bool:
        """Whether the app is running."""
        return self._process.poll() is None

    def close(self) -> None:
        """End everything."""
        if self.is_alive():
            self._process.terminate()
            try:
                self._process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._log.close()
        self._answering.close()
        self._engine.close()

    def _load(self, name: str, _trained: bool, _device: torch.device) -> Net:  # noqa: FBT001 - the job's words
        if name not in self._nets:
            raise WeightsError("This network is no longer shown. Show it again with rv.show(net).")
        return self._nets[name]

    def _free_name(self, prefix: str, name: str) -> str:
        plain = prefix + (re.sub(r"[^\w.-]+", "-", name).strip("-") or "network")
        taken, number, free = set(self._names.values()), 2, plain
        while free in taken:
            free, number = f"{plain}-{number}", number + 1
        return free

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if not self.is_alive():
                raise RuntimeError(f"The app ended while it started. Its last output: {self._last_output()}")
            try:
                with urllib.request.urlopen(f"http://{HOST}:{self._port}/_stcore/health", timeout=5):
                    return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"The app did not start within {START_SECONDS:.0f} seconds. Its last output: {self._last_output()}")

    def _last_output(self) -> str:
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - LAST_OUTPUT))
        return self._log.read().decode(errors="replace").strip() or "none"


class _Answering:
    """A web server in a thread, which answers only this machine."""

    def __init__(self, app: Any) -> None:  # noqa: ANN401 - an ASGI app
        import uvicorn  # noqa: PLC0415 - comes with Streamlit

        self._socket = socket.create_server((HOST, 0))
        self._server = uvicorn.Server(uvicorn.Config(app, loop="asyncio", lifespan="off", log_level="warning"))
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="resnet-viz-show", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """The address of the server."""
        return f"http://{HOST}:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        """End it."""
        self._server.should_exit = True
        self._thread.join(END_SECONDS)
        self._socket.close()


def _command(port: int) -> list[str]:
    # -P: otherwise, a folder named `app` in the current directory would be imported instead of ours.
    flags = ["--server.headless", "true", "--server.address", HOST, "--server.port", str(port)]
    return [sys.executable, "-P", "-m", "streamlit", "run", str(APP), *flags]


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the app process, in which this package can be imported even if it is not installed."""
    paths = [os.environ.get("PYTHONPATH", "")]
    if ROOT.name not in ("site-packages", "dist-packages"):
        paths.insert(0, str(ROOT))
    return {**ALLOCATOR, **os.environ, **variables, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
