"""The catalogue: rows, names, and every way in which weights are there, missing or damaged."""

import hashlib
import http.client
import json
import urllib.error
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from resnet_viz.nets import imagenet, zoo
from resnet_viz.nets.cifar import CIFAR10_LABELS, CifarResNet
from resnet_viz.nets.families import timm
from resnet_viz.nets.families import torchvision as torchvision_families
from resnet_viz.nets.net import WeightsError
from resnet_viz.nets.official import weights_file
from resnet_viz.nets.photos import photo_network
from resnet_viz.nets.zoo import ModelInfo, list_models, load
from tests.weights_server import publish, saved

RESNET18_FILE = "resnet18-f37072fd.pth"


@pytest.fixture(autouse=True)
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of assets/weights."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setattr("resnet_viz.assets.WEIGHTS_FOLDER", folder)
    return folder


@pytest.fixture(autouse=True)
def official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for official weights, and no network."""
    folder = tmp_path / "official"
    folder.mkdir()
    monkeypatch.setenv("RESNET_VIZ_WEIGHTS_DIR", str(folder))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    refuse_downloads(monkeypatch, urllib.error.URLError("no route to host"))
    return folder


def refuse_downloads(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("resnet_viz.nets.download.urlopen", refuse)


def ship(folder: Path, name: str, module: nn.Module, accuracy: float = 0.9125) -> Path:
    """Write weights and card as the trainer does, and return the weights' path."""
    path = folder / f"{name}.safetensors"
    save_file(module.state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / f"{name}.json").write_text(json.dumps({"test_accuracy": accuracy, "sha256": digest}))
    return path


def row(name: str) -> ModelInfo:
    return next(info for info in list_models() if info.name == name)


class TestListModels:
    def test_names_every_network_once(self) -> None:
        cifar = {f"{kind.format(depth)}-cifar10" for kind in ("resnet{}", "resnet{}b", "resnet{}c", "plain{}")
                 for depth in (20, 32, 44, 56, 110)}  # fmt: skip
        names = [info.name for info in list_models() if not info.name.startswith(timm.PREFIX)]
        photos = {f"{kind}{depth}-imagenette" for kind in ("resnet", "plain") for depth in (18, 34)}
        assert set(names) == cifar | photos | set(imagenet.ARCHITECTURES) | set(torchvision_families.names())
        assert len(names) == len(set(names)) == 34 + 49

    @pytest.mark.parametrize(
        ("name", "title", "depth", "blocks", "shortcut", "params"),
        [
            ("resnet20-cifar10", "ResNet-20", 20, 9, "shortcut A", 269_722),
            ("resnet32b-cifar10", "ResNet-32 B", 32, 15, "shortcut B", 466_906),
            ("resnet44c-cifar10", "ResNet-44 C", 44, 21, "shortcut C", 695_226),
            ("plain56-cifar10", "Plain-56", 56, 27, "no shortcut", 853_018),
            ("resnet110-cifar10", "ResNet-110", 110, 54, "shortcut A", 1_727_962),
        ],
    )
    def test_rows_of_cifar_networks(self, name: str, title: str, depth: int, blocks: int, shortcut: str, params: int) -> None:
        expected = ModelInfo(
            name=name,
            title=title,
            task="CIFAR-10",
            depth=depth,
            blocks=blocks,
            shortcut=shortcut,
            params=params,
            size=4 * params,
            source="untrained",
            here=False,
            note="no trained weights yet",
            family="CIFAR-10",
        )
        assert row(name) == expected
        assert len(zoo.blueprint(name).blocks) == blocks

    def test_row_of_an_imagenet_network(self) -> None:
        expected = ModelInfo(
            name="resnet50",
            title="ResNet-50",
            task="ImageNet",
            depth=50,
            blocks=16,
            shortcut="shortcut B",
            params=25_557_032,
            # torchvision's 97.79 MB are of 2^20 bytes.
            size=int(97.79 * 2**20),
            source="official",
            here=False,
            note="ImageNet validation accuracy 80.9%",
            family="ResNet",
        )
        assert row("resnet50") == expected

    def test_those_with_trained_weights_come_first(self, shipped: Path, official: Path) -> None:
        ship(shipped, "plain32-cifar10", CifarResNet(32, "plain"))
        (official / RESNET18_FILE).touch()
        rows = list_models()
        assert [info.name for info in rows[:2]] == ["plain32-cifar10", "resnet18"]
        assert [info.here for info in rows] == [True, True] + [False] * (len(rows) - 2)
        assert (rows[0].source, rows[0].note) == ("shipped", "test accuracy 91.2%")

    def test_weights_without_a_card_are_not_there(self, shipped: Path) -> None:
        ship(shipped, "resnet20-cifar10", CifarResNet(20))
        (shipped / "resnet20-cifar10.json").unlink()
        assert not row("resnet20-cifar10").here


class TestArguments:
    @pytest.mark.parametrize("name", ["resnet19", "", "resnet20", "ResNet50", "../resnet20-cifar10"])
    def test_unknown_names(self, name: str) -> None:
        with pytest.raises(ValueError, match=f"there is no model {name!r}; rv.list_models"):
            load(name)

    @pytest.mark.parametrize("name", ["resnet20-cifar10", "resnet18"])
    @pytest.mark.parametrize("weights", ["IMAGENET1K_V1", "", "untrained"])
    def test_unknown_weights(self, name: str, weights: str) -> None:
        with pytest.raises(ValueError, match=f"weights={weights!r} is unknown"):
            load(name, weights=weights)

    def test_unknown_device(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.raises(ValueError, match="there is no cuda device"):
            load("resnet20-cifar10", weights=None, device="cuda")


class TestUntrained:
    @pytest.mark.parametrize(
        ("name", "title", "classes", "size"),
        [("resnet20b-cifar10", "ResNet-20 B", 10, 32), ("resnet18", "ResNet-18", 1000, 224)],
    )
    def test_is_labelled_so_and_ready(self, name: str, title: str, classes: int, size: int) -> None:
        net = load(name, weights=None, device="cpu", seed=7)
        assert (net.name, net.title, len(net.labels)) == (name, title, classes)
        assert (net.weights.source, net.weights.trained) == ("untrained", False)
        assert net.weights.note == "untrained: random weights, seed 7"
        assert net.preprocessing.crop == size
        assert not any(layer.training for layer in net.module.modules())
        assert not any(parameter.requires_grad for parameter in net.module.parameters())

    @pytest.mark.parametrize("name", ["plain20-cifar10", "resnet18"])
    def test_the_seed_decides(self, name: str) -> None:
        first, again, other = (load(name, weights=None, device="cpu", seed=seed).module.state_dict() for seed in (1, 1, 2))
        assert all(torch.equal(values, again[key]) for key, values in first.items())
        assert not torch.equal(first["fc.weight"], other["fc.weight"])

    def test_labels_are_the_datasets(self) -> None:
        assert load("resnet20-cifar10", weights=None).labels == CIFAR10_LABELS
        labels = load("resnet18", weights=None).labels
        assert (labels[0], labels[281], labels[999]) == ("tench", "tabby", "toilet tissue")
        assert len(set(labels)) == 1000


class TestShipped:
    @pytest.mark.parametrize("name", ["resnet20-cifar10", "plain20-cifar10"])
    def test_loads_what_was_written(self, name: str, shipped: Path, shake: Callable[[nn.Module, int], nn.Module]) -> None:
        spec = zoo.CIFAR[name]
        trained = shake(CifarResNet(spec.depth, spec.shortcut, seed=5), 5)
        ship(shipped, name, trained)
        net = load(name, device="cpu")
        state = net.module.state_dict()
        assert state.keys() == trained.state_dict().keys()
        assert all(torch.equal(values, state[key]) for key, values in trained.state_dict().items())
        assert not any(layer.training for layer in net.module.modules())
        assert not any(parameter.requires_grad for parameter in net.module.parameters())
        assert (net.weights.source, net.weights.trained) == ("shipped", True)
        assert net.weights.note == "trained on CIFAR-10, test accuracy 91.2%"

    def test_is_the_default(self, shipped: Path) -> None:
        ship(shipped, "resnet18-imagenette", photo_network("resnet18-imagenette"))
        assert load(device="cpu").name == "resnet18-imagenette"

    def test_missing(self) -> None:
        with pytest.raises(
            WeightsError,
            match=r"^This copy does not include trained weights of plain110-cifar10\. Choose another model, or load it with "
            r"random weights \(weights=None\)\.$",
        ):
            load("plain110-cifar10")

    @pytest.mark.parametrize("at", [0, 1000, -1], ids=["first byte", "a byte inside", "last byte"])
    def test_one_changed_byte(self, at: int, shipped: Path) -> None:
        path = ship(shipped, "resnet20-cifar10", CifarResNet(20))
        data = bytearray(path.read_bytes())
        data[at] ^= 1
        path.write_bytes(data)
        with pytest.raises(WeightsError, match=r"resnet20-cifar10\.safetensors is missing or was changed"):
            load("resnet20-cifar10")

    def test_card_without_weights(self, shipped: Path) -> None:
        ship(shipped, "resnet20-cifar10", CifarResNet(20)).unlink()
        with pytest.raises(WeightsError, match=r"resnet20-cifar10\.safetensors is missing"):
            load("resnet20-cifar10")

    @pytest.mark.parametrize("card", ["", '{"test_accuracy": 0.9', "[]", '{"test_accuracy": 0.9}'], ids=str)
    def test_damaged_card(self, card: str, shipped: Path) -> None:
        ship(shipped, "resnet20-cifar10", CifarResNet(20))
        (shipped / "resnet20-cifar10.json").write_text(card)
        with pytest.raises(WeightsError, match=r"resnet20-cifar10\.json"):
            load("resnet20-cifar10")

    def test_a_damaged_card_leaves_the_catalogue_standing(self, shipped: Path) -> None:
        ship(shipped, "resnet20-cifar10", CifarResNet(20))
        (shipped / "resnet20-cifar10.json").write_text("{")
        assert len(list_models()) >= 34 + 49
        assert not row("resnet20-cifar10").here


class TestOfficial:
    def put(self, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put a file of this content, whose name has its hash, where official weights are looked for."""
        weights_file(publish(monkeypatch, content)).write_bytes(content)

    @pytest.mark.parametrize("by", ["RESNET_VIZ_WEIGHTS_DIR", "torch.hub"])
    def test_a_file_that_is_there_is_used(
        self,
        by: str,
        tmp_path: Path,
        shake: Callable[[nn.Module, int], nn.Module],
        make_image: Callable[..., Image.Image],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        if by == "torch.hub":
            monkeypatch.delenv("RESNET_VIZ_WEIGHTS_DIR")
            (tmp_path / "torch" / "hub" / "checkpoints").mkdir(parents=True)
        stock = shake(torchvision.models.resnet18(weights=None), 3).eval()
        self.put(saved(stock.state_dict()), monkeypatch)

        net = load("resnet18", device="cpu")

        x = torchvision.models.ResNet18_Weights.DEFAULT.transforms()(make_image(90, 70)).unsqueeze(0)
        with torch.inference_mode():
            assert torch.equal(net.module(net.preprocess(make_image(90, 70))), stock(x))
        assert row("resnet18").here
        assert not any(parameter.requires_grad for parameter in net.module.parameters())
        assert not any(layer.training for layer in net.module.modules())
        assert (net.weights.source, net.weights.trained) == ("official", True)
        assert net.weights.note == "torchvision IMAGENET1K_V1, trained on ImageNet"

    @pytest.mark.parametrize(
        ("error", "reason"),
        [
            (urllib.error.URLError("no route to host"), "no route to host"),
            (urllib.error.HTTPError("https://x", 404, "Not Found", http.client.HTTPMessage(), None), "Not Found"),
            (TimeoutError("timed out"), "no answer within 20 seconds"),
            (http.client.RemoteDisconnected("closed without response"), "closed without response"),
            (http.client.BadStatusLine("no HTTP"), "no HTTP"),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
    )
    def test_no_file_and_no_network(
        self, error: Exception, reason: str, shipped: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refuse_downloads(monkeypatch, error)
        with pytest.raises(WeightsError) as raised:
            load("resnet18")
        message = str(raised.value)
        assert message.startswith(f"{RESNET18_FILE} could not be downloaded: ")
        assert "copy the file into the folder that RESNET_VIZ_WEIGHTS_DIR names" in message
        assert reason in message
        ship(shipped, "resnet20-cifar10", CifarResNet(20))
        assert load("resnet20-cifar10", device="cpu").weights.source == "shipped"

    @pytest.mark.parametrize("name", ["resnet50", "resnext101_64x4d", "wide_resnet101_2"])
    def test_each_names_the_file_it_lacks(self, name: str) -> None:
        url = torchvision.models.get_model_weights(name).DEFAULT.url
        with pytest.raises(WeightsError, match=f"^{url.rsplit('/', 1)[1]} could not be downloaded"):
            load(name)

    @pytest.mark.parametrize("content", [b"", b"<html>", b"PK\x03\x04" + bytes(100)], ids=["empty", "a web page", "cut short"])
    def test_a_damaged_file(self, content: bytes, official: Path) -> None:
        (official / RESNET18_FILE).write_bytes(content)
        with pytest.raises(WeightsError, match=RESNET18_FILE):
            load("resnet18")

    def test_another_networks_file(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.put(saved({"fc.weight": torch.zeros(10, 64)}), monkeypatch)
        with pytest.raises(WeightsError, match="is damaged or is not the file of ResNet-18"):
            load("resnet18")

    def test_code_in_a_file_is_not_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        class Payload:
            def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
                return Path.touch, (tmp_path / "harm",)

        self.put(saved({"fc.weight": Payload()}), monkeypatch)
        with pytest.raises(WeightsError, match="is damaged or is not the file of ResNet-18"):
            load("resnet18")
        assert not (tmp_path / "harm").exists()

    def test_an_empty_variable_names_no_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """`list_models` and `load` look in the same place."""
        monkeypatch.setenv("RESNET_VIZ_WEIGHTS_DIR", "")
        (tmp_path / "torch" / "hub" / "checkpoints").mkdir(parents=True)
        state: dict[str, Tensor] = torchvision.models.resnet18(weights=None).state_dict()
        self.put(saved(state), monkeypatch)
        assert row("resnet18").here
        assert torch.equal(load("resnet18", device="cpu").module.state_dict()["fc.weight"], state["fc.weight"])
