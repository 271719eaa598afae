"""Checkpoints in the app: private to a browser, bounded, and removed with its last session."""

import gc
import importlib
import io
import sys
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from safetensors.torch import save
from streamlit.web.server.starlette.starlette_app_utils import generate_xsrf_token_string

import app
import resnet_viz as rv
from resnet_viz.nets.cifar import CifarResNet

ROOT = Path(__file__).parents[1]


@pytest.fixture
def checkpoints(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for name in ("checkpoints", "sessions"):
        monkeypatch.delitem(sys.modules, f"app.{name}", raising=False)
        monkeypatch.delattr(app, name, raising=False)
    module = importlib.import_module("app.checkpoints")
    enter(module, {})
    return module


def enter(module: ModuleType, session: dict[str, object], browser: str = "") -> None:
    """Continue as the person with this session, with the browser's secret under a mask that nobody has seen before."""
    secret = browser.encode().ljust(16, b"-")
    cookies = {"_streamlit_xsrf": generate_xsrf_token_string(secret)} if browser else {}
    module.sessions.st = SimpleNamespace(session_state=session, context=SimpleNamespace(cookies=cookies))


def wait_for(met: Callable[[], bool]) -> None:
    for _ in range(200):
        if met():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen within two seconds")


def decide(module: ModuleType) -> str:
    """Let the file that waits be decided on, as the page does by a job of the engine."""
    waiting = module.pending()
    return module.decided(waiting, waiting.checkpoint.decide())


def add(module: ModuleType, data: bytes, name: str) -> str:
    """Bring a file, and choose the usual one of the networks that fit it if nothing else decides."""
    module.read(data, name)
    return decide(module) or module.choose(module.pending().candidates[0])


def file(seed: int, depth: int = 8) -> bytes:
    return save(CifarResNet(depth, "B", seed=seed).state_dict())


def doubtful(seed: int) -> dict[str, torch.Tensor]:
    """The weights of a network whose norms hold no statistics: several networks fit them, and nothing tells which."""
    return {name: value for name, value in CifarResNet(8, "B", seed=seed).state_dict().items() if "running" not in name}


def test_a_checkpoint_is_described_like_any_network(checkpoints: ModuleType) -> None:
    name = add(checkpoints, file(0), "/home/me/mine.pth")
    info = checkpoints.own()[name].info
    assert (info.title, info.task, info.depth, info.blocks, info.source) == (
        "Your CIFAR ResNet-8 B", "10 classes", 8, 3, "checkpoint"
    )  # fmt: skip
    assert info.note == "your file mine.pth"
    assert info.params == sum(p.numel() for p in CifarResNet(8, "B").parameters())


def test_a_session_holds_two_and_lets_the_oldest_go(checkpoints: ModuleType) -> None:
    first, second, third = (add(checkpoints, file(seed), f"{seed}.pth") for seed in range(3))
    assert list(checkpoints.own()) == [second, third]
    assert first not in checkpoints.own()


def test_a_reload_keeps_the_checkpoint_for_the_same_browser_alone(checkpoints: ModuleType) -> None:
    before: dict[str, object] = {}
    enter(checkpoints, before, "a")
    name = add(checkpoints, file(0), "mine.pth")
    revision = checkpoints.own()[name].revision
    for other in ("b", ""):
        enter(checkpoints, {}, other)
        assert checkpoints.own() == {}
    enter(checkpoints, {}, "a")
    assert checkpoints.own()[name].file == "mine.pth"
    assert checkpoints.own()[name].revision != revision
    checkpoints.forget(name)
    enter(checkpoints, before, "a")
    assert checkpoints.own() == {}


def test_the_same_file_is_held_once(checkpoints: ModuleType) -> None:
    add(checkpoints, file(0), "a.pth")
    add(checkpoints, file(0), "b.pth")
    assert [own.file for own in checkpoints.own().values()] == ["b.pth"]


def test_a_full_server_says_so_and_what_was_held_stays(checkpoints: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    name = add(checkpoints, file(0), "a.pth")
    monkeypatch.setattr(checkpoints, "MOST_BYTES", checkpoints.own()[name].checkpoint.nbytes + 1)
    with pytest.raises(rv.CheckpointError, match="memory for checkpoints is full"):
        add(checkpoints, file(1), "b.pth")
    assert list(checkpoints.own()) == [name]


def test_other_sessions_count_until_they_end(checkpoints: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs: dict[str, object] = {}
    enter(checkpoints, theirs)
    name = add(checkpoints, file(0), "theirs.pth")
    monkeypatch.setattr(checkpoints, "MOST_BYTES", checkpoints.own()[name].checkpoint.nbytes + 1)
    held = weakref.ref(checkpoints.own()[name].net.module)
    enter(checkpoints, {})
    assert name not in checkpoints.own()
    with pytest.raises(rv.CheckpointError):
        add(checkpoints, file(1), "mine.pth")
    monkeypatch.setenv("RESNET_VIZ_SESSION_GRACE_S", "0")
    checkpoints.sessions.gone(theirs["session"])
    wait_for(lambda: not gc.collect() and held() is None)
    assert add(checkpoints, file(1), "mine.pth") in checkpoints.own()


def test_settings_make_the_network_anew_and_wrong_ones_change_nothing(checkpoints: ModuleType) -> None:
    name = add(checkpoints, file(0), "a.pth")
    before = checkpoints.own()[name]
    preprocessing = rv.Preprocessing(48, 40, (0.5, 0.5, 0.5), (1, 1, 1))
    with pytest.raises(rv.CheckpointError, match="1 label does not fit"):
        checkpoints.configure(name, ["one"], preprocessing, "CIFAR ResNet-8 B")
    assert checkpoints.own()[name] is before
    checkpoints.configure(name, [f"name {i}" for i in range(10)], preprocessing, "CIFAR ResNet-8 B")
    net = checkpoints.own()[name].net
    assert net.preprocessing == preprocessing
    assert net.labels[3] == "name 3"
    assert net.head == "softmax"
    checkpoints.configure(name, net.labels, preprocessing, "CIFAR ResNet-8 B", "sigmoid")
    assert checkpoints.own()[name].net.head == "sigmoid"
    assert net.title == before.net.title


def test_every_network_made_of_a_checkpoint_is_told_from_all_others(checkpoints: ModuleType) -> None:
    name = add(checkpoints, file(0), "a.pth")
    first = checkpoints.own()[name].revision
    mine = checkpoints.own()[name].net
    checkpoints.configure(name, mine.labels, rv.Preprocessing(48, 40, (0.5, 0.5, 0.5), (1, 1, 1)), "CIFAR ResNet-8 B")
    second = checkpoints.own()[name].revision
    enter(checkpoints, {})
    add(checkpoints, file(0), "a.pth")
    assert len({first, second, checkpoints.own()[name].revision}) == 3


def test_a_file_that_several_networks_fit_waits_for_a_choice(checkpoints: ModuleType) -> None:
    checkpoints.read(save(doubtful(0)), "a.pth")
    assert checkpoints.pending().candidates == ()
    assert decide(checkpoints) == ""
    waiting = checkpoints.pending()
    assert "no statistics of training images" in waiting.sentence
    chosen = waiting.candidates[1]
    assert not checkpoints.own()
    name = checkpoints.choose(chosen)
    assert checkpoints.pending() is None
    assert checkpoints.own()[name].architecture == chosen
    assert "chosen by hand" in checkpoints.own()[name].net.weights.note


def test_who_does_not_wait_chooses_between_all_networks_that_fit(checkpoints: ModuleType) -> None:
    checkpoints.read(file(0), "a.pth")
    checkpoints.skip_deciding(checkpoints.pending())
    waiting = checkpoints.pending()
    assert waiting.candidates[0] == "CIFAR ResNet-8 B"
    assert "CIFAR ResNet-8 B, GELU" in waiting.candidates
    name = checkpoints.choose("CIFAR ResNet-8 B, GELU")
    assert checkpoints.own()[name].architecture == "CIFAR ResNet-8 B, GELU"


@pytest.mark.parametrize("decided", [False, True])
def test_a_reload_keeps_the_file_that_waits(checkpoints: ModuleType, decided: bool) -> None:  # noqa: FBT001 - a parameter
    enter(checkpoints, {}, "a")
    checkpoints.read(save(doubtful(0)), "a.pth")
    if decided:
        decide(checkpoints)
    waiting = checkpoints.pending()
    for other in ("b", ""):
        enter(checkpoints, {}, other)
        assert checkpoints.pending() is None
    enter(checkpoints, {}, "a")
    assert checkpoints.pending() is waiting
    checkpoints.cancel()
    enter(checkpoints, {}, "a")
    assert checkpoints.pending() is None


def test_a_choice_can_be_cancelled_and_ends_with_the_next_file(checkpoints: ModuleType) -> None:
    checkpoints.read(save(doubtful(0)), "a.pth")
    checkpoints.cancel()
    assert checkpoints.pending() is None
    checkpoints.read(save(doubtful(0)), "a.pth")
    with pytest.raises(rv.CheckpointError):
        checkpoints.read(b"nothing", "b.pth")
    assert checkpoints.pending() is None


def test_a_file_that_waits_counts_to_the_memory_once(checkpoints: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints.read(save(doubtful(0)), "a.pth")
    nbytes = checkpoints.pending().checkpoint.nbytes
    monkeypatch.setattr(checkpoints, "MOST_BYTES", nbytes + 1)
    decide(checkpoints)
    assert checkpoints.choose(checkpoints.pending().candidates[0]) in checkpoints.own()
    enter(checkpoints, {})
    with pytest.raises(rv.CheckpointError, match="memory for checkpoints is full"):
        checkpoints.read(save(doubtful(1)), "b.pth")
    assert checkpoints.pending() is None


def test_of_several_networks_in_a_file_one_is_chosen(checkpoints: ModuleType) -> None:
    buffer = io.BytesIO()
    torch.save({key: doubtful(seed) for seed, key in enumerate(("teacher", "student"))}, buffer)
    with pytest.raises(rv.CheckpointError, match="holds 2 networks"):
        checkpoints.read(buffer.getvalue(), "both.pth")
    assert set(checkpoints.pending().candidates) == {"teacher", "student"}
    assert checkpoints.choose("student") == ""
    assert decide(checkpoints) == ""
    name = checkpoints.choose(checkpoints.pending().candidates[0])
    assert "taken from student" in checkpoints.own()[name].net.weights.note
