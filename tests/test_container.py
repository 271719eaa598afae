"""The container image, tested without a container engine: linted, its facts checked, its start command run read-only."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.servers import free_port, wait_for

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
HADOLINT = Path(sys.executable).with_name("hadolint")
UID = 10001
MAY_MOUNT = shutil.which("unshare") is not None and shutil.which("setpriv") is not None and os.geteuid() == 0
# The image gets a /tmp of its own, which would hide an environment that is in there.
HIDDEN = Path(sys.prefix).is_relative_to("/tmp")  # noqa: S108 - that very folder

# The root file system is made read-only, and /tmp is fresh; only then privileges are given up for good.
AS_IN_A_CONTAINER = """
set -e
mount --bind "$TREE" /mnt
if ! setpriv --reuid {uid} --regid {uid} --clear-groups test -x "$PREFIX/bin"; then
    mkdir "$TREE.python" && mount --bind "$PREFIX" "$TREE.python"
    top=/$(echo "$PREFIX" | cut -d/ -f2)
    exec 3<"$TREE.python"
    mount -t tmpfs -o mode=755 tmpfs "$top"
    mkdir -p "$PREFIX" && mount --bind /proc/self/fd/3 "$PREFIX"
fi
mount -t tmpfs -o size=64m,mode=1777 tmpfs /tmp
for place in $(findmnt -rno TARGET | grep -vE '^/(tmp|proc|sys|dev)(/|$)'); do
    mount -o remount,bind,ro "$place" || true
done
cd /mnt
exec setpriv --reuid {uid} --regid {uid} --clear-groups --no-new-privs --bounding-set=-all env -i {environment} {command}
"""


@dataclass(frozen=True)
class Stage:
    """A stage of the Dockerfile: its instructions in order, continued lines joined."""

    name: str
    instructions: tuple[tuple[str, str], ...]

    def all(self, kind: str) -> list[str]:
        return [text for name, text in self.instructions if name == kind]

    def command(self) -> list[str]:
        words: list[str] = json.loads(self.all("CMD")[-1])
        return words

    def environment(self) -> dict[str, str]:
        words = [word for text in self.all("ENV") for word in shlex.split(text)]
        return dict(word.split("=", 1) for word in words)


def stages() -> list[Stage]:
    joined = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^\s*#.*\n", "", DOCKERFILE))
    lines = [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]
    starts = [index for index, line in enumerate(lines) if line[0] == "FROM"]
    return [
        Stage(lines[start][1], tuple((line[0], line[1]) for line in lines[start:end]))
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)
    ]


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint is not installed")
def test_hadolint_has_nothing_to_say() -> None:
    found = subprocess.run([HADOLINT, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)  # noqa: S603
    assert (found.returncode, found.stdout) == (0, "")


def test_the_image_is_built_in_stages_and_runs_as_nobody_special() -> None:
    build, final = stages()
    assert "AS build" in build.name
    assert final.all("USER") == [f"{UID}:{UID}"]
    assert not final.all("RUN")
    assert all(text.startswith("--from=build") for text in final.all("COPY"))


def test_the_health_check_asks_for_readiness() -> None:
    (check,) = stages()[-1].all("HEALTHCHECK")
    assert "/ready" in check
    assert "_stcore" not in DOCKERFILE


def test_one_file_serves_cpu_and_cuda() -> None:
    build = stages()[0]
    assert "TORCH_INDEX=cpu" in build.all("ARG")
    assert any("/whl/${TORCH_INDEX}" in text for text in build.all("RUN"))


def test_the_index_of_pytorch_is_asked_for_torch_and_torchvision_alone() -> None:
    (command,) = [text for text in stages()[0].all("RUN") if "/tmp/torch.txt" in text]  # noqa: S108 - a path in the image
    words = shlex.split(command[: command.index(" > ")])
    assert words[:2] == ["grep", "-E"]
    requirements = ["torch>=2.13", "torchvision==0.28", "torchmetrics>=1.9", "torchcam<1"]
    found = subprocess.run(words[:3], input="\n".join(requirements), capture_output=True, text=True, check=True)  # noqa: S603
    assert found.stdout.split() == requirements[:2]


def test_the_image_gets_what_it_needs_and_no_secrets() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    needed = {word for text in stages()[0].all("COPY") for word in text.split()[:-1]}
    allowed = {rule.removeprefix("!").split("/")[0] for rule in rules if rule.startswith("!")}
    assert needed == allowed
    assert "**/secrets.toml" in rules


def test_the_packages_are_there_before_they_are_installed() -> None:
    build = stages()[0].instructions
    install = next(place for place, (name, text) in enumerate(build) if name == "RUN" and "pip install -e" in text)
    copied = {word for name, text in build[:install] if name == "COPY" for word in text.split()[:-1]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    # An editable install finds no package that comes later.
    packages = {pattern.rstrip("*") for pattern in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert packages == {"resnet_viz", "app"}
    assert packages <= copied


def test_compose_keeps_the_engine_inside_and_both_services_small() -> None:
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    app, engine = services["app"], services["engine"]
    assert app["environment"]["RESNET_VIZ_ENGINE"] == "http://engine:8000"
    assert engine["command"] == ["python", "-m", "resnet_viz.engine.serving"]
    # Both have the volume, so what the app downloads reaches the engine.
    assert app["environment"]["RESNET_VIZ_SHARED_WEIGHTS"] == "1"
    assert app["volumes"] == engine["volumes"]
    assert "/ready" in engine["healthcheck"]["test"][-1]
    assert "ports" not in engine
    assert engine["networks"] == ["inside"]
    for service in (app, engine):
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert "RESNET_VIZ_TOKEN" in service["environment"]
        assert {"cpus", "memory"} <= set(service["deploy"]["resources"]["limits"])


@dataclass(frozen=True)
class Container:
    """The start command as it runs in a container, and the folder that it has for its own."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def root(self) -> Path:
        return Path(f"/proc/{self.process.pid}/root")


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    if not MAY_MOUNT:
        pytest.skip("only root may make a read-only root file system of its own")
    if HIDDEN:
        pytest.skip("the environment lies in /tmp, which the image gets anew: run it from another folder")
    tree, port, final = tmp_path_factory.mktemp("image"), free_port(), stages()[-1]
    for text in stages()[0].all("COPY"):
        *sources, _ = text.split()
        for source in sources:
            copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
            copy(ROOT / source, tree / source)
    subprocess.run(["chmod", "-R", "a+rX", tree], check=True)  # noqa: S603, S607
    command = shlex.join(final.command()).replace("8501", str(port))
    # The installed package stands in for the one that the image installs.
    variables = final.environment() | {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PYTHONPATH": "/mnt"}
    script = AS_IN_A_CONTAINER.format(
        uid=UID, environment=shlex.join(f"{name}={value}" for name, value in variables.items()), command=command
    )
    process = subprocess.Popen(  # noqa: S603
        ["unshare", "--mount", "--propagation", "private", "bash", "-c", script],  # noqa: S607
        env=os.environ | {"TREE": str(tree), "PREFIX": sys.base_prefix},
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/ready", process)
        yield Container(port, process)
    finally:
        process.terminate()
        process.wait(30)


def test_the_start_command_works_as_its_user_on_a_read_only_root(container: Container) -> None:
    status = dict(line.split(":\t", 1) for line in (Path(f"/proc/{container.process.pid}/status")).read_text().splitlines())
    assert status["Uid"].split() == [str(UID)] * 4
    assert int(status["CapEff"], 16) == 0
    for place in ("/", "/mnt", "/mnt/app"):
        assert os.statvfs(f"{container.root}{place}").f_flag & os.ST_RDONLY


def test_the_health_check_passes(container: Container) -> None:
    (check,) = stages()[-1].all("HEALTHCHECK")
    words = json.loads(check[check.index("[") :].replace("8501", str(container.port)))
    assert subprocess.run([sys.executable, *words[1:]], check=False).returncode == 0  # noqa: S603
    words[-1] = words[-1].replace("/ready", "/_stcore/metrics")
    assert subprocess.run([sys.executable, *words[1:]], check=False, stderr=subprocess.DEVNULL).returncode != 0  # noqa: S603


def test_nothing_is_left_on_the_disk(container: Container) -> None:
    time.sleep(1)
    left = [path for path in (container.root / "tmp").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in left) < 2**20, left
