"""A ResNet built to the shapes of a checkpoint's tensors, in the forward pass that torchvision writes.

What the shapes leave open (strides, pooling, activations) starts as He et al. 2015 (https://arxiv.org/abs/1512.03385) have it,
with the stride in the 3x3 convolution; `options` changes it.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_viz.nets.checkpoints.blocks import CheckpointBlock, PreActivationBlock, SqueezeExcitation

TensorShape = tuple[int, ...]
BLOCK = re.compile(r"^layer(\d+)\.(\d+)\.")
DEEP_STEM = re.compile(r"^conv1\.(\d+)\.weight$")
RUNNING = ".running_mean"
GROUPS = 32
# Layers of a head by their numbers in it.
HEAD = re.compile(r"^fc\.(\d+)\.weight$")
# The weights of red, green and blue with which Pillow turns photos grey.
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, eq=False)
class Plan:
    """What the names and shapes of a state dict determine, by torchvision's names (timm's for stems of several layers).

    `blocks` counts them by stage.
    """

    shapes: Mapping[str, TensorShape]
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
    def features(self) -> int:
        """How many channels the last stage returns."""
        return self.out_channels(f"layer{len(self.blocks)}.{self.blocks[-1] - 1}.conv{3 if self.bottleneck else 2}")

    @cached_property
    def head(self) -> tuple[str, ...]:
        """Names of the head's linear layers and norms in order; empty where it has none."""
        if "fc.weight" in self.shapes:
            return ("fc",)
        return tuple(f"fc.{number}" for number in sorted(int(match[1]) for match in map(HEAD.match, self.shapes) if match))

    @property
    def headless(self) -> bool:
        """Whether there is no classification layer."""
        return not self.head

    @property
    def classes(self) -> int:
        """How many logits the network has; without a head the channels of the last stage stand in for them."""
        return self.features if self.headless else self.shapes[f"{self.head[-1]}.weight"][0]

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
        numbers = sorted(
            int(match[1]) for name, shape in self.shapes.items() if (match := DEEP_STEM.match(name)) and len(shape) == 4
        )
        return tuple(f"conv1.{number}" for number in numbers) or ("conv1",)

    @cached_property
    def statistics(self) -> bool:
        """Whether the norms keep the statistics of training, as batch norms do."""
        return any(name.endswith(RUNNING) and not name.startswith("fc.") for name in self.shapes)

    @cached_property
    def preactivation(self) -> bool:
        """Whether norm and activation stand before each convolution: the norms then have the channels that it reads."""
        place = next((f"layer{stage}.0" for stage in range(1, len(self.blocks) + 1) if self._widens(f"layer{stage}.0")), None)
        return place is not None and self.shapes.get(f"{place}.bn1.weight") == (self._read_by(place),)

    def _widens(self, block: str) -> bool:
        """Whether the block's first convolution returns another number of channels than it reads."""
        weight = self.shapes.get(f"{block}.conv1.weight", ())
        return len(weight) == 4 and weight[0] != weight[1]

    def _read_by(self, block: str) -> int:
        return self.shapes[f"{block}.conv1.weight"][1]

    @property
    def projects(self) -> bool:
        """Whether a shortcut anywhere is a projection."""
        return any(name.endswith("downsample.0.weight") for name in self.shapes)

    def out_channels(self, layer: str) -> int:
        """How many channels a convolution returns."""
        return self.shapes[f"{layer}.weight"][0]


class CheckpointResNet(nn.Module):
    """A ResNet of any shapes on the meta device: (N, 3, H, W) -> logits (N, classes); one of grey images turns colour grey."""

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
            both = bool(plan.head) and plan.shapes[f"{plan.head[0]}.weight"][-1] == 2 * channels
            self.avgpool = BothPoolings() if both else nn.AdaptiveAvgPool2d(1)
            self.fc = _head(plan)

    def _stem(self, plan: Plan) -> None:
        small = len(plan.stem) == 1 and plan.shapes["conv1.weight"][-1] == 3
        layers = [convolution(plan, name, 2 if index == 0 and not small else 1) for index, name in enumerate(plan.stem)]
        if len(layers) == 1:
            self.conv1: nn.Module = layers[0]
        else:
            steps: list[nn.Module] = []
            for layer in layers[:-1]:
                steps += [layer, norm(plan, layer.out_channels), nn.ReLU()]
            self.conv1 = nn.Sequential(*steps, layers[-1])
        self.bn1 = norm(plan, plan.features if plan.preactivation else layers[-1].out_channels)
        if plan.preactivation and "bn1.weight" not in plan.shapes:
            self.bn1 = nn.Identity()
        self.relu: nn.Module = nn.ReLU()
        self.maxpool: nn.Module = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)

    @property
    def stages(self) -> list[nn.Sequential]:
        """The stages of blocks in order."""
        return [self.get_submodule(f"layer{stage}") for stage in range(1, len(self.plan.blocks) + 1)]  # type: ignore[misc]

    @property
    def residual_blocks(self) -> list[CheckpointBlock]:
        """All blocks in order."""
        return [block for stage in self.stages for block in stage]  # type: ignore[misc]

    @property
    def parts(self) -> list[Callable[[Tensor], Tensor]]:
        """What an image passes through before the pooling: the stem, the stages, and the norm after them if there is one."""
        return [self._enter, *self.stages, self._leave]

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> logits (N, classes)."""
        for part in self.parts:
            x = part(x)
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits

    def _enter(self, x: Tensor) -> Tensor:
        if self.plan.channels == 1:
            # A mean of weighted channels: additions of them would look like a block.
            x = torch.cat([3 * share * x[:, index : index + 1] for index, share in enumerate(LUMA)], 1).mean(1, keepdim=True)
        x = self.conv1(x)
        entered: Tensor = self.maxpool(x if self.plan.preactivation else self.relu(self.bn1(x)))
        return entered

    def _leave(self, x: Tensor) -> Tensor:
        if self.plan.preactivation and not isinstance(self.bn1, nn.Identity):
            x = self.relu(self.bn1(x))
        return x


def convolution(plan: Plan, name: str, stride: int = 1, inputs: int | None = None) -> nn.Conv2d:
    """Return the convolution of a name, padded so that only its stride makes the map smaller.

    With `inputs` channels it works in as many groups as its weight's shape says.
    """
    outputs, per_group, kernel, _ = plan.shapes[f"{name}.weight"]
    groups = max(1, (inputs or per_group) // per_group)
    return nn.Conv2d(per_group * groups, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


def norm(plan: Plan, channels: int) -> nn.Module:
    """Return a batch norm, or a group norm of 32 groups where the norms keep no statistics."""
    return nn.BatchNorm2d(channels) if plan.statistics else nn.GroupNorm(math.gcd(GROUPS, channels), channels)


def _block(plan: Plan, name: str, channels: int, stride: int) -> CheckpointBlock:
    layers = 3 if plan.bottleneck else 2
    block = (PreActivationBlock if plan.preactivation else CheckpointBlock)(layers, stride)
    strided = "conv2" if plan.bottleneck else "conv1"
    inputs = channels
    for number in range(1, layers + 1):
        key = f"conv{number}"
        layer = convolution(plan, f"{name}.{key}", stride if key == strided else 1, inputs)
        block.add_module(key, layer)
        block.add_module(f"bn{number}", norm(plan, inputs if plan.preactivation else layer.out_channels))
        inputs = layer.out_channels
    if f"{name}.downsample.0.weight" in plan.shapes:
        projection = convolution(plan, f"{name}.downsample.0", stride)
        after = [norm(plan, projection.out_channels)] if f"{name}.downsample.1.weight" in plan.shapes else []
        block.downsample = nn.Sequential(projection, *after)
    if f"{name}.se.0.weight" in plan.shapes:
        shapes = (plan.shapes[f"{name}.se.0.weight"], plan.shapes[f"{name}.se.1.weight"])
        block.se = SqueezeExcitation(*shapes, bias=f"{name}.se.0.bias" in plan.shapes)
    return block


class BothPoolings(nn.Module):
    """The maximum of each channel, then the average of each, as fastai's heads read them."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, 2 C, 1, 1)."""
        return torch.cat([F.adaptive_max_pool2d(x, 1), F.adaptive_avg_pool2d(x, 1)], 1)


def _head(plan: Plan) -> nn.Module:
    """Return a linear layer, several layers with ReLUs in the gaps of their numbers, or nothing."""
    if plan.headless:
        return nn.Identity()
    if plan.head == ("fc",):
        return nn.Linear(plan.shapes["fc.weight"][1], plan.classes)
    layers: list[nn.Module] = []
    waits = False
    for number in range(int(plan.head[-1].rpartition(".")[2]) + 1):
        shape = plan.shapes.get(f"fc.{number}.weight")
        if shape is None:
            layers.append(nn.ReLU() if waits else nn.Identity())
            waits = False
        elif len(shape) == 2:
            layers.append(nn.Linear(shape[1], shape[0], bias=f"fc.{number}.bias" in plan.shapes))
            waits = True
        else:
            layers.append(nn.BatchNorm1d(shape[0]))
    return nn.Sequential(*layers)
