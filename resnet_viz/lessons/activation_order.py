"""Where does the last ReLU stand, and what does that leave of the shortcut? Two orders of the same layers, at initialisation.

He et al. 2015 put it after the addition; He et al. 2016 (https://arxiv.org/abs/1603.05027, Fig. 4 a and e) tried the places one
by one and moved batch norm and ReLU before each convolution:

    after the addition   x' = relu(x + F(x)),  F = bn conv relu bn conv
    pre-activation       x' = x + F(x),        F = conv relu bn conv relu bn

Both chains get the same convolutions and the same real features: what the network's first convolution and batch norm make of
the picture, which is below 0 in places. Only with a shortcut that nothing stands in is x_L = x_0 + F_1 + ... + F_L (He et al.
2016, equation 4).
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
from resnet_viz.nets.net import Net
from resnet_viz.nets.parts import require_known_layers

DEEPEST = 54
# Larger features are averaged down to this many pixels a side: the question is not one of size.
LARGEST = 32

Order = Literal["after", "before"]


@dataclass(frozen=True, eq=False)
class Trail:
    """What a chain hands on, float32 (blocks + 1,): at first the features themselves, then after each block.

    `negative` is the share of entries below 0, `correlation` that with the features at the start, `missed` the size of
    x_L - (x_0 + F_1 + ... + F_L) beside that of x_L.
    """

    negative: Array
    correlation: Array
    missed: Array


@dataclass(frozen=True, eq=False)
class Orders:
    """Both orders on the features of one picture, and what the last ReLU cuts in each block of the network itself.

    `cut` is the share of the sum's entries below 0, float32 (blocks,), by `blocks`; a plain network's sum is its residual.
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
        """Return one of the two."""
        return self.after if order == "after" else self.before


def orders(net: Net, image: Image.Image, seed: int = 0) -> Orders:
    """Send a picture's features through both chains of 54 blocks, and through the network; weights are drawn from `seed`."""
    require_known_layers(net.title, net.module)
    with torch.inference_mode():
        start, cut = _features_and_cuts(net, image)
        start = F.adaptive_avg_pool2d(start, (min(start.shape[2], LARGEST), min(start.shape[3], LARGEST)))
        after, before = (trail(start, order, DEEPEST, seed) for order in ("after", "before"))
    channels, height, width = start.shape[1:]
    return Orders(net.name, net.title, (channels, height, width), after, before, tuple(net.blocks), _row(cut))


def trail(start: Tensor, order: Order, depth: int, seed: int) -> Trail:
    """Send features (1, C, H, W) through `depth` blocks of one order and measure what each hands on."""
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
    """Batch norm as at the start of training: by the picture's own statistics, weight 1 and bias 0."""
    normed: Tensor = F.batch_norm(x, None, None, training=True)
    return normed


def _weights(like: Tensor, generator: torch.Generator) -> Tensor:
    """A 3x3 convolution that keeps the channels, after He et al. 2015b (https://arxiv.org/abs/1502.01852, equation 15)."""
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
            hooks.callback(block.relu.register_forward_pre_hook(cut).remove)
        twin(net.preprocess(image))
    return features[0], cuts


def _row(values: object) -> Array:
    row: Array = np.array(values, np.float32)
    return row
