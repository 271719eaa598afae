"""The commands that make and check the zoo, on 40 synthetic images; what they write goes into a folder of the test's."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from resnet_viz.lessons import trajectory_recorded
from resnet_viz.nets.zoo import TRAINED
from resnet_viz.training import __main__ as commands
from resnet_viz.training import cards
from resnet_viz.training.data import Dataset, Split
from resnet_viz.training.recipe import Recipe
from resnet_viz.training.trainer import Epoch
from resnet_viz.training.trajectories import every_nth

SHALLOW = ("resnet20-cifar10", "plain20-cifar10")


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    generator = torch.Generator().manual_seed(5)
    images = torch.randint(256, (40, 3, 32, 32), generator=generator, dtype=torch.uint8)
    labels = torch.arange(40) % 10
    made = Dataset(Split(images[:20], labels[:20]), Split(images[20:], labels[20:]), "abc")
    monkeypatch.setattr(commands, "load_dataset", lambda *_: made)
    return made


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place for weights, cards and curves, and a family of two that are quickly trained."""
    monkeypatch.setattr("resnet_viz.assets.WEIGHTS_FOLDER", tmp_path)
    monkeypatch.setattr("resnet_viz.assets.CURVES_FOLDER", tmp_path / "curves")
    monkeypatch.setattr(commands, "FAMILY", SHALLOW)
    monkeypatch.setattr(commands, "fastest_precision", lambda *_: "float32")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(commands.app, [*arguments, "--data", "anywhere"])


def make_zoo(folder: Path) -> Result:
    return run("zoo", "--runs", str(folder / "runs"), "--epochs", "1")


def change_card(folder: Path, name: str, **values: Any) -> None:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_the_real_family_is_plain_and_residual_shallow_and_deep() -> None:
    source = Path(commands.__file__).read_text()
    family = {name for name in TRAINED if f'"{name}"' in source}
    cifar = {"resnet20-cifar10", "resnet20b-cifar10", "resnet56-cifar10", "plain20-cifar10", "plain56-cifar10"}
    assert family == cifar | {"resnet18-imagenette", "plain18-imagenette"}


def test_zoo_makes_the_family_from_data_to_card_and_resumes_finished_runs(folder: Path) -> None:
    made = make_zoo(folder)
    assert made.exit_code == 0
    for name in SHALLOW:
        for file in (f"{name}.safetensors", f"{name}.json", f"{name}.md", f"curves/{name}.csv", f"runs/{name}/checkpoint.pt"):
            assert (folder / file).exists(), file
        assert f"{name}: " in made.output
    assert made.output.count("epoch 1: ") == 2
    before = {path.name: path.read_bytes() for path in folder.glob("*.*")}
    again = make_zoo(folder)
    assert again.exit_code == 0
    assert "epoch 1: " not in again.output
    assert {path.name: path.read_bytes() for path in folder.glob("*.*")} == before


def test_a_short_training_is_recorded_and_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resnet_viz.assets.LESSONS_FOLDER", folder / "lessons")
    command = ("trajectory", "--runs", str(folder / "runs"), "--epochs", "2", "--points", "3")
    made = run(*command)
    assert made.exit_code == 0, made.output
    found = trajectory_recorded.read("ResNet-8", folder / "lessons")
    assert found.training == "2 epochs on all training images of CIFAR-10"
    assert (len(found.trajectory.losses), found.trajectory.images) == (3, 20)
    kept = sorted(path.name for path in (folder / "runs" / "trajectory-resnet8-cifar10-3000").glob("epoch-*"))
    assert kept == ["epoch-000.safetensors", "epoch-001.safetensors", "epoch-002.safetensors"]
    again = run(*command)
    assert again.exit_code == 0
    assert "epoch 1: " not in again.output
    np.testing.assert_array_equal(
        trajectory_recorded.read("ResNet-8", folder / "lessons").trajectory.loss, found.trajectory.loss
    )
    refused = run("trajectory", "--runs", str(folder / "other"), "--depth", "9")
    assert refused.exit_code == 2
    assert "depth 9 is not 6n + 2" in refused.output
    refused = run("trajectory", "--runs", str(folder / "other"), "--images", "0")
    assert refused.exit_code == 2
    assert "0 training images: take 30 or more" in refused.output


@pytest.mark.parametrize(
    ("n", "words"),
    [
        (1, "all training images"),
        (2, "every 2nd"),
        (3, "every 3rd"),
        (11, "every 11th"),
        (21, "every 21st"),
        (112, "every 112th"),
    ],
)
def test_which_images_are_taken_is_said_in_words(n: int, words: str) -> None:
    assert every_nth(n).startswith(words)


class TestZooCheck:
    @pytest.fixture(autouse=True)
    def shipped(self, data: Dataset) -> None:
        curve = [Epoch(1, 2.3, 0.9, 2.2, 0.8, 0.1, 12.0, {"layer1.0": 0.5})]
        for name in SHALLOW:
            cards.ship(name, TRAINED[name].build(0), data, replace(Recipe(), epochs=1), curve)

    def test_passes_what_was_just_shipped(self) -> None:
        checked = run("zoo-check")
        assert checked.exit_code == 0
        assert [line.split(":")[0] for line in checked.output.splitlines()] == list(SHALLOW)

    @pytest.mark.parametrize(("points", "code"), [(0.0011, 1), (-0.0011, 1), (0.001, 0), (-0.001, 0)])
    def test_fails_on_a_difference_over_a_tenth_of_a_point(self, points: float, code: int, folder: Path) -> None:
        card = json.loads((folder / "plain20-cifar10.json").read_text())
        change_card(folder, "plain20-cifar10", test_accuracy=card["test_accuracy"] + points)
        checked = run("zoo-check")
        assert checked.exit_code == code
        wrong = [line for line in checked.output.splitlines() if "over 0.1 points apart" in line]
        assert [line.split(":")[0] for line in wrong] == ["plain20-cifar10"] * code
        assert "resnet20-cifar10: " in checked.output
        assert run("check", "plain20-cifar10").exit_code == code
        assert run("check", "resnet20-cifar10").exit_code == 0

    @pytest.mark.parametrize("change", [{"sha256": "0" * 64}, {"sha256": 5}])
    def test_fails_on_weights_that_are_not_the_cards(self, change: dict[str, Any], folder: Path) -> None:
        change_card(folder, "resnet20-cifar10", **change)
        checked = run("zoo-check")
        assert checked.exit_code == 1
        assert "resnet20-cifar10: resnet20-cifar10." in checked.output
        assert "plain20-cifar10: " in checked.output

    def test_names_what_is_not_shipped_and_passes(self, folder: Path) -> None:
        (folder / "plain20-cifar10.json").unlink()
        checked = run("zoo-check")
        assert checked.exit_code == 0
        assert "plain20-cifar10: not shipped" in checked.output.splitlines()


def test_a_loss_landscape_is_recorded_and_says_of_what(folder: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resnet_viz.assets.LESSONS_FOLDER", folder / "lessons")
    curve = [Epoch(1, 2.3, 0.9, 2.2, 0.8, 0.1, 12.0, {"layer1.0": 0.5})]
    cards.ship("plain20-cifar10", TRAINED["plain20-cifar10"].build(0), data, replace(Recipe(), epochs=1), curve)
    options = ("plain20-cifar10", "--runs", str(folder / "runs"), "--images", "4")
    assert run("loss-landscape", *options, "--points", "4").exit_code == 2
    made = run("loss-landscape", *options, "--points", "3")
    assert made.exit_code == 0, made.output
    assert "9 of 9 points" in made.output
    found = json.loads((folder / "lessons" / "loss-landscape-plain20-cifar10.json").read_text())
    assert found["recipe"]["measured_on"] == "every 5th training image of CIFAR-10"
    assert found["recipe"]["images"] == 4
    # Another number of images belongs into another folder.
    other = run("loss-landscape", *options[:3], "--images", "2", "--points", "3")
    assert other.exit_code == 2
    assert "other settings" in " ".join(other.output.split())


def test_an_unknown_name_is_refused_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "load_dataset", lambda *_: pytest.fail("read the data"))
    for command in ("train", "check", "loss-landscape"):
        refused = run(command, "resnet19-cifar10")
        assert refused.exit_code == 2
        assert "is not one of" in refused.output
