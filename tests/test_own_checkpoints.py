"""Checkpoints in the app: private to a session, bounded, and gone with it."""

import gc
import importlib
import sys
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from safetensors.torch import save

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
    """Go on as the person whose session this is, with the browser's cookie."""
    cookies = {"_streamlit_xsrf": browser} if browser else {}
    module.sessions.st = SimpleNamespace(session_state=session, context=SimpleNamespace(cookies=cookies))


def wait_for(met: Callable[[], bool]) -> None:
    for _ in range(200):
        if met():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen within two seconds")


def file(seed: int, depth: int = 8) -> bytes:
    return save(CifarResNet(depth, "B", seed=seed).state_dict())


def test_a_checkpoint_is_described_like_any_network(checkpoints: ModuleType) -> None:
    name = checkpoints.add(file(0), "/home/me/mine.pth")
    info = checkpoints.own()[name].info
    assert (info.title, info.task, info.depth, info.blocks, info.source) == (
        "Your CIFAR ResNet-8 B", "10 classes", 8, 3, "checkpoint"
    )  # fmt: skip
    assert info.note == "your file mine.pth"
    assert info.params == sum(p.numel() for p in CifarResNet(8, "B").parameters())


def test_a_session_holds_two_and_lets_the_oldest_go(checkpoints: ModuleType) -> None:
    first, second, third = (checkpoints.add(file(seed), f"{seed}.pth") for seed in range(3))
    assert list(checkpoints.own()) == [second, third]
    assert first not in checkpoints.own()


def test_a_reload_keeps_the_checkpoint_for_the_same_browser_alone(checkpoints: ModuleType) -> None:
    before: dict[str, object] = {}
    enter(checkpoints, before, "a")
    name = checkpoints.add(file(0), "mine.pth")
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
    checkpoints.add(file(0), "a.pth")
    checkpoints.add(file(0), "b.pth")
    assert [own.file for own in checkpoints.own().values()] == ["b.pth"]


def test_a_full_server_says_so_and_what_was_held_stays(checkpoints: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    name = checkpoints.add(file(0), "a.pth")
    monkeypatch.setattr(checkpoints, "MOST_BYTES", checkpoints.own()[name].checkpoint.nbytes + 1)
    with pytest.raises(rv.CheckpointError, match="memory for checkpoints is full"):
        checkpoints.add(file(1), "b.pth")
    assert list(checkpoints.own()) == [name]


def test_other_sessions_count_until_they_end(checkpoints: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs: dict[str, object] = {}
    enter(checkpoints, theirs)
    name = checkpoints.add(file(0), "theirs.pth")
    monkeypatch.setattr(checkpoints, "MOST_BYTES", checkpoints.own()[name].checkpoint.nbytes + 1)
    held = weakref.ref(checkpoints.own()[name].net.module)
    enter(checkpoints, {})
    assert name not in checkpoints.own()
    with pytest.raises(rv.CheckpointError):
        checkpoints.add(file(1), "mine.pth")
    monkeypatch.setenv("RESNET_VIZ_SESSION_GRACE_S", "0")
    checkpoints.sessions.gone(theirs["session"])
    wait_for(lambda: not gc.collect() and held() is None)
    assert checkpoints.add(file(1), "mine.pth") in checkpoints.own()


def test_settings_make_the_network_anew_and_wrong_ones_change_nothing(checkpoints: ModuleType) -> None:
    name = checkpoints.add(file(0), "a.pth")
    before = checkpoints.own()[name]
    preprocessing = rv.Preprocessing(48, 40, (0.5, 0.5, 0.5), (1, 1, 1))
    with pytest.raises(rv.CheckpointError, match="1 labels were given"):
        checkpoints.configure(name, ["one"], preprocessing, "as saved")
    assert checkpoints.own()[name] is before
    checkpoints.configure(name, [f"name {i}" for i in range(10)], preprocessing, "as saved")
    net = checkpoints.own()[name].net
    assert net.preprocessing == preprocessing
    assert net.labels[3] == "name 3"
    assert net.title == before.net.title


def test_every_network_made_of_a_checkpoint_is_told_from_all_others(checkpoints: ModuleType) -> None:
    name = checkpoints.add(file(0), "a.pth")
    first = checkpoints.own()[name].revision
    mine = checkpoints.own()[name].net
    checkpoints.configure(name, mine.labels, rv.Preprocessing(48, 40, (0.5, 0.5, 0.5), (1, 1, 1)), "as saved")
    second = checkpoints.own()[name].revision
    enter(checkpoints, {})
    checkpoints.add(file(0), "a.pth")
    assert len({first, second, checkpoints.own()[name].revision}) == 3
