"""The shortcut of zeros and the block without a shortcut, by hand on a pixel or a few."""

import pytest
import torch
from torch import Tensor, nn

from resnet_viz.nets.layers import PlainBasicBlock, ZeroPad


def one_pixel(*channels: float) -> Tensor:
    return torch.tensor(channels).view(1, -1, 1, 1)


def without_norms(block: PlainBasicBlock) -> PlainBasicBlock:
    """Make every batch norm pass its input on."""
    for layer in block.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = 0.0
    return block.eval().requires_grad_(requires_grad=False)


def set_centre(conv: nn.Module, rows: list[list[float]]) -> None:
    """Set a convolution to the matrix `rows` (out, in) at its centre, and around it to values that one pixel never uses."""
    assert isinstance(conv, nn.Conv2d)
    conv.weight.fill_(7.0)
    middle = conv.kernel_size[0] // 2
    conv.weight[:, :, middle, middle] = torch.tensor(rows)


class TestZeroPad:
    def test_keeps_every_second_pixel_between_zero_channels(self) -> None:
        x = torch.arange(1.0, 33.0).view(1, 2, 4, 4)
        zeros = [[0.0, 0.0], [0.0, 0.0]]
        expected = [zeros, zeros, [[1.0, 3.0], [9.0, 11.0]], [[17.0, 19.0], [25.0, 27.0]], zeros, zeros]
        assert ZeroPad(2, 6, 2)(x)[0].tolist() == expected

    def test_an_odd_number_of_zero_channels_has_the_larger_half_behind(self) -> None:
        assert ZeroPad(2, 5, 1)(one_pixel(3.0, 4.0)).flatten().tolist() == [0.0, 3.0, 4.0, 0.0, 0.0]

    @pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 2), (2, 3), (5, 4), (7, 9)])
    @pytest.mark.parametrize("stride", [1, 2, 3])
    def test_has_the_size_of_the_branch_beside_it(self, height: int, width: int, stride: int) -> None:
        x = torch.ones(2, 3, height, width)
        assert ZeroPad(3, 4, stride)(x).shape == nn.Conv2d(3, 4, 3, stride, padding=1)(x).shape

    def test_cannot_shrink(self) -> None:
        with pytest.raises(ValueError, match="cannot turn 32 channels into 16"):
            ZeroPad(32, 16, 1)


def test_plain_block_leaves_x_out() -> None:
    block = without_norms(PlainBasicBlock(2, 2))
    set_centre(block.conv1, [[1.0, 1.0], [1.0, -1.0]])
    set_centre(block.conv2, [[1.0, 2.0], [-1.0, 0.0]])
    assert block(one_pixel(2.0, 5.0)).flatten().tolist() == [7.0, 0.0]
