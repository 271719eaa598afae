"""A shipped network carries a card whose figures are measured from the file that ships."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from resnet_viz.nets.cifar import CifarResNet
from resnet_viz.nets.zoo import load
from resnet_viz.training import cards
from resnet_viz.training.data import Dataset, Split
from resnet_viz.training.recipe import Recipe
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
    for place in ("resnet_viz.nets.zoo.WEIGHTS_FOLDER", "resnet_viz.training.cards.WEIGHTS_FOLDER"):
        monkeypatch.setattr(place, tmp_path)
    monkeypatch.setattr("resnet_viz.training.cards.CURVES_FOLDER", tmp_path / "curves")
    return tmp_path


def test_the_card_describes_the_file(data: Dataset, folder: Path) -> None:
    net = CifarResNet(20, seed=4)
    curve = [Epoch(1, 2.3, 0.9, 2.2, 0.8, 0.1, 12.0, {"layer1.0": 0.5})]
    card = cards.ship(NAME, net, data, replace(Recipe(), epochs=1), curve)
    weights = folder / f"{NAME}.safetensors"
    assert card["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert card == json.loads((folder / f"{NAME}.json").read_text()) | {"preprocessing": card["preprocessing"]}
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
