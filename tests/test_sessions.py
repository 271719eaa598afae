"""A session ends some time after its browser has gone, unless it comes back."""

import importlib
import sys
import time
from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import pytest


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.delitem(sys.modules, "app.sessions", raising=False)
    monkeypatch.setenv("RESNET_VIZ_SESSION_GRACE_S", "0.1")
    return importlib.import_module("app.sessions")


@pytest.fixture
def ended(sessions: ModuleType) -> list[str]:
    names: list[str] = []
    sessions.at_end(names.append)
    return names


def until(met: Callable[[], bool]) -> None:
    for _ in range(200):
        if met():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen within two seconds")


def test_every_session_has_a_name_of_its_own_that_stays(sessions: ModuleType) -> None:
    names = []
    for _ in range(2):
        sessions.st = SimpleNamespace(session_state={})  # type: ignore[attr-defined]
        names.append(sessions.name())
        assert sessions.name() == names[-1]
    assert names[0] != names[1]


def test_whoever_stays_away_has_left(sessions: ModuleType, ended: list[str]) -> None:
    sessions.gone("ann")
    assert ended == []
    until(lambda: ended == ["ann"])


def test_whoever_comes_back_in_time_has_lost_nothing(sessions: ModuleType, ended: list[str]) -> None:
    sessions.gone("ann")
    sessions.present("ann")
    sessions.gone("bob")
    until(lambda: ended == ["bob"])


def test_leaving_twice_is_leaving_once_and_later(sessions: ModuleType, ended: list[str]) -> None:
    sessions.gone("ann")
    time.sleep(0.07)
    sessions.gone("ann")
    time.sleep(0.07)
    assert ended == []
    until(lambda: ended == ["ann"])
    time.sleep(0.15)
    assert ended == ["ann"]
