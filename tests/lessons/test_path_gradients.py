"""The unravelled view: all 2^n paths by their lengths, against every subset computed alone and against a scaled network."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import resnet_viz as rv
from resnet_viz.analyses.capture import capture
from resnet_viz.analyses.path_gradients import PathLengths, PathSamples, path_samples
from resnet_viz.engine.wire import decode, encode
from resnet_viz.figures.lessons.path_gradients import carrying
from resnet_viz.figures.theme import GRADIENT, PLAIN
from resnet_viz.nets.blocks import blocks_of
from resnet_viz.nets.net import Net
from tests.every_network import NETWORKS, SIZE
from tests.own_networks import Blocks, Down, PreActivation, Scaled, Shared

MakeImage = Callable[..., Image.Image]
MakeNet = Callable[..., Net]


def gradient_through(net: Net, image: Image.Image, target: int, lengths: Callable[[tuple[bool, ...]], bool]) -> Tensor:
    """Add up, over every choice of one way per block that is wanted, autograd's gradient through that choice alone.

    The other way of each block is detached, which keeps its values and masks.
    """
    total = torch.zeros(())
    for choice in itertools.product((False, True), repeat=len(net.blocks)):
        if not lengths(choice):
            continue
        twin = net.twin()
        for block, branch in zip([module for module in twin.modules() if hasattr(module, "fork")], choice, strict=True):
            closed = block.shortcut if branch else block.residual
            closed.register_forward_hook(lambda _, __, output: output.detach())  # type: ignore[union-attr]
        with capture(twin) as tapes:
            logits = twin(net.preprocess(image).requires_grad_())
        total = total + torch.autograd.grad(logits[0, target], tapes[0].input)[0][0]
    return total


@pytest.mark.parametrize("shortcut", ["A", "B", "C"])
def test_each_coefficient_is_the_sum_over_all_paths_of_its_length(
    shortcut: str, make_cifar: MakeNet, make_image: MakeImage
) -> None:
    net, image = make_cifar(shortcut, depth=14), make_image()
    found = rv.path_gradients(net, image, target=3)
    assert found.counts.tolist() == [math.comb(6, k) for k in range(7)]
    for length in range(7):
        expected = gradient_through(net, image, 3, lambda choice, length=length: sum(choice) == length).numpy()  # type: ignore[misc]
        scale = np.abs(found.coefficients).max()
        np.testing.assert_allclose(found.coefficients[length], expected, atol=2e-6 * scale)
    assert found.lengths.shares.sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_the_coefficients_add_up_to_the_gradient_at_the_first_block(
    name: str, make_imagenet: Callable[[str], Net], make_image: MakeImage
) -> None:
    net, image = make_imagenet(name), make_image(64, 64)
    found, inspected = rv.path_gradients(net, image), rv.inspect(net, image)
    expected = inspected.blocks[0].grad_input
    assert found.coefficients.shape == (len(net.blocks) + 1, *expected.shape)
    np.testing.assert_allclose(found.coefficients.sum(0), expected, atol=1e-5 * np.abs(expected).max())
    assert found.lengths.target == inspected.target
    norm = rv.gradients(net, image).blocks[0].total
    assert np.linalg.norm(found.coefficients.sum(0)) == pytest.approx(norm, rel=1e-5)


class Faded(nn.Module):
    """A residual chain whose branches are scaled by t in the backward pass alone."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weights = [torch.randn(6, 6, generator=generator, dtype=torch.float64) * 0.5 for _ in range(5)]

    def forward(self, x: Tensor, t: float) -> Tensor:
        for weight in self.weights:
            branch = torch.tanh(x @ weight)
            x = torch.relu(x + branch.detach() + t * (branch - branch.detach()))
        return x.sum()


def test_a_network_scaled_by_t_has_the_coefficients_as_its_polynomial() -> None:
    """Finite interpolation in float64, independent of how the coefficients are carried."""

    class Block(nn.Module):
        def __init__(self, weight: Tensor) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 6, bias=False)
            self.layer.weight = nn.Parameter(weight.T.float())

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(x + torch.tanh(self.layer(x)))

    class Network(nn.Module):
        def __init__(self, weights: list[Tensor]) -> None:
            super().__init__()
            self.stem, self.blocks = nn.Conv2d(3, 6, 3), nn.Sequential(*map(Block, weights))

        def forward(self, x: Tensor) -> Tensor:
            return self.blocks(self.stem(x).mean((2, 3))).sum(1, keepdim=True)

    faded = Faded(0)
    torch.manual_seed(0)
    module = Network(faded.weights)
    preprocessing = rv.Preprocessing(16, 16, (0.5,) * 3, (0.5,) * 3)
    net = rv.from_module(module, labels=["all"], preprocessing=preprocessing)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))
    start = module.stem(net.preprocess(image)).mean((2, 3)).detach().double().requires_grad_()
    points = np.cos(np.pi * (np.arange(6) + 0.5) / 6)
    values = [torch.autograd.grad(faded(start, t), start)[0].numpy()[0] for t in points]
    expected = np.linalg.solve(np.vander(points, increasing=True), np.array(values))
    found = rv.path_gradients(net, image)
    assert found.counts.tolist() == [1, 5, 10, 10, 5, 1]
    np.testing.assert_allclose(found.coefficients.reshape(6, 6), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["sequence first", "folded", "transformer", "timm ResNet-D"])
def test_networks_of_tokens_add_up_wherever_the_axis_of_images_is(kind: str, make_image: MakeImage) -> None:
    """Against autograd at the input of the first block."""
    torch.manual_seed(0)
    net = rv.from_module(NETWORKS[kind](), preprocessing=rv.Preprocessing(SIZE, SIZE, (0.5,) * 3, (0.5,) * 3))
    image, twin, kept = make_image(SIZE, SIZE), net.twin(), list[Tensor]()
    next(iter(blocks_of(twin).values())).fork.register_forward_pre_hook(lambda _, args: kept.append(args[0]))
    with torch.enable_grad():
        logit = twin(net.preprocess(image).requires_grad_())[0, 1]
    expected = torch.autograd.grad(logit, kept[0])[0].squeeze().numpy()
    found = rv.path_gradients(net, image, 1)
    np.testing.assert_allclose(found.coefficients.sum(0), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert np.linalg.norm(found.coefficients.sum(0)) == pytest.approx(np.linalg.norm(expected), rel=1e-4)
    assert found.lengths.shares.sum() == pytest.approx(1, abs=1e-4)


def test_networks_of_ones_own_add_up_too(make_image: MakeImage) -> None:
    torch.manual_seed(0)
    module = Blocks(Shared(), PreActivation(), Scaled(), Down("projection"), channels=16)
    net = rv.from_module(module, preprocessing=rv.Preprocessing(16, 16, (0.5,) * 3, (0.5,) * 3))
    found, expected = rv.path_gradients(net, make_image(16, 16)), rv.inspect(net, make_image(16, 16)).blocks[0].grad_input
    np.testing.assert_allclose(found.coefficients.sum(0), expected, atol=1e-6 * max(1, np.abs(expected).max()))
    assert found.counts.tolist() == [1, 4, 6, 4, 1]


def test_a_plain_network_has_one_path(make_cifar: MakeNet, make_image: MakeImage) -> None:
    net, image = make_cifar("plain", depth=8), make_image()
    found = rv.path_gradients(net, image)
    assert found.counts.tolist() == [0, 0, 0, 1]
    assert not found.coefficients[:3].any()
    expected = rv.inspect(net, image).blocks[0].grad_residual
    np.testing.assert_allclose(found.coefficients[3], expected, atol=1e-6 * np.abs(expected).max())
    with pytest.raises(ValueError, match="take path_gradients, which needs no sampling"):
        path_samples(net, image)


def test_sampled_paths_are_single_paths_and_estimate_the_coefficients(make_cifar: MakeNet, make_image: MakeImage) -> None:
    net, image = make_cifar("B", depth=14), make_image()
    exact, sampled = rv.path_gradients(net, image, 3), path_samples(net, image, 3, samples=200)
    # There is one path of length 0 and one of length 6: each sample is the coefficient itself.
    for end in (0, 6):
        np.testing.assert_allclose(sampled.norms[end], exact.lengths.norms[end], rtol=1e-4)
        np.testing.assert_allclose(sampled.shares[end], exact.lengths.shares[end], atol=1e-6)
    first = gradient_through(net, image, 3, lambda choice: choice == (True, *[False] * 5))
    assert np.isclose(sampled.norms[1], float(first.norm()), rtol=1e-4).any()
    # Six paths of length 1: after 200 draws all of them were drawn.
    assert len(np.unique(sampled.norms[1].round(6))) == 6
    away = np.abs(sampled.estimates - exact.lengths.shares)
    assert (away <= 4 * sampled.errors + 1e-6).all()


def test_progress_is_reported_and_hooks_are_gone(
    make_cifar: MakeNet, make_image: MakeImage, count_hooks: Callable[[nn.Module], int]
) -> None:
    net, image, told = make_cifar("A", depth=8), make_image(), []
    rv.path_gradients(net, image, on_block=lambda *step: told.append(step))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert count_hooks(net.module) == 0

    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        path_samples(net, image, on_length=stop)
    assert count_hooks(net.module) == 0
    with pytest.raises(ValueError, match="choose 1 or more"):
        path_samples(net, image, samples=0)
    with pytest.raises(ValueError, match="target 99 is outside"):
        rv.path_gradients(net, image, 99)


def test_figures_say_which_lengths_carry_the_gradient(make_cifar: MakeNet, make_image: MakeImage) -> None:
    net, image = make_cifar("A", depth=14), make_image()
    lengths, samples = rv.path_gradients(net, image).lengths, path_samples(net, image, samples=3)
    figure = rv.figures.path_shares(lengths, samples)
    paths, gradient, sampled = figure.data
    assert list(paths.y) == [count / 64 for count in (1, 6, 15, 20, 15, 6, 1)]
    np.testing.assert_allclose(gradient.y, lengths.shares)
    assert (paths.marker.color, gradient.marker.color) == (PLAIN, GRADIENT)
    np.testing.assert_allclose(sampled.error_y.array, 2 * samples.errors)
    made_up = replace(lengths, shares=np.array([0.02, 0.4, 0.3, 0.25, 0.03, 0, 0]))
    assert carrying(made_up) == pytest.approx((1, 3, 0.95))
    assert rv.figures.path_shares(made_up).layout.meta["finding"].startswith("Paths through 1 to 3 of 6 branches carry 95%")
    # A part that points against the gradient is made up for by others.
    assert carrying(replace(lengths, shares=np.array([-0.5, 0.5, 0.5, 0.5, 0, 0, 0]))) == (1, 2, 1.0)
    single = rv.figures.single_paths(samples)
    assert len(single.data[0].x) == 21
    np.testing.assert_allclose(single.data[1].y, samples.norms.mean(1))
    plain = rv.path_gradients(make_cifar("plain"), image).lengths
    assert "has no shortcuts" in rv.figures.path_shares(plain).layout.meta["finding"]


def test_results_travel(make_cifar: MakeNet, make_image: MakeImage) -> None:
    net, image = make_cifar("A", depth=8), make_image()
    for answer in (rv.path_gradients(net, image).lengths, path_samples(net, image, samples=2)):
        kind: Any = type(answer)
        again: PathLengths | PathSamples = decode(encode(answer), kind, 2**22)
        np.testing.assert_array_equal(again.norms, answer.norms)
        assert again.paths == answer.paths
