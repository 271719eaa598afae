"""A network's row in lists: what is known of it, and nothing in the place of what is not."""

from dataclasses import replace

import pytest

from app.views.network_picker import described
from resnet_viz.nets.zoo import ModelInfo, list_models

INFO = ModelInfo(
    name="resnet50",
    title="ResNet-50",
    task="ImageNet",
    depth=50,
    blocks=16,
    shortcut="shortcut B",
    params=25_557_032,
    size=102_000_000,
    source="official",
    here=False,
    note="",
    family="ResNet",
)


@pytest.mark.parametrize(
    ("info", "row"),
    [
        (INFO, "ResNet-50 · ImageNet · 16 blocks · 25.56 M parameters · download, 102 MB"),
        (replace(INFO, here=True), "ResNet-50 · ImageNet · 16 blocks · 25.56 M parameters · ready"),
        (replace(INFO, source="untrained"), "ResNet-50 · ImageNet · 16 blocks · 25.56 M parameters · no trained weights"),
        (replace(INFO, source="checkpoint", here=True), "ResNet-50 · ImageNet · 16 blocks · 25.56 M parameters · ready"),
        (
            replace(INFO, title="Mine", task="5 classes", source="module", here=True, family="shown from Python"),
            "Mine · shown from Python · 5 classes · 16 blocks · 25.56 M parameters · ready",
        ),
        (
            replace(INFO, title="resnet50d", family="timm resnet"),
            "resnet50d · timm resnet · ImageNet · 16 blocks · 25.56 M parameters · download, 102 MB",
        ),
        (replace(INFO, title="resnet50d", family="timm", blocks=0, params=0, size=0), "resnet50d · timm · ImageNet · download"),
    ],
)
def test_a_row(info: ModelInfo, row: str) -> None:
    assert described(info) == row


def test_every_network_has_a_row_of_its_own() -> None:
    rows = [described(info) for info in list_models()]
    assert len(set(rows)) == len(rows)
    assert all("0 blocks" not in row.split(" · ") and "0.00 M" not in row for row in rows)
