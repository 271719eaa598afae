"""ResNets as people write them, in forward passes that the product has to tell apart; independent of its own blocks."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import functional as transforms

SAMPLES = Path(__file__).parents[1] / "assets" / "samples"
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)

Activation = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Ways:
    """How a network runs: all that its tensors do not say."""

    stride_first: bool = False
    activation: Activation = F.relu
    stem_stride: int = 1
    stem_padding: int = 1
    pool: Literal["", "max"] = ""
    shortcut: Literal["projection", "pooled projection", "pad", "pad last", "pooled pad", "none"] = "projection"
    last_stride: int = 2
    epsilon: float = 1e-5


class Block(nn.Module):
    """Two 3x3 convolutions, or a bottleneck."""

    def __init__(self, inputs: int, outputs: int, stride: int, ways: Ways, *, bottleneck: bool) -> None:
        super().__init__()
        self.ways, self.stride = ways, stride
        kernels, width = ((1, 3, 1), outputs // 4) if bottleneck else ((3, 3), outputs)
        strided = 1 if bottleneck and not ways.stride_first else 0
        channels = [inputs, *([width] * (len(kernels) - 1)), outputs]
        for index, kernel in enumerate(kernels):
            place = stride if index == strided else 1
            self.add_module(
                f"conv{index + 1}", nn.Conv2d(channels[index], channels[index + 1], kernel, place, kernel // 2, bias=False)
            )
            self.add_module(f"bn{index + 1}", nn.BatchNorm2d(channels[index + 1], eps=ways.epsilon))
        self.layers = len(kernels)
        self.grows = outputs - inputs
        if ways.shortcut.endswith("projection") and (stride > 1 or self.grows):
            own = 1 if ways.shortcut.startswith("pooled") else stride
            self.downsample: nn.Module | None = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, own, bias=False), nn.BatchNorm2d(outputs, eps=ways.epsilon)
            )
        else:
            self.downsample = None

    def forward(self, x: Tensor) -> Tensor:
        out = x
        for index in range(1, self.layers + 1):
            out = self.get_submodule(f"bn{index}")(self.get_submodule(f"conv{index}")(out))
            if index < self.layers:
                out = self.ways.activation(out)
        return self._joined(out, x)

    def _joined(self, out: Tensor, x: Tensor) -> Tensor:
        ways = self.ways
        if ways.shortcut == "none":
            return ways.activation(out)
        if self.stride > 1 and ways.shortcut.startswith("pooled"):
            x = F.avg_pool2d(x, 2)
        elif self.stride > 1 and self.downsample is None:
            x = x[:, :, ::2, ::2]
        if self.downsample is not None:
            x = self.downsample(x)
        elif self.grows:
            before = 0 if ways.shortcut == "pad last" else self.grows // 2
            x = F.pad(x, (0, 0, 0, 0, before, self.grows - before))
        return ways.activation(out + x)


class Network(nn.Module):
    """Three stages of a block behind a 3x3 stem, by torchvision's names; 5 classes."""

    def __init__(self, ways: Ways = Ways(), *, bottleneck: bool = False, channels: int = 3, width: int = 8) -> None:
        super().__init__()
        self.ways = ways
        widths = [width * factor * (4 if bottleneck else 1) for factor in (1, 2, 4)]
        self.conv1 = nn.Conv2d(channels, width, 3, ways.stem_stride, ways.stem_padding, bias=False)
        self.bn1 = nn.BatchNorm2d(width, eps=ways.epsilon)
        inputs = width
        for stage, outputs in enumerate(widths, 1):
            stride = {1: 1, 2: 2, 3: ways.last_stride}[stage]
            self.add_module(f"layer{stage}", nn.Sequential(Block(inputs, outputs, stride, ways, bottleneck=bottleneck)))
            inputs = outputs
        self.fc = nn.Linear(inputs, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.ways.activation(self.bn1(self.conv1(x)))
        if self.ways.pool:
            x = F.max_pool2d(x, 3, 2, 1)
        for stage in (1, 2, 3):
            x = self.get_submodule(f"layer{stage}")(x)
        return self.fc(x.mean((2, 3)))


def photos(size: int = 32, count: int = 48) -> Tensor:
    """Sample photos at other crops than the product takes, as CIFAR's preprocessing has them: (N, 3, size, size)."""
    found = []
    for path in sorted(SAMPLES.glob("*-photo.jpg")):
        photo = Image.open(path).convert("RGB")
        for factor in (1.0, 1.25, 1.75):
            resized = transforms.resize(photo, [int(size * factor)])
            found.append(transforms.to_tensor(transforms.hflip(transforms.center_crop(resized, [size]))))
    return transforms.normalize(torch.stack(found[:count]), list(MEAN), list(STD))


def lived_in(net: nn.Module, images: Tensor, seed: int = 0) -> nn.Module:
    """Draw the norms' weights and give them the statistics of images, as training does; returns it in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            with torch.no_grad():
                layer.weight.normal_(0, (2 / (layer.weight[0].numel())) ** 0.5, generator=generator)
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
            nn.init.uniform_(layer.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(layer.bias, std=0.2, generator=generator)
    with torch.no_grad():
        net.train()(images)
    return net.eval()
