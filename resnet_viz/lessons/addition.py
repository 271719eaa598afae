"""Addition compared with concatenation: their effect on two vectors, on a block's channels, and on the next layer's cost.

A residual block adds element by element (He et al. 2015, https://arxiv.org/abs/1512.03385, equation 1), which keeps the number
of channels. Concatenation doubles it, and the next layer needs more parameters and multiply-adds for that.
"""

from dataclasses import dataclass

import torch
from torch import nn

from resnet_viz.nets.architecture import architecture
from resnet_viz.nets.known_layers import layers_of, require_known_layers
from resnet_viz.nets.net import Net

LONGEST = 8


@dataclass(frozen=True)
class Vectors:
    """Two vectors, their sum (None if the lengths differ), and their concatenation."""

    left: tuple[float, ...]
    right: tuple[float, ...]
    sum: tuple[float, ...] | None
    joined: tuple[float, ...]


@dataclass(frozen=True)
class NextLayer:
    """The layer that takes a block's output, for an output of `channels` channels.

    `words` describe the layer, for example "3×3 convolution to 32 channels"; `parameters` counts its weights, and the biases of
    a linear layer.
    """

    words: str
    channels: int
    parameters: int
    multiply_adds: int


def vectors(left: str, right: str) -> Vectors:
    """Read two vectors from text such as "1, 2", then add and concatenate them; ValueError for invalid text."""
    a, b = _numbers(left), _numbers(right)
    added = tuple(x + y for x, y in zip(a, b, strict=True)) if len(a) == len(b) else None
    return Vectors(a, b, added, a + b)


def next_layer(net: Net, block: str, *, times: int = 1) -> NextLayer:
    """Return the cost of the layer after a block if the block output `times` as many channels; the network is not run.

    ValueError for a block that the network does not have.
    """
    require_known_layers(net.title, net.module)
    names = list(net.blocks)
    if block not in names:
        raise ValueError(f"{net.title} has no block {block}. Choose one of {', '.join(names)}")
    channels, height, width = next(part.output for part in architecture(net) if part.name == block)
    place = names.index(block) + 1
    layer = _first(layers_of(net.module, net.blocks[names[place]])) if place < len(names) else _head(net.module)
    return _linear(layer, channels * times) if isinstance(layer, nn.Linear) else _conv(layer, channels * times, height, width)


def _numbers(text: str) -> tuple[float, ...]:
    words = text.replace(",", " ").replace("[", " ").replace("]", " ").split()
    try:
        found = tuple(float(word) for word in words)
    except ValueError:
        raise ValueError(f"“{text}” is not a vector. Write numbers separated by commas, for example 1, 2.") from None
    if not 1 <= len(found) <= LONGEST or any(not abs(number) < 1e6 for number in found):
        raise ValueError(f"A vector has one to {LONGEST} numbers below a million. Separate them by commas, for example 1, 2.")
    return found


def _first(block: nn.Module) -> nn.Conv2d:
    conv: nn.Conv2d = block.get_submodule("conv1")  # type: ignore[assignment]  # every block has one
    return conv


def _head(module: nn.Module) -> nn.Linear:
    layer: nn.Linear = module.get_submodule("fc")  # type: ignore[assignment]  # every network has one
    return layer


def _conv(layer: nn.Conv2d, channels: int, height: int, width: int) -> NextLayer:
    size, stride, padding = layer.kernel_size, layer.stride, layer.padding
    wider = nn.Conv2d(channels, layer.out_channels, size, stride, padding, bias=False, device="meta")  # type: ignore[arg-type]
    made = wider(torch.empty(1, channels, height, width, device="meta"))
    words = f"{size[0]}×{size[1]} convolution to {layer.out_channels} channels"
    weights = wider.weight.numel()
    return NextLayer(words, channels, weights, weights * made.shape[2] * made.shape[3])


def _linear(layer: nn.Linear, channels: int) -> NextLayer:
    wider = nn.Linear(channels, layer.out_features, device="meta")
    words = f"linear layer to {layer.out_features} classes"
    weights = wider.weight.numel()
    return NextLayer(words, channels, weights + wider.bias.numel(), weights)
