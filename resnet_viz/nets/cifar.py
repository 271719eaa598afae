"""The CIFAR-10 networks of He et al. 2015, section 4.2 (https://arxiv.org/abs/1512.03385), residual and plain.

A 3x3 convolution, three stages of n blocks with 16, 32 and 64 channels on 32x32, 16x16 and 8x8 pixels, global average pooling,
and one linear layer: 6n + 2 layers with weights.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from resnet_viz.nets.initialisation import initialise
from resnet_viz.nets.layers import PlainBasicBlock, ZeroPad

CIFAR10_LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2470, 0.2435, 0.2616)
STAGE_CHANNELS = (16, 32, 64)

ShortcutOption = Literal["A", "B", "C", "plain"]


class CifarResNet(nn.Module):
    """A CIFAR ResNet of any depth 6n + 2, with torchvision's parameter names.

    `shortcut` is an option of He et al.: A pads with zeros where shapes change, B uses projections there, C uses them
    everywhere; "plain" has no shortcut. Without a `seed`, the weights take no memory (meta device). Raises ValueError for a
    depth that is not 6n + 2 or an unknown option.
    """

    def __init__(self, depth: int, shortcut: ShortcutOption = "A", classes: int = 10, seed: int | None = 0) -> None:
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise ValueError(f"depth {depth} is not 6n + 2 with n >= 1: choose 8, 14, 20, 32, 44, 56, 110 ...")
        if shortcut not in ("A", "B", "C", "plain"):
            raise ValueError(f"shortcut {shortcut!r} is unknown: choose 'A', 'B', 'C' or 'plain'")
        self.depth = depth
        n = (depth - 2) // 6
        # On the meta device no random number is drawn, so torch's global generator keeps its state.
        with torch.device("meta"):
            self._layers(n, shortcut, classes)
        if seed is not None:
            self.to_empty(device="cpu")
            initialise(self, seed)

    def _layers(self, n: int, shortcut: ShortcutOption, classes: int) -> None:
        self.conv1 = nn.Conv2d(3, STAGE_CHANNELS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(STAGE_CHANNELS[0])
        self.relu = nn.ReLU()
        self.layer1 = _stage(n, 16, 16, 1, shortcut)
        self.layer2 = _stage(n, 16, 32, 2, shortcut)
        self.layer3 = _stage(n, 32, 64, 2, shortcut)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(STAGE_CHANNELS[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> logits (N, classes)."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


def _stage(blocks: int, in_channels: int, out_channels: int, stride: int, shortcut: ShortcutOption) -> nn.Sequential:
    inputs = [in_channels] + [out_channels] * (blocks - 1)
    strides = [stride] + [1] * (blocks - 1)
    return nn.Sequential(*(_block(i, out_channels, s, shortcut) for i, s in zip(inputs, strides, strict=True)))


def _block(in_channels: int, out_channels: int, stride: int, shortcut: ShortcutOption) -> nn.Module:
    if shortcut == "plain":
        return PlainBasicBlock(in_channels, out_channels, stride)
    block: nn.Module = BasicBlock(in_channels, out_channels, stride, _downsample(in_channels, out_channels, stride, shortcut))
    return block


def _downsample(in_channels: int, out_channels: int, stride: int, shortcut: ShortcutOption) -> nn.Module | None:
    if in_channels == out_channels and stride == 1 and shortcut != "C":
        return None
    if shortcut == "A":
        return ZeroPad(in_channels, out_channels, stride)
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))
