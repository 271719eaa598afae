"""Servers started by their real commands, each on its own port: for tests, benchmarks and the images of the documentation."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
ARTIFACTS = ROOT / "artifacts"
START_SECONDS, END_SECONDS = 180, 60


def free_port() -> int:
    """A free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def app_command(port: int, *flags: str) -> list[str]:
    """The command that starts the app on this machine only."""
    command = [str(Path(sys.executable).with_name("streamlit")), "run", "app/main.py", "--server.headless", "true"]
    return [*command, "--server.address", "127.0.0.1", "--server.port", str(port), *flags]


def log_of(name: str) -> Path:
    """The file for a server's output."""
    return ARTIFACTS / f"{name}.log"


@contextmanager
def running(
    command: list[str], ready: str, log_name: str, environment: Mapping[str, str] | None = None, folder: Path = ROOT
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a command in a separate session, with its own variables, and wait until the address `ready` answers."""
    ARTIFACTS.mkdir(exist_ok=True)
    variables = os.environ | (environment or {})
    with log_of(log_name).open("w") as log:
        process = subprocess.Popen(  # noqa: S603 - our own commands
            command, cwd=folder, env=variables, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            wait_for(ready, process)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise


def wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait until an address answers; RuntimeError if the process ends before."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=30):  # noqa: S310 - our own server
                return
        except OSError:
            time.sleep(0.3)
    raise RuntimeError(f"{url} did not become ready, see the logs in {ARTIFACTS}")
