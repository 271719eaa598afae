"""Why halve height and width and double the channels? The cost of each block if only one of the two is done, or neither.

Three stages of basic blocks that begin with 16 channels of 32x32 pixels (He et al. 2015, https://arxiv.org/abs/1512.03385,
section 4.2), with a projection shortcut where the shape changes. Section 3.3 of the paper states both rules.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torchvision.models.resnet import BasicBlock

from resnet_viz.nets.costs import count_parameters, multiply_adds

STAGES, SIDE, CHANNELS = 3, 32, 16


@dataclass(frozen=True)
class BlockCost:
    """A block's cost for one image: the multiply-adds of its residual branch and of its shortcut, and its parameters.

    `output` is (C, H, W).
    """

    name: str
    stage: int
    output: tuple[int, int, int]
    branch: int
    shortcut: int
    parameters: int

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of the whole block."""
        return self.branch + self.shortcut


@dataclass(frozen=True)
class Costs:
    """Every block, first to last, of a network that halves height and width between stages, doubles the channels, or both."""

    halve: bool
    double: bool
    blocks: tuple[BlockCost, ...]

    def stage(self, number: int) -> tuple[BlockCost, ...]:
        """The blocks of one stage, counted from 1."""
        return tuple(block for block in self.blocks if block.stage == number)

    def layer(self, number: int) -> int:
        """Multiply-adds of one 3x3 convolution inside a stage: half of the residual branch of its last block."""
        return self.stage(number)[-1].branch // 2

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of all blocks."""
        return sum(block.multiply_adds for block in self.blocks)


def run(*, halve: bool, double: bool, blocks: int = 3) -> Costs:
    """Count the cost of three stages with this number of blocks each. Only shapes are needed; the network is not run."""
    if not 2 <= blocks <= 18:
        raise ValueError(f"a stage of {blocks} blocks cannot be drawn: choose 2 to 18")
    found = []
    channels, side = CHANNELS, SIDE
    for stage in range(1, STAGES + 1):
        for index in range(blocks):
            opens = stage > 1 and index == 0
            wider = channels * 2 if opens and double else channels
            stride = 2 if opens and halve else 1
            block = _block(channels, wider, stride)
            whole = multiply_adds(block, side, side)
            shortcut = multiply_adds(block, side, side) - multiply_adds(_branch_alone(channels, wider, stride), side, side)
            channels, side = wider, side // stride
            cost = BlockCost(
                f"layer{stage}.{index}", stage, (channels, side, side), whole - shortcut, shortcut, count_parameters(block)
            )
            found.append(cost)
    return Costs(halve, double, tuple(found))


def _block(channels: int, wider: int, stride: int) -> nn.Module:
    with torch.device("meta"):
        changes = stride > 1 or wider != channels
        projection = nn.Sequential(nn.Conv2d(channels, wider, 1, stride, bias=False), nn.BatchNorm2d(wider))
        block: nn.Module = BasicBlock(channels, wider, stride, projection if changes else None)
    return block


def _branch_alone(channels: int, wider: int, stride: int) -> nn.Module:
    with torch.device("meta"):
        block: nn.Module = BasicBlock(channels, wider, stride, None)
    return block
