"""Official weights: downloaded completely over a real connection or not at all, checked before use, never twice at once."""

import errno
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest
import torch
import torchvision
from PIL import Image
from torch import nn
from torchvision.models import WeightsEnum

from resnet_viz.nets import imagenet, official, zoo
from resnet_viz.nets.net import WeightsError
from resnet_viz.nets.official import best_weights, fetch, load_official, weights_file, weights_size, weights_url
from tests.weights_server import Reply, WeightsServer, publish, saved, weights_server

CONTENT = os.urandom(1_500_000)
SHORT = 0.3


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for weights, which does not exist yet."""
    path = tmp_path / "weights"
    monkeypatch.setenv("RESNET_VIZ_WEIGHTS_DIR", str(path))
    monkeypatch.delenv("RESNET_VIZ_WEIGHTS_URL", raising=False)
    return path


@pytest.fixture
def server() -> Iterator[WeightsServer]:
    with weights_server() as running:
        running.reply = Reply(CONTENT)
        yield running


@pytest.fixture
def weights(folder: Path, server: WeightsServer, monkeypatch: pytest.MonkeyPatch) -> WeightsEnum:
    """Official weights, CONTENT, on the `server` but not in the `folder`."""
    assert not folder.exists()
    return publish(monkeypatch, CONTENT, server.url)


def left_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def sentence_of(weights: WeightsEnum, timeout: float = 20) -> str:
    """The message of a failed download, without its common beginning."""
    with pytest.raises(WeightsError) as raised:
        fetch(weights, timeout=timeout)
    beginning = f"{weights_file(weights).name} could not be downloaded: "
    assert str(raised.value).startswith(beginning)
    return str(raised.value).removeprefix(beginning)


class TestAddresses:
    @pytest.mark.parametrize("name", imagenet.ARCHITECTURES)
    def test_every_name_carries_a_hash(self, name: str) -> None:
        assert len(official._promised_hash(weights_file(best_weights(name)))) == 8
        assert int(official._promised_hash(weights_file(best_weights(name))), 16)

    def test_sizes_are_bytes(self) -> None:
        assert weights_size(best_weights("resnet50")) == int(97.79 * 2**20)

    def test_torchvisions_own_address(self, folder: Path) -> None:
        assert weights_url(best_weights("resnet50")) == "https://download.pytorch.org/models/resnet50-11ad3fa6.pth"
        assert weights_file(best_weights("resnet50")) == folder / "resnet50-11ad3fa6.pth"

    @pytest.mark.parametrize("mirror", ["https://school.example/weights", "https://school.example/weights/"])
    def test_a_mirror_has_the_same_names(self, mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RESNET_VIZ_WEIGHTS_URL", mirror)
        assert weights_url(best_weights("resnet50")) == "https://school.example/weights/resnet50-11ad3fa6.pth"

    def test_an_empty_variable_names_no_mirror(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RESNET_VIZ_WEIGHTS_URL", "")
        assert weights_url(best_weights("resnet18")).startswith("https://download.pytorch.org/")

    @pytest.mark.parametrize("mirror", ["file:///etc", "school.example", "ftp://school.example"])
    def test_a_mirror_is_on_the_web(
        self, mirror: str, weights: WeightsEnum, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RESNET_VIZ_WEIGHTS_URL", mirror)
        with pytest.raises(WeightsError, match=f"^RESNET_VIZ_WEIGHTS_URL='{mirror}' is not a web address: write one that"):
            fetch(weights)
        assert not folder.exists()


class TestSuccess:
    def test_the_file_comes_whole(self, weights: WeightsEnum, server: WeightsServer, folder: Path) -> None:
        steps: list[tuple[int, int]] = []
        file = fetch(weights, lambda done, total: steps.append((done, total)))
        assert file == folder / f"resnet18-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth"
        assert file.read_bytes() == CONTENT
        assert left_in(folder) == [file.name]
        assert server.asked == [f"/{file.name}"]
        assert steps[0] == (0, len(CONTENT))
        assert steps[-1] == (len(CONTENT), len(CONTENT))
        assert steps == sorted(steps)
        assert len(steps) > 5

    def test_others_on_the_machine_can_read_it(self, weights: WeightsEnum, tmp_path: Path) -> None:
        ordinary = tmp_path / "ordinary"
        ordinary.touch()
        assert fetch(weights).stat().st_mode == ordinary.stat().st_mode

    def test_without_a_promised_length(self, weights: WeightsEnum, server: WeightsServer) -> None:
        server.reply = Reply(CONTENT, length=None)
        steps: list[tuple[int, int]] = []
        assert fetch(weights, lambda done, total: steps.append((done, total))).read_bytes() == CONTENT
        assert steps[-1] == (len(CONTENT), len(CONTENT))

    def test_from_a_mirror(self, weights: WeightsEnum, server: WeightsServer, monkeypatch: pytest.MonkeyPatch) -> None:
        with weights_server() as mirror:
            mirror.reply = Reply(CONTENT)
            monkeypatch.setenv("RESNET_VIZ_WEIGHTS_URL", f"{mirror.url}/resnets/")
            file = fetch(weights)
            assert mirror.asked == [f"/resnets/{file.name}"]
        assert not server.asked

    def test_a_file_that_is_here_is_not_fetched(self, weights: WeightsEnum, server: WeightsServer, folder: Path) -> None:
        folder.mkdir()
        weights_file(weights).write_bytes(CONTENT)
        assert fetch(weights) == weights_file(weights)
        assert not server.asked

    def test_a_damaged_file_is_replaced(self, weights: WeightsEnum, folder: Path) -> None:
        folder.mkdir()
        weights_file(weights).write_bytes(CONTENT[:-1])
        assert fetch(weights).read_bytes() == CONTENT
        assert len(left_in(folder)) == 1

    def test_load_fetches_by_itself(
        self,
        folder: Path,
        server: WeightsServer,
        shake: Callable[[nn.Module, int], nn.Module],
        make_image: Callable[..., Image.Image],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        stock = shake(torchvision.models.resnet18(weights=None), 3).eval()
        server.reply = Reply(saved(stock.state_dict()))
        made = publish(monkeypatch, server.reply.body, server.url)
        assert not zoo._imagenet_info("resnet18").here
        net = zoo.load("resnet18", device="cpu")
        x = made.transforms()(make_image(90, 70)).unsqueeze(0)
        with torch.inference_mode():
            assert torch.equal(net.module(net.preprocess(make_image(90, 70))), stock(x))
        assert zoo._imagenet_info("resnet18").here
        zoo.load("resnet18", device="cpu")
        assert len(server.asked) == 1
        assert left_in(folder) == [weights_file(made).name]


class TestFailure:
    @pytest.fixture(autouse=True)
    def nothing_is_left(self, folder: Path) -> Iterator[None]:
        yield
        assert left_in(folder) == []

    @pytest.mark.parametrize("stop_after", [0, 700_000, 1_499_999])
    def test_a_cut_connection(self, stop_after: int, weights: WeightsEnum, server: WeightsServer) -> None:
        server.reply = Reply(CONTENT, stop_after=stop_after)
        assert sentence_of(weights) == f"the connection was interrupted after {stop_after / 1e6:.0f} of 2 MB. Try again."

    def test_the_next_try_starts_anew(self, weights: WeightsEnum, server: WeightsServer) -> None:
        server.reply = Reply(CONTENT, stop_after=1000)
        sentence_of(weights)
        server.reply = Reply(CONTENT)
        file = fetch(weights)
        assert file.read_bytes() == CONTENT
        file.unlink()

    @pytest.mark.parametrize("status", [403, 404, 500, 503])
    def test_the_host_says_no(self, status: int, weights: WeightsEnum, server: WeightsServer) -> None:
        server.reply = Reply(b"<html>sorry</html>", status=status)
        sentence = sentence_of(weights)
        assert sentence.startswith(f"127.0.0.1:{server.server_address[1]} answered {status} ")
        assert sentence.endswith("Try again later, or copy the file into the folder that RESNET_VIZ_WEIGHTS_DIR names.")

    @pytest.mark.parametrize(
        ("reply", "begins"),
        [
            (Reply(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])), CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])),
            (Reply(b"<html>Please log in to this network</html>"), b"<html>Please log in to this network</html>"),
            (Reply(b""), b""),
            (Reply(CONTENT, length=1000), CONTENT[:1000]),
            (Reply(CONTENT * 4, length=None), CONTENT * 2),
        ],
        ids=["a bit wrong", "a web page", "nothing", "less promised than there is", "endless"],
    )
    def test_something_else(self, reply: Reply, begins: bytes, weights: WeightsEnum, server: WeightsServer) -> None:
        server.reply = reply
        sentence = sentence_of(weights)
        assert "sent a different file, which was discarded" in sentence
        digest, promised = hashlib.sha256(begins).hexdigest()[:8], hashlib.sha256(CONTENT).hexdigest()[:8]
        assert f"begins with {digest}, not {promised}" in sentence

    def test_more_promised_than_there_is(self, weights: WeightsEnum, server: WeightsServer) -> None:
        server.reply = Reply(CONTENT, length=len(CONTENT) + 1_000_000)
        assert sentence_of(weights) == "the connection was interrupted after 2 of 2 MB. Try again."

    def test_silence_in_the_middle(self, weights: WeightsEnum, server: WeightsServer) -> None:
        server.reply = Reply(CONTENT, stop_after=1_000_000, then="wait")
        assert sentence_of(weights, SHORT).endswith("stopped sending after 1 of 2 MB. Check the network and try again.")

    def test_silence_from_the_beginning(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            weights = publish(monkeypatch, CONTENT, f"http://127.0.0.1:{deaf.getsockname()[1]}")
            assert "cannot be reached (no answer within 0.3 seconds)" in sentence_of(weights, SHORT)
        assert not folder.exists()

    def test_nobody_there(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        sentence = sentence_of(publish(monkeypatch, CONTENT, f"http://127.0.0.1:{port}"))
        assert sentence.startswith(f"127.0.0.1:{port} cannot be reached (")
        assert "Check the network and try again, or copy the file into the folder" in sentence
        assert not folder.exists()

    def test_no_web_server(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:

            def greet() -> None:
                connection, _ = other.accept()
                with connection:
                    connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

            thread = threading.Thread(target=greet)
            thread.start()
            weights = publish(monkeypatch, CONTENT, f"http://127.0.0.1:{other.getsockname()[1]}")
            assert "cannot be reached (" in sentence_of(weights)
            thread.join()
        assert not folder.exists()

    def test_a_disk_that_is_too_small(self, weights: WeightsEnum, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_400_000))
        with pytest.raises(WeightsError) as raised:
            fetch(weights)
        assert str(raised.value) == (
            f"There is not enough space for {weights_file(weights).name} in {folder}: it needs 2 MB and 1 MB are free."
            " Free some space, or name another folder in RESNET_VIZ_WEIGHTS_DIR."
        )

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
    def test_a_disk_that_fills_up(self, weights: WeightsEnum, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        real = Path.open

        def full(path: Path, mode: str = "r", **options: Any) -> IO[Any]:
            opened = real(path, mode, **options)
            if path.suffix != ".part":
                return opened
            opened.close()
            return real(Path("/dev/full"), "wb")

        monkeypatch.setattr(Path, "open", full)
        with pytest.raises(WeightsError, match=f"cannot be written into {folder} \\({os.strerror(errno.ENOSPC)}\\)"):
            fetch(weights)

    def test_a_folder_that_cannot_be(self, weights: WeightsEnum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "notes.txt").touch()
        monkeypatch.setenv("RESNET_VIZ_WEIGHTS_DIR", str(tmp_path / "notes.txt" / "weights"))
        with pytest.raises(WeightsError, match=r"cannot be written into .*make the folder writable"):
            fetch(weights)

    @pytest.mark.parametrize("error", [InterruptedError, KeyboardInterrupt, RuntimeError])
    @pytest.mark.parametrize("after", [0, 1_000_000, len(CONTENT)])
    def test_cancel(self, error: type[BaseException], after: int, weights: WeightsEnum, server: WeightsServer) -> None:
        server.reply = Reply(CONTENT, pause=0.001)

        def cancel(done: int, _: int) -> None:
            if done >= after:
                raise error

        with pytest.raises(error):
            fetch(weights, cancel)

    def test_the_end_of_the_program_stops_a_background_thread(
        self, weights: WeightsEnum, server: WeightsServer, folder: Path
    ) -> None:
        server.reply = Reply(CONTENT, stop_after=1_000_000, then="wait")
        code = f"""if True:
            import pathlib, threading, time
            from resnet_viz.nets.download import WantedFile, download
            target = pathlib.Path({str(folder)!r}) / "file.pth"
            wanted = WantedFile({weights.url!r}, target, "00", {len(CONTENT)})
            threading.Thread(target=download, args=(wanted,), daemon=True).start()
            while not list(target.parent.glob("*.part")):
                time.sleep(0.05)
            print("half")
        """
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)  # noqa: S603
        assert done.stdout == "half\n"


class TestAbandoned:
    def test_what_a_killed_program_left_is_removed(self, weights: WeightsEnum, folder: Path) -> None:
        folder.mkdir()
        file = weights_file(weights)
        old, young, other = (folder / name for name in (f"{file.name}.a.part", f"{file.name}.b.part", "mine.part"))
        for path in (old, young, other):
            path.touch()
        for path in (old, other):
            os.utime(path, (time.time() - 7200,) * 2)
        fetch(weights)
        assert sorted(left_in(folder)) == sorted([file.name, young.name, other.name])


class TestAtOnce:
    def test_two_threads_share_one_download(self, weights: WeightsEnum, server: WeightsServer, folder: Path) -> None:
        server.reply = Reply(CONTENT, pause=0.01)
        files: list[Path] = []
        threads = [threading.Thread(target=lambda: files.append(fetch(weights))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert files == [weights_file(weights)] * 4
        assert len(server.asked) == 1
        assert left_in(folder) == [files[0].name]

    def test_who_waits_for_another_can_cancel(self, weights: WeightsEnum, server: WeightsServer) -> None:
        server.reply = Reply(CONTENT, stop_after=1000, then="wait")
        first = threading.Thread(target=fetch, args=(weights,))
        first.start()
        while not server.asked:
            time.sleep(0.01)

        def cancel(_done: int, _total: int) -> None:
            raise InterruptedError

        with pytest.raises(InterruptedError):
            fetch(weights, cancel)
        assert first.is_alive()
        server.released.set()
        first.join()


class TestLoad:
    @pytest.fixture
    def trained(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> WeightsEnum:
        """Weights of a ResNet-18 for 10 classes that are in the folder, at an address where nobody is."""
        made = publish(monkeypatch, saved(imagenet.build("resnet18", 10, seed=1).state_dict()))
        folder.mkdir()
        return made

    def load(self, weights: WeightsEnum) -> nn.Module:
        module = imagenet.skeleton("resnet18", 10)
        load_official(module, weights, "ResNet-18")
        return module

    @pytest.fixture
    def hashed(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The files that are hashed."""
        names: list[str] = []
        real = hashlib.file_digest

        def recorded(content: Any, kind: str) -> Any:
            names.append(Path(content.name).name)
            return real(content, kind)

        monkeypatch.setattr(hashlib, "file_digest", recorded)
        return names

    def test_a_file_is_hashed_once_and_again_when_it_changes(self, trained: WeightsEnum, hashed: list[str]) -> None:
        file = weights_file(trained)
        content = saved(imagenet.build("resnet18", 10, seed=1).state_dict())
        file.write_bytes(content)
        for _ in range(3):
            assert self.load(trained).state_dict()["fc.weight"].shape == (10, 512)
        assert hashed == [file.name]
        with file.open("r+b") as same:
            same.seek(1000)
            same.write(b"????")
        with pytest.raises(WeightsError, match="is damaged"):
            self.load(trained)
        assert hashed == [file.name] * 2

    @pytest.mark.parametrize("content", [b"", b"<html>", CONTENT], ids=["empty", "a web page", "noise"])
    def test_wrong_bytes_are_not_even_opened(
        self, content: bytes, trained: WeightsEnum, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened: list[object] = []
        monkeypatch.setattr(torch, "load", lambda *given, **_: opened.append(given))
        weights_file(trained).write_bytes(content)
        with pytest.raises(WeightsError) as raised:
            self.load(trained)
        name = weights_file(trained).name
        assert str(raised.value) == f"{name} is damaged or is not the file of ResNet-18. Remove it, and download it again."
        assert not opened

    def test_a_folder_in_the_files_place(self, trained: WeightsEnum) -> None:
        weights_file(trained).mkdir()
        with pytest.raises(WeightsError, match=r"cannot be read \(Is a directory\)"):
            self.load(trained)
