"""A ResNet built to the shapes of a checkpoint's tensors, in the forward pass that torchvision writes.

What the shapes leave open (strides, pooling, activations) starts as He et al. 2015 (https://arxiv.org/abs/1512.03385) have it,
with the stride in the 3x3 convolution; `options` changes it.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from resnet_viz.nets.blocks import BasicBlock, Bottleneck, ResidualBlock

Shape = tuple[int, ...]
BLOCK = re.compile(r"^layer(\d+)\.(\d+)\.")
DEEP_STEM = re.compile(r"^conv1\.(\d+)\.weight$")
RUNNING = ".running_mean"


@dataclass(frozen=True, eq=False)
class Plan:
    """What the names and shapes of a state dict determine, by torchvision's names (timm's for stems of several layers).

    `blocks` counts them by stage.
    """

    shapes: Mapping[str, Shape]
    blocks: tuple[int, ...]

    @classmethod
    def of(cls, shapes: Mapping[str, Sequence[int]]) -> "Plan":
        """Count the blocks of each stage, in the order of the stages' numbers."""
        places = {(int(match[1]), int(match[2])) for match in map(BLOCK.match, shapes) if match}
        counts = Counter(stage for stage, _ in places)
        return cls({name: tuple(shape) for name, shape in shapes.items()}, tuple(counts[stage] for stage in sorted(counts)))

    @property
    def bottleneck(self) -> bool:
        """Whether the blocks are bottlenecks."""
        return "layer1.0.conv3.weight" in self.shapes

    @property
    def classes(self) -> int:
        """How many logits the network has."""
        return self.shapes["fc.weight"][0]

    @property
    def channels(self) -> int:
        """How many channels the image has."""
        return self.shapes[f"{self.stem[0]}.weight"][1]

    @property
    def depth(self) -> int:
        """Layers with weights, without those of the shortcuts: of ResNet-50 and its relatives 50, whatever the stem."""
        return sum(self.blocks) * (3 if self.bottleneck else 2) + 2

    @cached_property
    def stem(self) -> tuple[str, ...]:
        """Names of the stem's convolutions in order."""
        numbers = sorted(int(match[1]) for name, shape in self.shapes.items() if (match := DEEP_STEM.match(name)) and len(shape) == 4)
        return tuple(f"conv1.{number}" for number in numbers) or ("conv1",)

    @property
    def projects(self) -> bool:
        """Whether a shortcut anywhere is a projection."""
        return any(name.endswith("downsample.0.weight") for name in self.shapes)

    def out_channels(self, layer: str) -> int:
        """How many channels a convolution returns."""
        return self.shapes[f"{layer}.weight"][0]


class CheckpointResNet(nn.Module):
    """A ResNet of any shapes on the meta device: (N, channels, H, W) -> logits (N, classes)."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        with torch.device("meta"):
            self._stem(plan)
            channels = plan.out_channels(plan.stem[-1])
            for stage, count in enumerate(plan.blocks, 1):
                blocks = []
                for index in range(count):
                    block = _block(plan, f"layer{stage}.{index}", channels, 2 if stage > 1 and index == 0 else 1)
                    blocks.append(block)
                    channels = plan.out_channels(f"layer{stage}.{index}.conv{3 if plan.bottleneck else 2}")
                self.add_module(f"layer{stage}", nn.Sequential(*blocks))
            self.avgpool = nn.AdaptiveAvgPool2d(1)
            self.fc = nn.Linear(channels, plan.classes)

    def _stem(self, plan: Plan) -> None:
        small = len(plan.stem) == 1 and plan.shapes["conv1.weight"][-1] == 3
        layers = [convolution(plan, name, 2 if index == 0 and not small else 1) for index, name in enumerate(plan.stem)]
        if len(layers) == 1:
            self.conv1: nn.Module = layers[0]
        else:
            steps: list[nn.Module] = []
            for layer in layers[:-1]:
                steps += [layer, nn.BatchNorm2d(layer.out_channels), nn.ReLU()]
            self.conv1 = nn.Sequential(*steps, layers[-1])
        self.bn1 = nn.BatchNorm2d(layers[-1].out_channels)
        self.relu: nn.Module = nn.ReLU()
        self.maxpool: nn.Module = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)

    @property
    def stages(self) -> list[nn.Sequential]:
        """The stages of blocks in order."""
        return [self.get_submodule(f"layer{stage}") for stage in range(1, len(self.plan.blocks) + 1)]  # type: ignore[misc]

    @property
    def residual_blocks(self) -> list[ResidualBlock]:
        """All blocks in order."""
        return [block for stage in self.stages for block in stage]  # type: ignore[misc]

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> logits (N, classes)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in self.stages:
            x = stage(x)
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


def convolution(plan: Plan, name: str, stride: int = 1, inputs: int | None = None) -> nn.Conv2d:
    """Return the convolution of a name, padded so that only its stride makes the map smaller.

    With `inputs` channels it works in as many groups as its weight's shape says.
    """
    outputs, per_group, kernel, _ = plan.shapes[f"{name}.weight"]
    groups = max(1, (inputs or per_group) // per_group)
    return nn.Conv2d(per_group * groups, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


def _block(plan: Plan, name: str, channels: int, stride: int) -> BasicBlock | Bottleneck:
    kind = Bottleneck if plan.bottleneck else BasicBlock
    block = kind(channels, 64, stride)
    strided = "conv2" if plan.bottleneck else "conv1"
    inputs = channels
    for number in range(1, 4 if plan.bottleneck else 3):
        key = f"conv{number}"
        layer = convolution(plan, f"{name}.{key}", stride if key == strided else 1, inputs)
        inputs = layer.out_channels
        setattr(block, key, layer)
        setattr(block, f"bn{number}", nn.BatchNorm2d(inputs))
    if f"{name}.downsample.0.weight" in plan.shapes:
        projection = convolution(plan, f"{name}.downsample.0", stride)
        block.downsample = nn.Sequential(projection, nn.BatchNorm2d(projection.out_channels))
    return block
