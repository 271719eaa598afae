"""A shipped network has a card with figures that are measured from the shipped file."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from resnet_viz.nets.cifar import CifarResNet
from resnet_viz.nets.costs import count_parameters
from resnet_viz.nets.photos import photo_network
from resnet_viz.nets.zoo import load
from resnet_viz.training import cards
from resnet_viz.training.data import Dataset, Split
from resnet_viz.training.recipe import Recipe
from resnet_viz.training.tasks import IMAGENETTE
from resnet_viz.training.trainer import Epoch

NAME = "resnet20-cifar10"


@pytest.fixture
def data() -> Dataset:
    generator = torch.Generator().manual_seed(5)
    images = torch.randint(256, (60, 3, 32, 32), generator=generator, dtype=torch.uint8)
    labels = torch.arange(60) % 10
    return Dataset(Split(images[:40], labels[:40]), Split(images[40:], labels[40:]), "abc")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("resnet_viz.assets.WEIGHTS_FOLDER", tmp_path)
    monkeypatch.setattr("resnet_viz.assets.CURVES_FOLDER", tmp_path / "curves")
    return tmp_path


def test_the_card_describes_the_file(data: Dataset, folder: Path) -> None:
    net = CifarResNet(20, seed=4)
    curve = [Epoch(1, 2.3, 0.9, 2.2, 0.8, 0.1, 12.0, {"layer1.0": 0.5})]
    card = cards.ship(NAME, net, data, replace(Recipe(), epochs=1), curve)
    weights = folder / f"{NAME}.safetensors"
    assert card["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert card == json.loads((folder / f"{NAME}.json").read_text())
    assert torch.tensor(card["confusion"]).trace() / 20 == pytest.approx(card["test_accuracy"])
    assert (folder / "curves" / f"{NAME}.csv").read_text().splitlines()[1].startswith("1,2.3,0.9,2.2,0.8,0.1,12.0,0.5")
    assert f"{card['test_accuracy']:.2%}" in (folder / f"{NAME}.md").read_text()


def test_what_was_shipped_loads_and_measures_the_same(data: Dataset, folder: Path) -> None:
    net = CifarResNet(20, seed=4)
    card = cards.ship(NAME, net, data, Recipe(), [Epoch(1, 2.3, 0.9, 2.2, 0.8, 0.1, 12.0, {})])
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(load(NAME, device="cpu").module(x), net(x))
    assert 1 - cards.check(NAME, data).error == pytest.approx(card["test_accuracy"])
    assert folder.exists()


@pytest.fixture
def photos() -> Dataset:
    """A few tiny images of every class: the network works for any size."""
    task = replace(IMAGENETTE, evaluation=32)
    generator = torch.Generator().manual_seed(6)
    images = torch.randint(256, (33, 3, 40, 40), generator=generator, dtype=torch.uint8)
    split = Split(images, torch.arange(33) % 11, task)
    return Dataset(split, split, "one, two")


@pytest.fixture(scope="module")
def plain() -> nn.Module:
    return photo_network("plain18-imagenette", seed=2)


def test_a_photo_network_ships_in_half_precision_and_is_measured_as_it_ships(
    plain: nn.Module, photos: Dataset, folder: Path
) -> None:
    name = "plain18-imagenette"
    card = cards.ship(name, plain, photos, IMAGENETTE.recipe, [Epoch(1, 2.3, 0.9, 2.2, 0.8, 0.1, 12.0, {})])
    shipped = load_file(folder / f"{name}.safetensors")
    assert {tensor.dtype for tensor in shipped.values()} == {torch.float16, torch.int64}
    assert (folder / f"{name}.safetensors").stat().st_size < 23e6
    assert card["precision"] == "float16"
    loaded = load(name, device="cpu").module
    for key, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, shipped[key].to(tensor.dtype)), key
    text = (folder / f"{name}.md").read_text()
    assert "random resized crops of at least 35% of the area" in text
    assert "`one`, `two`" in text


def test_the_figure_without_the_added_class_leaves_out_its_images_and_its_logit(folder: Path) -> None:
    cat, labels = IMAGENETTE.labels.index("cat"), torch.tensor([0, 1, 3, 2])
    logits = torch.zeros(4, 11)
    logits[0, 0], logits[0, cat] = 1.0, 2.0  # right once the cat is left out
    logits[1, 5] = 1.0  # wrong
    logits[2, cat] = 1.0  # a cat: left out
    logits[3, 2] = 1.0  # right
    found = cards._without(IMAGENETTE, logits, labels)
    assert found == {"class": "cat", "test": 3, "test_accuracy": 0.6667}
    assert folder.exists()


def test_the_card_holds_what_every_part_costs(data: Dataset, folder: Path) -> None:
    net = CifarResNet(20, seed=4)
    card = cards.ship(NAME, net, data, Recipe(), [Epoch(1, 2.3, 0.9, 2.2, 0.8, 0.1, 12.0, {})])
    parts = card["parts"]
    assert [part["name"] for part in parts] == ["stem", *load(NAME, weights=None).blocks, "head"]
    assert sum(part["parameters"] for part in parts) == card["parameters"] == count_parameters(net)
    assert sum(part["multiply_adds"] for part in parts) == card["multiply_adds"]
    with FlopCounterMode(display=False) as counter:
        net(torch.zeros(1, 3, 32, 32))
    assert 2 * card["multiply_adds"] == counter.get_total_flops()
    assert parts[4] == {
        "name": "layer2.0",
        "stage": 2,
        "shortcut": "zero-pad",
        "input": [16, 32, 32],
        "output": [32, 16, 16],
        "layers": "3×3 32 stride 2, 3×3 32",
        "parameters": 13_952,
        "multiply_adds": 3_538_944,
    }
    row = "| layer2.0 | 3×3 32 stride 2, 3×3 32 | zero-pad | 32×16×16 | 13,952 | 3,538,944 |"
    assert row in (folder / f"{NAME}.md").read_text()


def test_a_trained_network_can_be_shipped_again(data: Dataset, folder: Path) -> None:
    net = CifarResNet(20, seed=4)
    curve = [Epoch(1, 2.3, 0.9, 2.2, 0.8, 0.1, 12.0, {})]
    first = cards.ship(NAME, net, data, Recipe(), curve)
    weights = (folder / f"{NAME}.safetensors").read_bytes()
    assert cards.ship(NAME, net, data, Recipe(), curve) == first
    assert (folder / f"{NAME}.safetensors").read_bytes() == weights
