"""`rv.show(net)`: the app, opened on a network of the program that calls it, from a notebook or a script.

The app runs in a process of its own, because Streamlit takes over the process that it runs in. The network stays in the calling
one, where a thread answers the app's questions; nothing is pickled, and the module stays as it is. Both end with the program.
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
LAST_WORDS = 2000


class Shown(str):
    """The address of the app, opened on a network; `stop()` ends the app and the thread that answers it."""

    __slots__ = ()

    def stop(self) -> None:
        """End the app with everything that it shows; nothing happens where it has ended already."""
        stop()

    def _repr_html_(self) -> str:
        """Show the address as a link in a notebook."""
        return f'<a href="{self}" target="_blank">{self}</a>'


def show(net: Net | nn.Module, *, port: int | None = None, open_browser: bool = False) -> Shown:
    """Open the app on a network of this program and return its address: rv.show(net), or rv.show(my_module).

    A module is opened as `rv.from_module(module)` does. The app starts with the first call and takes seconds for it; later
    calls add their networks to the same app, and a network that is shown again appears with the weights that it has by then.
    `port` is a free one unless given; with `open_browser` the address is opened in this machine's browser.

    The app answers this machine alone. It ends with the program, or with `.stop()` of the address.

    Raises ValueError as `from_module` does, and RuntimeError with a sentence where the app does not start.
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
    """End the app that `show` started, if it runs."""
    with _lock:
        _stop()


_lock = threading.RLock()
_running: "list[_Showing]" = []


@atexit.register
def _stop() -> None:
    while _running:
        _running.pop().close()


class _Showing:
    """The networks that are shown, the thread that answers questions about them, and the app's process."""

    def __init__(self, port: int | None) -> None:
        # Slow imports that nobody else needs.
        from resnet_viz.engine.local import LocalEngine  # noqa: PLC0415 - see above
        from resnet_viz.engine.shown import ShownNetwork, routes  # noqa: PLC0415 - see above

        self._nets: dict[str, Net] = {}
        self._shown: dict[str, ShownNetwork] = {}
        self._names: dict[int, str] = {}
        self._turns = count()
        # What is shown stays alive, so that no other object gets its identity.
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
            # Its end tells the app that this program has gone, however it went.
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
        """Show a network and return its address; `module` tells whether it is one that was shown before."""
        from resnet_viz.engine.shown import PREFIX, shown_network  # noqa: PLC0415 - as above

        if id(module) not in self._names:
            self._names[id(module)] = self._free_name(PREFIX, net.name)
            self._held.append(module)
        name = self._names[id(module)]
        # Another key each time: answers that were computed before are not this network's.
        key = f"{name}#{next(self._turns)}"
        found = shown_network(net, name, key)
        self._nets = {other: kept for other, kept in self._nets.items() if other.rpartition("#")[0] != name} | {key: net}
        # The latest is the first in the app's list.
        self._shown = {name: found} | {other: known for other, known in self._shown.items() if other != name}
        return f"http://{HOST}:{self._port}/?{urlencode({'model': name})}"

    def is_alive(self) -> bool:
        """Whether the app runs."""
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
            raise WeightsError("This network is not shown any more: show it again with rv.show(net).")
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
                raise RuntimeError(f"The app ended while it started. Its last words: {self._last_words()}")
            try:
                with urllib.request.urlopen(f"http://{HOST}:{self._port}/_stcore/health", timeout=5):
                    return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"The app did not start within {START_SECONDS:.0f} seconds. Its last words: {self._last_words()}")

    def _last_words(self) -> str:
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - LAST_WORDS))
        return self._log.read().decode(errors="replace").strip() or "none"


class _Answering:
    """A web server in a thread, for this machine alone."""

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
        """Where it answers."""
        return f"http://{HOST}:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        """End it."""
        self._server.should_exit = True
        self._thread.join(END_SECONDS)
        self._socket.close()


def _command(port: int) -> list[str]:
    # -P: a folder named `app` where the program runs would be imported in place of ours.
    flags = ["--server.headless", "true", "--server.address", HOST, "--server.port", str(port)]
    return [sys.executable, "-P", "-m", "streamlit", "run", str(APP), *flags]


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the app's process, which finds this package also where it is not installed."""
    paths = [os.environ.get("PYTHONPATH", "")]
    if ROOT.name not in ("site-packages", "dist-packages"):
        paths.insert(0, str(ROOT))
    return {**ALLOCATOR, **os.environ, **variables, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
