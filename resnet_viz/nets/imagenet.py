"""The ten ResNets, ResNeXts and Wide ResNets of torchvision and their relatives, built from its own `ResNet` class.

He et al. 2015 (https://arxiv.org/abs/1512.03385, Table 1), Xie et al. 2016 (https://arxiv.org/abs/1611.05431) and
Zagoruyko and Komodakis 2016 (https://arxiv.org/abs/1605.07146).
"""

from dataclasses import dataclass

import torch
from torch import nn
from torchvision.models import resnet as torchvision_resnet
from torchvision.models.resnet import BasicBlock, Bottleneck

from resnet_viz.nets.initialisation import initialise


@dataclass(frozen=True)
class Architecture:
    """The differences between networks of four stages; `blocks` counts the blocks of each stage."""

    title: str
    depth: int
    block: type[BasicBlock | Bottleneck]
    blocks: tuple[int, int, int, int]
    groups: int = 1
    width_per_group: int = 64


ARCHITECTURES: dict[str, Architecture] = {
    "resnet18": Architecture("ResNet-18", 18, BasicBlock, (2, 2, 2, 2)),
    "resnet34": Architecture("ResNet-34", 34, BasicBlock, (3, 4, 6, 3)),
    "resnet50": Architecture("ResNet-50", 50, Bottleneck, (3, 4, 6, 3)),
    "resnet101": Architecture("ResNet-101", 101, Bottleneck, (3, 4, 23, 3)),
    "resnet152": Architecture("ResNet-152", 152, Bottleneck, (3, 8, 36, 3)),
    "resnext50_32x4d": Architecture("ResNeXt-50 32x4d", 50, Bottleneck, (3, 4, 6, 3), 32, 4),
    "resnext101_32x8d": Architecture("ResNeXt-101 32x8d", 101, Bottleneck, (3, 4, 23, 3), 32, 8),
    "resnext101_64x4d": Architecture("ResNeXt-101 64x4d", 101, Bottleneck, (3, 4, 23, 3), 64, 4),
    "wide_resnet50_2": Architecture("Wide ResNet-50-2", 50, Bottleneck, (3, 4, 6, 3), 1, 128),
    "wide_resnet101_2": Architecture("Wide ResNet-101-2", 101, Bottleneck, (3, 4, 23, 3), 1, 128),
}


def skeleton(name: str, classes: int = 1000) -> nn.Module:
    """One of `ARCHITECTURES` on the meta device, without memory for its weights; KeyError for another name."""
    return assemble(ARCHITECTURES[name], classes)


def assemble(arch: Architecture, classes: int) -> nn.Module:
    """Any network of four stages on the meta device, without memory for its weights."""
    with torch.device("meta"):
        net: nn.Module = torchvision_resnet.ResNet(
            arch.block,
            list(arch.blocks),
            num_classes=classes,
            groups=arch.groups,
            width_per_group=arch.width_per_group,
        )
    return net


def build(name: str, classes: int = 1000, seed: int = 0) -> nn.Module:
    """One of `ARCHITECTURES` with seeded random weights: (N, 3, H, W) -> logits (N, classes); KeyError for another name."""
    net = skeleton(name, classes)
    net.to_empty(device="cpu")
    initialise(net, seed)
    return net
