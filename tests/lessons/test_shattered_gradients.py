"""Shattered gradients: the autocorrelation by hand, and plain networks lose it with depth where residual ones keep it."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import resnet_viz as rv
from resnet_viz.engine.wire import decode, encode
from resnet_viz.lessons.shattered_gradients import autocorrelation
from resnet_viz.nets.net import Net

MakeImage = Callable[..., Image.Image]
MakeNet = Callable[..., Net]


def test_autocorrelation_by_hand() -> None:
    # Mean 0; products at lag 1 are 1 * -1 three times, at lag 2 all 1.
    alternating = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])
    np.testing.assert_allclose(autocorrelation(alternating, 2), [1, -1, 1])
    line = torch.tensor([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [3.0, 1.0]])
    # About the mean -1.5, -0.5, 0.5, 1.5: products 0.75, -0.25, 0.75 and a mean square of 1.25.
    np.testing.assert_allclose(autocorrelation(line, 1), [1, (1.25 / 3) / 1.25])


def test_white_noise_has_none_and_a_random_walk_has_much() -> None:
    noise = torch.randn(64, 2000, generator=torch.Generator().manual_seed(0))
    white, brown = autocorrelation(noise, 10), autocorrelation(noise.cumsum(0), 10)
    assert np.abs(white[1:]).max() < 0.05
    assert brown[1] > 0.8


def test_gradients_are_those_along_the_line(make_cifar: MakeNet, make_image: MakeImage) -> None:
    net, image = make_cifar("A"), make_image()
    trained = rv.Net(
        net.name, net.title, net.module, net.labels, net.preprocessing, type(net.weights)("checkpoint", "made in a test")
    )
    found = rv.shattered_gradients(trained, image, target=1, points=6)
    x = net.preprocess(image)
    gradients = []
    for share in (0, 0.2, 0.4, 0.6, 0.8, 1):
        point = (share * x).requires_grad_()
        gradients.append(torch.autograd.grad(net.module(point)[0, 1], point)[0].flatten())
    np.testing.assert_allclose(found.values, autocorrelation(torch.stack(gradients), 3), atol=1e-4)
    np.testing.assert_allclose(found.lags, [0, 0.2, 0.4, 0.6])


def test_deep_plain_networks_shatter_and_residual_ones_less() -> None:
    """Balduzzi et al. 2017, figure 1: white noise in the plain network, correlation in the residual one."""
    image = Image.open(rv_sample())
    near = {}
    for name in ("plain56-cifar10", "resnet56-cifar10"):
        net = rv.load(name, weights=None, device="cpu")
        before = {key: value.clone() for key, value in net.module.state_dict().items()}
        near[name] = rv.shattered_gradients(net, image, points=24).values[1]
        # Statistics were taken on a copy.
        assert all(torch.equal(value, before[key]) for key, value in net.module.state_dict().items())
    assert abs(near["plain56-cifar10"]) < 0.1
    assert near["resnet56-cifar10"] > 0.2


def rv_sample() -> str:
    from resnet_viz import assets  # noqa: PLC0415 - only this test opens a photo

    return str(assets.SAMPLES_FOLDER / "cifar-cat.jpg")


def test_reach_figure_and_wire(make_cifar: MakeNet, make_image: MakeImage) -> None:
    found = rv.shattered_gradients(make_cifar("A"), make_image(), points=8)
    kind: Any = rv.Autocorrelation
    again: rv.Autocorrelation = decode(encode(found), kind, 2**22)
    np.testing.assert_array_equal(again.values, found.values)
    values = np.array([1, 0.75, 0.25])
    made_up = rv.Autocorrelation("plain9", "P", found.weights, 0, "cat", 3, np.array([0, 0.1, 0.2]), values)
    assert made_up.reach == pytest.approx(0.15)
    assert math.isinf(rv.Autocorrelation("r", "R", found.weights, 0, "cat", 2, np.array([0.0, 1]), np.ones(2)).reach)
    figure = rv.figures.gradient_autocorrelation([made_up, found])
    assert [trace.line.dash for trace in figure.data] == ["dash", "solid"]
    assert "P: 0.75" in figure.layout.meta["finding"]
    with pytest.raises(ValueError, match="choose 4 or more"):
        rv.shattered_gradients(make_cifar("A"), make_image(), points=3)
