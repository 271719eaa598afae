"""Parameters and multiply-adds, by hand and against torch's own counter of floating point operations."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.resnet import BasicBlock, Bottleneck

from resnet_viz.nets.cifar import CifarResNet
from resnet_viz.nets.costs import count_parameters, multiply_adds
from resnet_viz.nets.imagenet import skeleton
from resnet_viz.nets.layers import ZeroPad


def projection() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 4, 1, 2, bias=False), nn.BatchNorm2d(4))


class TestByHand:
    @pytest.mark.parametrize(
        ("block", "expected"),
        # 5x5 pixels become 3x3; each convolution: weights x pixels of its output.
        [
            (BasicBlock(2, 2), 2 * 2 * 9 * 25 + 2 * 2 * 9 * 25),
            (BasicBlock(2, 4, 2, ZeroPad(2, 4, 2)), 2 * 4 * 9 * 9 + 4 * 4 * 9 * 9),
            (BasicBlock(2, 4, 2, projection()), 2 * 4 * 9 * 9 + 4 * 4 * 9 * 9 + 2 * 4 * 9),
        ],
        ids=["identity", "zero-pad", "projection"],
    )
    def test_multiply_adds(self, block: BasicBlock, expected: int) -> None:
        assert multiply_adds(block, 5, 5) == expected

    @pytest.mark.parametrize(
        ("block", "expected"),
        [
            (BasicBlock(2, 2), 36 + 4 + 36 + 4),
            (BasicBlock(2, 4, 2, ZeroPad(2, 4, 2)), 72 + 8 + 144 + 8),
            (BasicBlock(2, 4, 2, projection()), 72 + 8 + 144 + 8 + 8 + 8),
        ],
        ids=["identity", "zero-pad", "projection"],
    )
    def test_parameters(self, block: BasicBlock, expected: int) -> None:
        assert count_parameters(block) == expected


def blocks_of(net: nn.Module) -> dict[str, nn.Module]:
    """The blocks of a network that was not opened, by their names."""
    return {name: layer for name, layer in net.named_modules() if isinstance(layer, BasicBlock | Bottleneck)}


def block_inputs(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Return what each block gets when the network gets x."""
    inputs: dict[str, Tensor] = {}
    for name, block in blocks_of(net).items():
        block.register_forward_pre_hook(lambda _, args, name=name: inputs.update({name: args[0]}))
    net.eval()(x)
    return inputs


class TestAgainstTorch:
    """FlopCounterMode counts a multiplication and an addition separately, we count them as one."""

    @staticmethod
    def check(net: nn.Module, x: Tensor) -> None:
        blocks = blocks_of(net)
        for name, block_input in block_inputs(net, x).items():
            with FlopCounterMode(display=False) as counter:
                blocks[name](block_input)
            assert multiply_adds(blocks[name], *block_input.shape[2:]) == counter.get_total_flops() / 2 > 0, name

    @pytest.mark.parametrize("size", [(32, 32), (33, 30)], ids=["32x32", "33x30"])
    @pytest.mark.parametrize("shortcut", ["A", "B", "C", "plain"])
    def test_cifar(self, shortcut: Any, size: tuple[int, int]) -> None:
        self.check(CifarResNet(14, shortcut), torch.zeros(1, 3, *size))

    @pytest.mark.parametrize("size", [(224, 224), (65, 97)], ids=["224x224", "65x97"])
    @pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d"])
    def test_imagenet(self, name: str, size: tuple[int, int]) -> None:
        self.check(skeleton(name), torch.empty(1, 3, *size, device="meta"))


@pytest.mark.parametrize(("name", "paper"), [("resnet18", 1.8e9), ("resnet34", 3.6e9)])
def test_the_papers_table_1(name: str, paper: float) -> None:
    """Blocks, the stem's 7x7 convolution on 112x112 pixels and the last layer make up the paper's figure."""
    net = skeleton(name)
    inputs, blocks = block_inputs(net, torch.empty(1, 3, 224, 224, device="meta")), blocks_of(net)
    total = sum(multiply_adds(blocks[block], *x.shape[2:]) for block, x in inputs.items())
    assert total + 3 * 64 * 49 * 112**2 + 512 * 1000 == pytest.approx(paper, rel=0.02)
