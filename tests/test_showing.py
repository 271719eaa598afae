"""rv.show: the real app in a process of its own, on networks that stay in this one."""

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import torch
from torch import nn

import resnet_viz as rv
from resnet_viz import showing
from resnet_viz.engine.jobs import EngineError, Job
from resnet_viz.engine.protocol import MOST_ANSWER_BYTES
from resnet_viz.engine.remote import RemoteEngine
from resnet_viz.engine.shown import CATALOGUE, SHOWN, ShownNetwork, shown_network
from resnet_viz.engine.wire import decode, encode
from resnet_viz.images import digest
from resnet_viz.nets.net import Net, WeightsError
from tests.own_networks import Blocks, Shared

SMALL = rv.Preprocessing(32, 32, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
PICTURE = Path(__file__).parents[1] / "assets" / "samples"


@pytest.fixture(scope="module")
def module() -> nn.Module:
    torch.manual_seed(0)
    return Blocks(Shared(), Shared()).train()


@pytest.fixture(scope="module")
def own(module: nn.Module) -> Net:
    return rv.from_module(module, preprocessing=SMALL, name="My network")


@pytest.fixture(scope="module")
def picture() -> bytes:
    return next(path for path in sorted(PICTURE.iterdir()) if path.suffix in (".jpg", ".png")).read_bytes()


class NoApp:
    """In the place of the app's process: these tests ask the program's side."""

    def __init__(self, *_: object, env: dict[str, str], **__: object) -> None:
        self.env = env
        self.stdin = None
        self.ended = False

    def poll(self) -> int | None:
        return 0 if self.ended else None

    def terminate(self) -> None:
        self.ended = True

    def wait(self, _: float | None = None) -> int:
        return 0


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[showing._Showing]]:
    """Only the program's side is started; whatever was shown is not shown any more at the end."""
    monkeypatch.setattr(subprocess, "Popen", NoApp)
    monkeypatch.setattr(showing._Showing, "_wait", lambda _: None)
    yield showing._Showing
    showing.stop()


def name_in(address: str) -> str:
    (name,) = parse_qs(urlsplit(address).query)["model"]
    return name


def asked() -> tuple[RemoteEngine, str, str]:
    """The engine as the app reaches it, with the address and the token that it was given."""
    env = showing._running[0]._process.env  # type: ignore[attr-defined]
    url, token = env["RESNET_VIZ_SHOWN_URL"], env["RESNET_VIZ_SHOWN_TOKEN"]
    return RemoteEngine(url, token), url, token


def listed(url: str, token: str) -> tuple[ShownNetwork, ...]:
    request = urllib.request.Request(url + SHOWN, headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
        found: tuple[ShownNetwork, ...] = decode(answer.read(), CATALOGUE, MOST_ANSWER_BYTES)
        return found


class TestDescription:
    def test_says_what_the_app_must_know(self, own: Net) -> None:
        found = shown_network(own, "shown/My-network", "shown/My-network#0")
        assert found.preprocessing == SMALL
        assert found.labels == own.labels
        assert found.blocks == tuple(own.blocks)
        assert [part.name for part in found.parts] == ["stem", *own.blocks, "head"]
        assert (found.info.source, found.info.here, found.info.blocks) == ("module", True, 2)
        assert "classes are numbered" in found.info.note
        assert sum(part.parameters for part in found.parts) == found.info.params

    def test_travels(self, own: Net) -> None:
        found = (shown_network(own, "shown/a", "shown/a#0"),)
        assert decode(encode(found), CATALOGUE, MOST_ANSWER_BYTES) == found


@pytest.mark.usefixtures("program")
class TestProgram:
    def test_names_are_kept_and_the_latest_is_first(self, own: Net) -> None:
        other = rv.from_module(Blocks(Shared()), preprocessing=SMALL, name="My network")
        first, second = rv.show(own), rv.show(other)
        assert [name_in(first), name_in(second)] == ["shown/My-network", "shown/My-network-2"]
        _, url, token = asked()
        assert [each.info.name for each in listed(url, token)] == ["shown/My-network-2", "shown/My-network"]
        assert rv.show(own) == first
        assert [each.info.name for each in listed(url, token)] == ["shown/My-network", "shown/My-network-2"]

    def test_answers_are_of_the_network_as_it_is_when_it_is_shown(self, picture: bytes) -> None:
        module = Blocks(Shared(), Shared()).train()
        before = {name: values.clone() for name, values in module.state_dict().items()}
        rv.show(net := rv.from_module(module, preprocessing=SMALL))
        engine, url, token = asked()

        def logits() -> np.ndarray:
            (known,) = listed(url, token)
            job = Job("ablation", known.key, digest(picture), data=picture)
            found = engine.submit(job, "a").answer().logits
            assert isinstance(found, np.ndarray)
            return found

        image = rv.open_image(picture)
        first = logits()
        assert np.array_equal(first, rv.ablate(net, image, {}).logits)
        assert all(torch.equal(values, before[name]) for name, values in module.state_dict().items())
        assert module.training
        with torch.no_grad():
            next(module.parameters()).mul_(2)
        rv.show(net)
        second = logits()
        assert not np.array_equal(first, second)
        assert np.array_equal(second, rv.ablate(net, image, {}).logits)
        engine.close()

    def test_a_network_that_is_not_shown_any_more(self, own: Net, picture: bytes) -> None:
        rv.show(own)
        engine, _, _ = asked()
        with pytest.raises((WeightsError, EngineError), match=r"no longer shown\. Show it again"):
            engine.submit(Job("ablation", "shown/other#0", digest(picture), data=picture), "a").answer()
        engine.close()

    def test_strangers_learn_nothing(self, own: Net) -> None:
        rv.show(own)
        _, url, _ = asked()
        for token in ("", "guess"):
            with pytest.raises(URLError, match="401"):
                listed(url, token)

    def test_a_module_is_opened(self) -> None:
        module = Blocks(Shared())
        assert name_in(rv.show(module)) == name_in(rv.show(module)) == "shown/Blocks"

    def test_no_residual_additions(self) -> None:
        with pytest.raises(ValueError, match="has no residual additions"):
            rv.show(nn.Sequential(nn.Conv2d(3, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
        assert not showing._running

    def test_stopping_ends_everything_and_it_can_be_started_again(self, own: Net) -> None:
        address = rv.show(own)
        _, url, token = asked()
        address.stop()
        with pytest.raises(OSError, match="refused"):
            listed(url, token)
        address.stop()
        assert name_in(rv.show(own)) == "shown/My-network"

    def test_an_app_that_ended_is_started_anew(self, own: Net) -> None:
        rv.show(own)
        _, url, _ = asked()
        showing._running[0]._process.terminate()
        rv.show(own)
        assert asked()[1] != url


def test_an_app_that_does_not_start_shows_its_last_output(own: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "_command", lambda _: [sys.executable, "-c", "raise SystemExit('no such thing')"])
    with pytest.raises(RuntimeError, match=r"^The app ended while it started\. Its last output: no such thing$"):
        rv.show(own)
    assert not showing._running


def test_the_app_ends_with_a_program_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, signal\nimport resnet_viz as rv\nfrom resnet_viz.nets.cifar import CifarResNet\n"
        "print(rv.show(CifarResNet(8)), flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, str(script)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, timeout=280)  # noqa: S603 - our own
    address = done.stdout.strip()
    assert address.startswith("http://127.0.0.1:")
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()  # noqa: S310 - our own server
        except OSError:
            break
        assert time.monotonic() < deadline, "the app lives on"
        time.sleep(0.3)
