"""S7: element-wise addition and concatenation, and the cost of the layer after each, against numpy and torch's own counter."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import resnet_viz as rv
from resnet_viz.figures.lessons import addition as figures
from resnet_viz.figures.theme import IDENTITY, RESIDUAL, SUM
from resnet_viz.lessons.addition import next_layer, vectors
from resnet_viz.nets.zoo import blueprint


def test_s07_addition_is_elementwise() -> None:
    found = vectors("1, 2", "[3, 4]")
    assert found.sum == (4.0, 6.0)
    assert found.joined == (1.0, 2.0, 3.0, 4.0)
    rng = np.random.default_rng(0)
    a, b = rng.integers(-9, 9, 5), rng.integers(-9, 9, 5)
    found = vectors(" ".join(map(str, a)), ",".join(map(str, b)))
    assert found.sum == tuple((a + b).tolist())
    assert found.joined == tuple(np.concatenate([a, b]).tolist())


def test_s07_vectors_of_two_lengths_cannot_be_added_but_joined() -> None:
    found = vectors("1, 2", "3")
    assert found.sum is None
    assert found.joined == (1.0, 2.0, 3.0)


@pytest.mark.parametrize("text", ["", "one, two", "1;2", "nan", "inf", "1e9", "1 2 3 4 5 6 7 8 9"])
def test_what_is_no_vector_gets_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="numbers"):
        vectors(text, "1")


@pytest.mark.parametrize("block", ["layer1.0", "layer2.0", "layer2.2", "layer3.2"])
@pytest.mark.parametrize("times", [1, 2])
def test_s07_the_next_layer_costs_what_torch_counts(make_cifar: Callable[..., rv.Net], block: str, times: int) -> None:
    net = make_cifar("A", depth=20)
    found = next_layer(net, block, times=times)
    channels = {"1": 16, "2": 32, "3": 64}[block[5]] * times
    side = {"1": 32, "2": 16, "3": 8}[block[5]]
    layer: nn.Module
    if block == "layer3.2":
        layer, x = nn.Linear(channels, 10), torch.zeros(1, channels)
    else:
        stride = 2 if block == "layer2.2" else 1
        wider = 64 if block == "layer2.2" else {"1": 16, "2": 32}[block[5]]
        layer, x = nn.Conv2d(channels, wider, 3, stride, 1, bias=False), torch.zeros(1, channels, side, side)
    with FlopCounterMode(display=False) as counter:
        layer(x)
    assert found.channels == channels
    assert found.multiply_adds == counter.get_total_flops() // 2
    assert found.parameters == sum(parameter.numel() for parameter in layer.parameters())


def test_a_bottleneck_goes_on_with_a_1x1_convolution() -> None:
    found = next_layer(blueprint("resnet50"), "layer1.0", times=2)
    assert found.words == "1×1 convolution to 64 channels"
    assert found.parameters == 2 * 256 * 64
    assert found.multiply_adds == 2 * 256 * 64 * 56 * 56


def test_a_block_that_is_not_there_gets_a_sentence(make_cifar: Callable[..., rv.Net]) -> None:
    with pytest.raises(ValueError, match=r"no block layer9\.9. Choose one of layer1\.0"):
        next_layer(make_cifar(), "layer9.9")


def test_the_figures_draw_both_operations_in_the_colours_of_their_terms(residual: rv.Inspection) -> None:
    cells = figures.vectors(vectors("1,2", "3,4"))
    colours = [shape.line.color for shape in cells.layout.shapes]
    assert colours == [IDENTITY] * 2 + [RESIDUAL] * 2 + [SUM] * 2 + ([IDENTITY] * 2 + [RESIDUAL] * 2) * 2
    assert cells.layout.meta["finding"] == "[1, 2] + [3, 4] = [4, 6]; their concatenation is [1, 2, 3, 4]"
    block = residual.block("layer2.1")
    assert block.identity is not None
    net = blueprint("resnet20-cifar10")
    real = figures.channels(block.identity, block.residual, next_layer(net, "layer2.1"), next_layer(net, "layer2.1", times=2))
    assert real.layout.meta["finding"] == "Addition keeps 32 channels; concatenation makes 64 of them"
    assert len(real.layout.images) == 7
    assert "cannot be added" in figures.vectors(vectors("1", "1 2")).layout.meta["finding"]
