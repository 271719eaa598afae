"""Four small networks for super-resolution that differ only in how their input reaches the output.

    plain    conv - ReLU - ... - conv: the whole image has to pass through every layer
    global   the same layers, with the input added at the end (Kim et al. 2016, https://arxiv.org/abs/1511.04587)
    blocks   the same number of layers as a chain of residual blocks (He et al. 2015), without an end-to-end skip connection
    shuffle  three layers at low resolution whose channels become pixels (Shi et al. 2016, https://arxiv.org/abs/1609.05158),
             added to the bicubic image

Each takes the luminance, values / 255, and has no batch norm. Weights are drawn as in He et al. 2015b
(https://arxiv.org/abs/1502.01852), except that the last layer before each addition starts at 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_viz.lessons.super_resolution import FACTORS


@dataclass(frozen=True)
class Design:
    """A network's name, its title on a page, and what it does with its input."""

    name: str
    title: str
    sentence: str


DESIGNS: dict[str, Design] = {
    design.name: design
    for design in (
        Design("plain", "Plain", "must reproduce the whole image through every layer"),
        Design("global", "Global residual", "adds the bicubic image at the end, so it learns only the residual"),
        Design("blocks", "Residual blocks", "has a skip connection around every two layers, but none from input to output"),
        Design("shuffle", "Bicubic + small CNN", "works on the few pixels of the low-resolution image"),
    )
}
SHUFFLE_CHANNELS = 32


class SuperResolver(nn.Module):
    """The interface of all four: `net(upsampled, low, factor)`, luminances (N, 1, H, W) and (N, 1, h, w) -> (N, 1, H, W)."""

    def forward(self, upsampled: Tensor, low: Tensor, factor: int) -> Tensor:
        """Return the luminance at high resolution."""
        raise NotImplementedError


class PlainChain(SuperResolver):
    """`depth` convolutions with a ReLU after each but the last."""

    def __init__(self, depth: int, channels: int) -> None:
        super().__init__()
        self.head = _conv(1, channels)
        self.body = nn.ModuleList(_conv(channels, channels) for _ in range(depth - 2))
        self.tail = _conv(channels, 1)

    def forward(self, upsampled: Tensor, low: Tensor, factor: int) -> Tensor:  # noqa: ARG002 - see SuperResolver
        """Pass the input through every layer."""
        x = self.head(upsampled).relu()
        for layer in self.body:
            x = layer(x).relu()
        output: Tensor = self.tail(x)
        return output


class GlobalResidual(PlainChain):
    """The same layers; their output is the residual."""

    def forward(self, upsampled: Tensor, low: Tensor, factor: int) -> Tensor:
        """Add the residual once, at the end of the network."""
        return upsampled + super().forward(upsampled, low, factor)


class Block(nn.Module):
    """A residual block without batch norm: conv - ReLU - conv, plus the identity, then ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _conv(channels, channels)
        self.conv2 = _conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        output: Tensor = (x + self.conv2(self.conv1(x).relu())).relu()
        return output


class ResidualBlocks(SuperResolver):
    """One convolution, blocks of two convolutions, and one last convolution: `depth` convolutions altogether."""

    def __init__(self, depth: int, channels: int) -> None:
        super().__init__()
        self.head = _conv(1, channels)
        self.body = nn.Sequential(*(Block(channels) for _ in range((depth - 2) // 2)))
        self.tail = _conv(channels, 1)

    def forward(self, upsampled: Tensor, low: Tensor, factor: int) -> Tensor:  # noqa: ARG002 - see SuperResolver
        """Pass the input through every block."""
        output: Tensor = self.tail(self.body(self.head(upsampled).relu()))
        return output


class PixelShuffle(SuperResolver):
    """Two convolutions at low resolution, shared by all factors, and one per factor with factor² output channels."""

    def __init__(self, factors: Sequence[int]) -> None:
        super().__init__()
        self.head = _conv(1, SHUFFLE_CHANNELS, 5)
        self.body = _conv(SHUFFLE_CHANNELS, SHUFFLE_CHANNELS)
        self.tails = nn.ModuleDict({str(factor): _conv(SHUFFLE_CHANNELS, factor**2) for factor in factors})

    def forward(self, upsampled: Tensor, low: Tensor, factor: int) -> Tensor:
        """Return the bicubic image plus the channels rearranged into pixels."""
        features = self.body(self.head(low).relu()).relu()
        return upsampled + F.pixel_shuffle(self.tails[str(factor)](features), factor)


def build(name: str, depth: int, channels: int, factors: Sequence[int] = FACTORS, seed: int = 0) -> SuperResolver:
    """Build one of DESIGNS with seeded weights; ValueError for another name, or a depth that is odd or under 4."""
    if name not in DESIGNS:
        raise ValueError(f"there is no network called {name!r}: choose one of {', '.join(DESIGNS)}")
    if depth < 4 or depth % 2:
        raise ValueError(f"{depth} layers cannot be divided into blocks of two. Choose an even number from 4 upwards.")
    # On the meta device no random number is drawn, so torch's global generator keeps its state.
    with torch.device("meta"):
        net = _layers(name, depth, channels, factors)
    net.to_empty(device="cpu")
    _initialise(net, torch.Generator().manual_seed(seed))
    return net


def parameters(net: nn.Module) -> int:
    """The number of trainable parameters."""
    return sum(parameter.numel() for parameter in net.parameters())


def multiply_adds(net: SuperResolver, factor: int) -> float:
    """Multiply-adds for one pixel of the target."""
    layers = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]
    if isinstance(net, PixelShuffle):
        layers = [net.head, net.body, net.tails[str(factor)]]  # type: ignore[list-item]  # a ModuleDict forgets types
        return sum(layer.weight.numel() for layer in layers) / factor**2
    return float(sum(layer.weight.numel() for layer in layers))


def _layers(name: str, depth: int, channels: int, factors: Sequence[int]) -> SuperResolver:
    if name == "shuffle":
        return PixelShuffle(factors)
    return {"plain": PlainChain, "global": GlobalResidual, "blocks": ResidualBlocks}[name](depth, channels)


@torch.no_grad()
def _initialise(net: SuperResolver, generator: torch.Generator) -> None:
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            fan_in = layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1]
            layer.weight.normal_(0, math.sqrt(2 / fan_in), generator=generator)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # each has one
    added = [block.conv2 for block in net.modules() if isinstance(block, Block)]
    if isinstance(net, GlobalResidual):
        added.append(net.tail)
    if isinstance(net, PixelShuffle):
        added += list(net.tails.children())  # type: ignore[arg-type]  # a ModuleDict forgets types
    for layer in added:
        nn.init.zeros_(layer.weight)


def _conv(inputs: int, outputs: int, size: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, padding=size // 2)
