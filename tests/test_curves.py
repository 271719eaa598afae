"""Reading the training curves that ship."""

from pathlib import Path

import pytest

from resnet_viz.nets.curves import block_norms, curve_file, read_curve, read_curves
from resnet_viz.nets.net import WeightsError
from resnet_viz.training.trainer import Epoch, write_curve

ROWS = [
    Epoch(1, 2.0, 0.75, 2.5, 0.875, 0.1, 12.0, {"layer1.0": 0.5, "layer2.0": 0.25}),
    Epoch(2, 1.0, 0.5, 1.5, 0.625, 0.05, 11.0, {"layer1.0": 1.5, "layer2.0": 1e-7}),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("resnet_viz.assets.CURVES_FOLDER", tmp_path)
    return tmp_path


def test_what_the_trainer_writes_is_read(folder: Path) -> None:
    write_curve(ROWS, curve_file("resnet20-cifar10"))
    assert curve_file("resnet20-cifar10").parent == folder
    curve = read_curve("resnet20-cifar10")
    assert curve["epoch"].tolist() == [1, 2]
    assert curve["train_error"].tolist() == [0.75, 0.5]
    assert curve["test_error"].tolist() == [0.875, 0.625]
    norms = block_norms(curve)
    assert norms.index.tolist() == ["layer1.0", "layer2.0"]
    assert norms.columns.astype(int).tolist() == [1, 2]
    assert norms.to_numpy().tolist() == [[0.5, 1.5], [0.25, 1e-7]]


def test_a_network_without_a_curve(folder: Path) -> None:
    with pytest.raises(WeightsError, match=r"^This copy does not include a training curve of plain56-cifar10\.$"):
        read_curve("plain56-cifar10")
    write_curve(ROWS, folder / "resnet20-cifar10.csv")
    assert list(read_curves(["plain56-cifar10", "resnet20-cifar10", "resnet50"])) == ["resnet20-cifar10"]


@pytest.mark.parametrize(
    "text", ["", "epoch,train_error\n", "epoch,train_error,test_error\n", "epoch,train_error,test_error\n1,0.5,\n"]
)
def test_a_damaged_curve(text: str, folder: Path) -> None:
    (folder / "resnet20-cifar10.csv").write_text(text)
    with pytest.raises(WeightsError, match=r"^resnet20-cifar10\.csv is damaged"):
        read_curve("resnet20-cifar10")
