"""The wheel away from the repository: it contains what the program needs, and both commands work from an empty folder."""

import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests import servers
from tests.middleware_server import Server
from tests.servers import ROOT, free_port, log_of

NAME = "app-of-the-wheel"
# The tests may run with the repository on the path.
NOWHERE_ELSE = {"PYTHONPATH": ""}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as `pip wheel` builds it, without a build folder left in the repository."""
    folder = tmp_path_factory.mktemp("dist")
    (folder / "build.cfg").write_text(f"[build]\nbuild_base = {folder / 'build'}\n")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(command, check=True, env=os.environ | {"DIST_EXTRA_CONFIG": str(folder / "build.cfg")})  # noqa: S603
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def away(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder with a virtual environment that has the wheel and, of the repository, nothing else.

    The libraries are those of the environment that runs the tests, so that nothing is downloaded.
    """
    folder = tmp_path_factory.mktemp("away")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    (site,) = (folder / "venv" / "lib").glob("*/site-packages")
    # A file of paths adds a folder without following that folder's own files of paths: an editable install stays out.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*command, "--ignore-installed", str(wheel)], check=True)  # noqa: S603
    return folder


@pytest.fixture(scope="module")
def app(away: Path) -> Iterator[Server]:
    """The app as `resnet-viz app` starts it; the options say where it listens."""
    port = free_port()
    command = [str(away / "venv" / "bin" / "resnet-viz"), "app", "--server.port", str(port), "--server.address", "127.0.0.1"]
    command += ["--server.headless", "true"]
    with servers.running(command, f"http://127.0.0.1:{port}/ready", NAME, NOWHERE_ELSE, away) as process:
        yield Server(port, process.pid, log_of(NAME))


def test_the_wheel_holds_the_app_and_every_asset_and_no_tests(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assets = {f"resnet_viz/{path.relative_to(ROOT)}" for path in (ROOT / "assets").rglob("*") if path.is_file()}
    kept = {".css", ".js", ".svg", ".html"}
    styles = {
        str(path.relative_to(ROOT))
        for folder in ("app", "resnet_viz")
        for path in (ROOT / folder).rglob("*.*")
        if path.suffix in kept
    }
    assert len(assets) > 20
    assert len(styles) > 5
    assert assets | styles | {"app/main.py", "app/.streamlit/config.toml", "resnet_viz/py.typed"} <= names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"app", "resnet_viz"}


def test_inspect_works_with_the_shipped_default(away: Path) -> None:
    photo = ROOT / "assets" / "samples" / "cifar-cat.jpg"
    command = [str(away / "venv" / "bin" / "resnet-viz"), "inspect", str(photo)]
    variables = os.environ | NOWHERE_ELSE
    done = subprocess.run(command, cwd=away, env=variables, capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"\bcat \d+\.\d%", done.stdout)
    assert "layer1.0" in done.stdout


def test_the_app_opens_its_first_page_with_its_own_settings(app: Server) -> None:
    messages = app.visit("", "")
    (started,) = [message.new_session for message in messages if message.WhichOneof("type") == "new_session"]
    # Both are Streamlit's defaults where the file of settings is not found.
    assert not started.config.gather_usage_stats
    assert started.custom_theme.light.primary_color == "#0072B2"
    assert messages[-1].script_finished == ForwardMsg.ScriptFinishedStatus.FINISHED_SUCCESSFULLY
    drawn = {message.delta.new_element.WhichOneof("type") for message in messages if message.WhichOneof("type") == "delta"}
    assert "exception" not in drawn
    assert "markdown" in drawn
    assert "Traceback" not in app.log.read_text()
