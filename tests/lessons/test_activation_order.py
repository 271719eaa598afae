"""S8: what both orders of a block's layers leave of the shortcut, against numpy and against the network's own sums."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import resnet_viz as rv
from resnet_viz.engine.wire import decode, encode
from resnet_viz.figures.theme import IDENTITY, SUM
from resnet_viz.lessons.activation_order import DEEPEST, Orders, orders, trail
from resnet_viz.nets.net import Net

MakeImage = Callable[..., Image.Image]
MakeNet = Callable[..., Net]
Values = NDArray[np.floating[Any]]


@pytest.fixture(scope="module")
def found(make_cifar: MakeNet, make_image: MakeImage) -> Orders:
    return orders(make_cifar(), make_image())


def test_s08_only_pre_activation_leaves_the_shortcut_alone(found: Orders) -> None:
    assert found.after.negative[0] == found.before.negative[0] > 0.1
    assert (found.after.negative[1:] == 0).all()
    assert (found.before.negative > 0.1).all()
    assert (found.before.missed < 1e-5).all()
    assert (found.after.missed[1:] > 0.1).all()
    assert found.after.correlation[0] == pytest.approx(1)


@pytest.mark.parametrize("order", ["after", "before"])
def test_s08_one_block_by_hand(order: str) -> None:
    """A block on one pixel row, with the convolutions done as sums in numpy."""
    start = torch.randn(1, 2, 3, 4, generator=torch.Generator().manual_seed(3))
    measured = trail(start, order, 1, 7)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(7)
    first, second = ((torch.randn(2, 2, 3, 3, generator=generator) * (2 / 18) ** 0.5).numpy() for _ in range(2))
    x = start[0].numpy().astype(np.float64)
    if order == "after":
        residual = normed(convolved(np.maximum(normed(convolved(x, first)), 0), second))
        output = np.maximum(x + residual, 0)
    else:
        residual = convolved(np.maximum(normed(convolved(np.maximum(normed(x), 0), first)), 0), second)
        output = x + residual
    assert measured.negative[1] == pytest.approx((output < 0).mean())
    assert measured.correlation[1] == pytest.approx(np.corrcoef(output.ravel(), x.ravel())[0, 1], abs=1e-4)
    missed = np.linalg.norm(output - x - residual) / np.linalg.norm(output)
    assert measured.missed[1] == pytest.approx(missed, abs=1e-4)


def convolved(x: Values, weight: Values) -> Values:
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    summed: Values = np.einsum("ihwkl,oikl->ohw", windows, weight)
    return summed


def normed(x: Values) -> Values:
    scaled: Values = (x - x.mean((1, 2), keepdims=True)) / np.sqrt(x.var((1, 2), keepdims=True) + 1e-5)
    return scaled


@pytest.mark.parametrize("shortcut", ["A", "plain"])
def test_s08_the_cut_is_the_share_of_the_sum_below_zero(shortcut: str, make_cifar: MakeNet, make_image: MakeImage) -> None:
    net, image = make_cifar(shortcut), make_image()
    expected = [float((block.sum < 0).mean()) for block in rv.activations(net, image).blocks]
    np.testing.assert_allclose(orders(net, image).cut, expected, atol=1e-6)


def test_the_same_seed_gives_the_same_curves_and_they_travel(make_cifar: MakeNet, make_image: MakeImage, found: Orders) -> None:
    again = orders(make_cifar(), make_image())
    np.testing.assert_array_equal(again.before.correlation, found.before.correlation)
    assert len(found.after.negative) == DEEPEST + 1
    back = decode(encode(found), Orders, 2**20)
    np.testing.assert_array_equal(back.after.missed, found.after.missed)
    assert found.nbytes == 4 * (6 * (DEEPEST + 1) + 3)


def test_large_features_are_averaged_down(make_imagenet: Callable[[str], Net], make_image: MakeImage) -> None:
    assert orders(make_imagenet("resnet18"), make_image(64, 64)).shape == (64, 32, 32)


def test_figures_say_what_was_found(found: Orders) -> None:
    figure = rv.figures.order_curves(found, "missed", "before", 6)
    said = figure.layout.meta["finding"]
    assert said.startswith(
        f"x₀ and the corrections differ from the output by {found.after.missed[6]:.0%} with the ReLU last, by 0% with"
    )
    assert {trace.line.color for trace in figure.data} == {IDENTITY, SUM}
    assert max(figure.data[0].x) == 6
    bars = rv.figures.cut_bars(found)
    assert f"the last ReLU zeroes {found.cut.mean():.0%} of the entries" in bars.layout.meta["finding"]
