"""Centres of receptive fields against autograd: which pixels a cell really depends on, in networks of positive weights."""

import pytest
import torch
import torchvision
from torch import Tensor, nn

from resnet_viz.nets.cell_centres import CellCentres, cell_centres
from resnet_viz.nets.cifar import CifarResNet


def positive(module: nn.Module) -> nn.Module:
    """Weights of 1 let no path cancel another."""
    for parameter in module.parameters():
        parameter.data.fill_(1e-3)
    return module.eval()


def seen_by(layer: nn.Module, module: nn.Module, side: int, cell: tuple[int, int]) -> tuple[float, float]:
    """The middle of the pixels (row, column) that one cell of a layer's output depends on."""
    made: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _, __, output: made.append(output))
    x = torch.ones(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    module.double()(x)
    handle.remove()
    (gradient,) = torch.autograd.grad(made[0][0, :, cell[0], cell[1]].sum(), x)
    rows, columns = (gradient[0].abs().sum(0) > 0).nonzero(as_tuple=True)
    return float(rows.min() + rows.max()) / 2, float(columns.min() + columns.max()) / 2


@pytest.mark.parametrize(("stage", "cells", "cell"), [("layer1", 32, (16, 20)), ("layer2", 16, (8, 7)), ("layer3", 8, (4, 4))])
def test_a_cifar_network(stage: str, cells: int, cell: tuple[int, int]) -> None:
    module = positive(CifarResNet(8, "B"))
    side = 32 if stage == "layer1" else 96
    cells = cells * side // 32
    cell = (cell[0] * side // 32, cell[1] * side // 32)
    centres = cell_centres(module, side, cells)
    found = seen_by(module.get_submodule(stage), module, side, cell)
    assert found == tuple(centres.start + each * centres.jump for each in cell)


def test_torchvisions_resnet_has_cells_on_every_fourth_pixel_and_not_between() -> None:
    module = torchvision.models.resnet18(weights=None)
    # Without max pooling's choice every pixel counts.
    module.maxpool = nn.AvgPool2d(3, 2, 1)
    centres = cell_centres(torchvision.models.resnet18(weights=None), 128, 32)
    assert centres == CellCentres(0.0, 4.0)
    assert seen_by(module.layer1, positive(module), 128, (16, 15)) == (64.0, 60.0)


def test_patches_without_padding_are_seen_from_their_middle() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 4, stride=4), nn.ReLU())
    centres = cell_centres(module, 32, 8)
    assert centres == CellCentres(1.5, 4.0)
    assert seen_by(module[0], positive(module), 32, (3, 2)) == (13.5, 9.5)


def test_a_share_is_at_the_middle_of_its_pixel() -> None:
    assert CellCentres(0.0, 4.0).share(0, 8) == 0.5 / 8
    assert CellCentres(1.5, 4.0).share(1, 8) == 0.75
