"""Where is the last ReLU, and how does it change what the shortcut carries? Two orders of the same layers at initialisation.

He et al. 2015 place it after the addition. He et al. 2016 (https://arxiv.org/abs/1603.05027, Fig. 4 a and e) compare several
positions and finally move batch norm and ReLU before each convolution:

    after the addition   x' = relu(x + F(x)),  F = bn conv relu bn conv
    pre-activation       x' = x + F(x),        F = conv relu bn conv relu bn

Both chains start from the same convolution weights and the same real features: the output of the network's first convolution
and batch norm for the image, which has negative entries. Only if nothing follows the addition does x_L = x_0 + F_1 + ... + F_L
hold (He et al. 2016, equation 4).
"""

import math
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_viz.analyses.activations import Array
from resnet_viz.nets.blocks import blocks_of
from resnet_viz.nets.known_layers import require_known_layers
from resnet_viz.nets.net import Net

DEEPEST = 54
# Larger features are averaged down to this height and width: the question does not depend on the size.
LARGEST = 32

Order = Literal["after", "before"]


@dataclass(frozen=True, eq=False)
class Trail:
    """What a chain outputs, float32 (blocks + 1,): first the features themselves, then the output of each block.

    `negative` is the share of entries below 0, `correlation` the correlation with the initial features, and `missed` the norm
    of x_L - (x_0 + F_1 + ... + F_L) relative to the norm of x_L.
    """

    negative: Array
    correlation: Array
    missed: Array


@dataclass(frozen=True, eq=False)
class Orders:
    """Both orders on the features of one image, and what the last ReLU zeroes in each block of the network itself.

    `cut` is the share of the sum's entries below 0, float32 (blocks,), in the order of `blocks`. In a plain network, the sum is
    the residual.
    """

    model: str
    title: str
    shape: tuple[int, int, int]
    after: Trail
    before: Trail
    blocks: tuple[str, ...]
    cut: Array

    @property
    def nbytes(self) -> int:
        """Memory of all arrays in bytes."""
        trails = (self.after, self.before)
        rows = (row for trail in trails for row in (trail.negative, trail.correlation, trail.missed))
        return self.cut.nbytes + sum(row.nbytes for row in rows)

    def trail(self, order: Order) -> Trail:
        """Return the chain of that order."""
        return self.after if order == "after" else self.before


def orders(net: Net, image: Image.Image, seed: int = 0) -> Orders:
    """Send an image's features through both chains of 54 blocks, and the image through the network; `seed` sets the weights."""
    require_known_layers(net.title, net.module)
    with torch.inference_mode():
        start, cut = _features_and_cuts(net, image)
        start = F.adaptive_avg_pool2d(start, (min(start.shape[2], LARGEST), min(start.shape[3], LARGEST)))
        after, before = (trail(start, order, DEEPEST, seed) for order in ("after", "before"))
    channels, height, width = start.shape[1:]
    return Orders(net.name, net.title, (channels, height, width), after, before, tuple(net.blocks), _row(cut))


def trail(start: Tensor, order: Order, depth: int, seed: int) -> Trail:
    """Send features (1, C, H, W) through `depth` blocks of one order and measure the output of each block."""
    generator = torch.Generator().manual_seed(seed)
    x, added = start, start
    rows = [_measured(x, start, added)]
    for _ in range(depth):
        first, second = (_weights(start, generator) for _ in range(2))
        residual = _branch(x, order, first, second)
        added = added + residual
        x = x + residual
        if order == "after":
            x = x.relu()
        rows.append(_measured(x, start, added))
    return Trail(*map(_row, zip(*rows, strict=True)))


def _branch(x: Tensor, order: Order, first: Tensor, second: Tensor) -> Tensor:
    if order == "after":
        return _norm(F.conv2d(_norm(F.conv2d(x, first, padding=1)).relu(), second, padding=1))
    return F.conv2d(_norm(F.conv2d(_norm(x).relu(), first, padding=1)).relu(), second, padding=1)


def _norm(x: Tensor) -> Tensor:
    """Batch norm as at the start of training: with the statistics of this image, weight 1 and bias 0."""
    normed: Tensor = F.batch_norm(x, None, None, training=True)
    return normed


def _weights(like: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a 3x3 convolution that keeps the channels as in He et al. 2015b (https://arxiv.org/abs/1502.01852, equation 15)."""
    channels = like.shape[1]
    drawn = torch.randn(channels, channels, 3, 3, generator=generator)
    return drawn.to(like.device) * math.sqrt(2 / (9 * channels))


def _measured(x: Tensor, start: Tensor, added: Tensor) -> tuple[float, float, float]:
    correlation = torch.corrcoef(torch.stack([x.flatten(), start.flatten()]))[0, 1]
    return (x < 0).float().mean().item(), correlation.item(), ((x - added).norm() / x.norm()).item()


def _features_and_cuts(net: Net, image: Image.Image) -> tuple[Tensor, list[float]]:
    twin = net.twin()
    features: list[Tensor] = []
    cuts: list[float] = []

    def cut(_: nn.Module, args: tuple[Tensor, ...]) -> None:
        cuts.append((args[0] < 0).float().mean().item())

    def keep(_: nn.Module, __: object, output: Tensor) -> None:
        features.append(output.float().clone())

    with ExitStack() as hooks:
        hooks.callback(twin.get_submodule("bn1").register_forward_hook(keep).remove)
        for block in blocks_of(twin).values():
            hooks.callback(block.output.register_forward_pre_hook(cut).remove)
        twin(net.preprocess(image))
    return features[0], cuts


def _row(values: object) -> Array:
    row: Array = np.array(values, np.float32)
    return row
