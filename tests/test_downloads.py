"""Downloads shared by everybody on a server: one thread per file, removed at the end; and the page that waits for one."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from resnet_viz.engine.downloads import Downloads, DownloadState
from resnet_viz.nets import imagenet, remote_weights
from resnet_viz.nets.official import best_weights, weights_file
from resnet_viz.nets.zoo import DEFAULT_MODEL
from tests.weights_server import Reply, WeightsServer, publish, saved, weights_server

ROOT = Path(__file__).parents[1]
CONTENT = os.urandom(1_000_000)
HALTING = Reply(CONTENT, stop_after=500_000, then="wait")


@pytest.fixture
def server() -> Iterator[WeightsServer]:
    with weights_server() as running:
        running.reply = Reply(CONTENT)
        yield running
    wait_until(lambda: not threads())


@pytest.fixture
def file(tmp_path: Path, server: WeightsServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The destination of CONTENT, which `server` has."""
    monkeypatch.setenv("RESNET_VIZ_WEIGHTS_DIR", str(tmp_path))
    return weights_file(publish(monkeypatch, CONTENT, server.url))


def wait_until(done: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("download-")]


def finished(downloads: Downloads, name: str = "resnet18") -> DownloadState:
    """How the download ended."""
    wait_until(lambda: (state := downloads.state(name)) is not None and state.finished)
    state = downloads.state(name)
    assert state is not None
    return state


def half_way(downloads: Downloads) -> bool:
    state = downloads.state("resnet18")
    return state is not None and state.done == HALTING.stop_after


def test_a_file_arrives_and_the_thread_ends(file: Path) -> None:
    downloads = Downloads()
    assert downloads.state("resnet18") is None
    downloads.start("resnet18", "Ada")
    state = finished(downloads)
    assert state == DownloadState(len(CONTENT), len(CONTENT), failure="", finished=True)
    assert file.read_bytes() == CONTENT
    wait_until(lambda: not threads())


def test_progress_can_be_followed(file: Path, server: WeightsServer) -> None:
    server.reply = HALTING
    downloads = Downloads()
    downloads.start("resnet18", "Ada")
    wait_until(lambda: half_way(downloads))
    assert downloads.state("resnet18") == DownloadState(500_000, 1_000_000)
    assert threads() == ["download-resnet18"]
    downloads.cancel("resnet18", "Ada")
    server.released.set()
    wait_until(lambda: not threads())
    assert not list(file.parent.iterdir())


def test_a_failure_is_a_sentence_and_the_next_start_tries_again(file: Path, server: WeightsServer) -> None:
    server.reply = Reply(CONTENT, stop_after=1000)
    downloads = Downloads()
    downloads.start("resnet18", "Ada")
    assert "the connection was interrupted after 0 of 1 MB. Try again." in finished(downloads).failure
    wait_until(lambda: not threads())
    assert not list(file.parent.iterdir())
    server.reply = Reply(CONTENT)
    downloads.start("resnet18", "Ada")
    assert finished(downloads).failure == ""
    assert file.exists()


# A server that got no processor for seconds is reached at the second try.
@pytest.mark.flaky(reruns=2)
def test_a_class_of_thirty_fetches_once(file: Path, server: WeightsServer) -> None:
    server.reply = Reply(CONTENT, pause=0.01)
    downloads = Downloads()
    starts = [threading.Thread(target=downloads.start, args=("resnet18", str(person))) for person in range(30)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert threads() == ["download-resnet18"]
    assert finished(downloads).failure == ""
    assert server.asked == [f"/{file.name}"]


def test_who_cancels_does_not_stop_the_others(file: Path, server: WeightsServer) -> None:
    server.reply = Reply(CONTENT, pause=0.02)
    downloads = Downloads()
    downloads.start("resnet18", "Ada")
    downloads.start("resnet18", "Emmy")
    downloads.cancel("resnet18", "Ada")
    downloads.cancel("resnet18", "a stranger")
    assert finished(downloads).failure == ""
    assert file.exists()


def test_the_last_to_cancel_stops_it(file: Path, server: WeightsServer) -> None:
    server.reply = Reply(CONTENT, pause=0.05)
    downloads = Downloads()
    for person in ("Ada", "Emmy"):
        downloads.start("resnet18", person)
    wait_until(lambda: bool(list(file.parent.iterdir())))
    for person in ("Ada", "Emmy"):
        downloads.cancel("resnet18", person)
    assert downloads.state("resnet18") is None
    wait_until(lambda: not threads())
    assert not list(file.parent.iterdir())
    downloads.cancel("resnet18", "Ada")


def test_asked_for_again_while_the_cancelled_one_still_hangs(file: Path, server: WeightsServer) -> None:
    server.reply = HALTING
    downloads = Downloads()
    downloads.start("resnet18", "Ada")
    wait_until(lambda: half_way(downloads))
    downloads.cancel("resnet18", "Ada")
    server.reply = Reply(CONTENT)
    downloads.start("resnet18", "Ada")
    assert downloads.state("resnet18") == DownloadState(0, len(CONTENT))
    server.released.set()
    assert finished(downloads).failure == ""
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("name", ["vgg16", "resnet20-cifar10", "../resnet18"])
def test_only_the_ten_networks(name: str) -> None:
    with pytest.raises(ValueError, match="has no official weights: take one of resnet18, "):
        Downloads().start(name, "Ada")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_mistake_of_ours_ends_the_wait_too(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(remote_weights, "fetch", stumble)
    downloads = Downloads()
    downloads.start("resnet18", "Ada")
    assert finished(downloads).failure.startswith("The download failed unexpectedly")
    assert not file.exists()


class TestPage:
    @pytest.fixture
    def app(self, tmp_path: Path, server: WeightsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
        """The app on a machine without official weights, and a server that has those of a ResNet-18."""
        monkeypatch.setenv("RESNET_VIZ_WEIGHTS_DIR", str(tmp_path))
        server.reply = Reply(saved(imagenet.build("resnet18", seed=1).state_dict()))
        publish(monkeypatch, server.reply.body, server.url)
        self.forget()
        yield AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60)
        self.forget()

    @staticmethod
    def forget() -> None:
        st.cache_data.clear()
        st.cache_resource.clear()

    @staticmethod
    def press(app: AppTest, label: str) -> None:
        next(button for button in app.button if button.label.startswith(label)).click().run()

    def test_the_network_asked_for_opens_when_its_weights_are_here(self, app: AppTest, server: WeightsServer) -> None:
        app.query_params.update({"model": "resnet18", "image": "coffee-photo", "block": "layer2.1"})
        app.run()
        assert app.info[0].value.replace("\\", "") == "The weights of ResNet-18 are not on this machine yet."
        assert not server.asked
        assert app.query_params["model"] == DEFAULT_MODEL
        assert app.query_params["image"] == "coffee-photo"
        self.press(app, "Download 47 MB")
        wait_until(lambda: not threads())
        app.run()
        assert not app.exception
        # The weights are random: that perhaps no class fits is all that is said.
        assert [info.value for info in app.info if "Perhaps none of the" not in info.value] == []
        assert not app.error
        assert app.query_params["model"] == "resnet18"
        assert app.query_params["image"] == "coffee-photo"
        assert app.query_params["block"] == "layer2.1"
        assert len(server.asked) == 1

    def test_weights_that_an_engine_elsewhere_would_not_find_are_not_offered(
        self, app: AppTest, server: WeightsServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        app.run()
        # The engine that this server has already goes on; only what is said of it changes.
        monkeypatch.setenv("RESNET_VIZ_ENGINE", "http://engine.example:8000")
        app.query_params["model"] = "resnet18"
        app.run()
        assert app.error[0].value.replace("\\", "").startswith("The engine does not have the weights of ResNet-18. Ask its")
        assert [button.label for button in app.button if "ResNet-18" in button.label or "Download" in button.label] == [
            "Open ResNet-18 with random weights"
        ]
        monkeypatch.setenv("RESNET_VIZ_SHARED_WEIGHTS", "1")
        app.query_params["model"] = "resnet18"
        app.run()
        self.press(app, "Download 47 MB")
        wait_until(lambda: not threads())
        assert len(server.asked) == 1

    def test_a_failure_says_why_and_can_be_tried_again(self, app: AppTest, server: WeightsServer, tmp_path: Path) -> None:
        whole = server.reply
        server.reply = Reply(whole.body, stop_after=2_000_000)
        app.query_params["model"] = "resnet18"
        app.run()
        self.press(app, "Download")
        wait_until(lambda: not threads())
        app.run()
        assert "the connection was interrupted after 2 of 47 MB" in app.error[0].value.replace("\\", "")
        assert app.query_params["model"] == DEFAULT_MODEL
        assert not list(tmp_path.iterdir())
        server.reply = whole
        self.press(app, "Try again")
        wait_until(lambda: not threads())
        app.run()
        assert not app.error
        assert app.query_params["model"] == "resnet18"

    def test_a_damaged_file_can_be_replaced(self, app: AppTest, server: WeightsServer, tmp_path: Path) -> None:
        name = weights_file(best_weights("resnet18")).name
        (tmp_path / name).write_bytes(b"<html>")
        app.query_params["model"] = "resnet18"
        app.run()
        assert f"{name} is damaged" in app.info[0].value.replace("\\", "")
        self.press(app, "Download")
        wait_until(lambda: not threads())
        app.run()
        assert app.query_params["model"] == "resnet18"
        assert (tmp_path / name).read_bytes() == server.reply.body

    def test_another_network_is_not_waited_for_any_more(self, app: AppTest, server: WeightsServer) -> None:
        app.query_params["model"] = "resnet18"
        app.run()
        self.press(app, "Download")
        app.selectbox(key="choose_model").select("resnet110-cifar10").run()
        wait_until(lambda: not threads())
        app.run()
        assert app.query_params["model"] != "resnet18"
        assert len(server.asked) == 1
