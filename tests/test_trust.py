"""Deletion, insertion and randomisation by hand; the two metrics against their definitions, on the same noise."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from resnet_viz.analyses.attribution import Attribution, attribute
from resnet_viz.analyses.context import explain
from resnet_viz.analyses.trust import infidelity, perturbation, randomisation, rank_correlation, robustness, sensitivity
from resnet_viz.nets.cifar import CifarResNet
from resnet_viz.nets.initialisation import initialise
from resnet_viz.nets.net import Net, WeightsOrigin
from resnet_viz.nets.own_modules import from_module
from resnet_viz.nets.preprocessing import Preprocessing
from resnet_viz.nets.zoo import CIFAR_PREPROCESSING, load

MakeImage = Callable[..., Image.Image]


@pytest.fixture(scope="module")
def net() -> Net:
    return load("resnet20-cifar10", device="cpu")


@pytest.fixture(scope="module")
def linear() -> Net:
    """F(x) = W x + b: its gradient predicts exactly the change of the logit."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 4)).eval().requires_grad_(requires_grad=False)
    preprocessing = Preprocessing(16, 16, (0.5, 0.4, 0.3), (0.25, 0.5, 0.2))
    return Net("linear", "Linear", module, tuple("abcd"), preprocessing, WeightsOrigin("untrained", "by hand"))


def test_deletion_replaces_the_highest_pixels_first(net: Net, make_image: MakeImage) -> None:
    image = make_image()
    found = attribute(net, image, "saliency")
    curves = perturbation(net, image, found, steps=4, baseline="black")
    explained = explain(net, image)
    ground = explained.baseline("black")
    order = np.argsort(-found.map.ravel(), kind="stable")
    for step, share in enumerate(curves.deletion.shares):
        picture = explained.x.clone().reshape(3, -1)
        gone = torch.from_numpy(order[: round(share * order.size)].copy())
        picture[:, gone] = ground.reshape(3, -1)[:, gone]
        with torch.no_grad():
            expected = net.module(picture.reshape(1, 3, 32, 32)).softmax(1)[0, found.target].item()
        assert curves.deletion.probabilities[step] == pytest.approx(expected, abs=1e-5)


def test_both_ends_of_the_curves_are_the_picture_and_the_baseline(net: Net, make_image: MakeImage) -> None:
    image = make_image()
    curves = perturbation(net, image, attribute(net, image), steps=8)
    for taken, given in ((curves.deletion, curves.insertion), (curves.random_deletion, curves.random_insertion)):
        assert taken.probabilities[0] == pytest.approx(given.probabilities[-1], abs=1e-6)
        assert taken.probabilities[-1] == pytest.approx(given.probabilities[0], abs=1e-6)
        assert 0 <= taken.area <= 1
        assert taken.area == pytest.approx(float(np.trapezoid(taken.probabilities, taken.shares)))


def test_randomisation_leaves_the_network_alone_and_a_trained_map_changes(net: Net, make_image: MakeImage) -> None:
    image = make_image()
    before = {name: tensor.clone() for name, tensor in net.module.state_dict().items()}
    steps: list[tuple[int, int]] = []
    found = attribute(net, image, "saliency")
    again = randomisation(net, image, found, on_step=lambda *step: steps.append(step))
    assert list(again.layers) == ["head", *reversed(net.blocks)]
    assert steps[-1] == (10, 10)
    assert all(value is not None for value in again.correlations)
    assert (again.correlations[-1] or 0) < 0.6
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.module.state_dict().items())


def test_guided_backprop_hardly_depends_on_the_head_as_published(net: Net, make_image: MakeImage) -> None:
    image = make_image()
    guided, plain = (attribute(net, image, method) for method in ("guided_backprop", "saliency"))
    first, second = (randomisation(net, image, each).correlations[0] for each in (guided, plain))
    assert first is not None
    assert second is not None
    assert first > second


def test_rank_correlation_by_hand() -> None:
    first = np.array([1, 2, 3, 4, 5], np.float32)
    # Spearman's formula without ties: 1 - 6 * sum(d^2) / (n (n^2 - 1)), here with d = 0, 1, 1, 1, 1.
    assert rank_correlation(first, np.array([1, 3, 2, 5, 4], np.float32)) == pytest.approx(1 - 6 * 4 / 120)
    assert rank_correlation(first, first**3) == pytest.approx(1)
    assert rank_correlation(first, -first) == pytest.approx(-1)
    # Ties share their mean rank.
    assert rank_correlation(np.array([1, 1, 2], np.float32), np.array([0, 0, 9], np.float32)) == pytest.approx(1)


def test_infidelity_is_0_for_the_map_that_predicts_a_linear_logit(linear: Net, make_image: MakeImage) -> None:
    """The change of W x + b under a perturbation d is W d, which is what its gradient predicts; any multiple scales to it."""
    image = make_image(16, 16)
    exact = attribute(linear, image, "saliency", 1)
    scale = float(np.square(exact.attributions).sum())
    assert infidelity(linear, image, exact, samples=16) == pytest.approx(0, abs=1e-6 * scale)
    assert infidelity(linear, image, replace(exact, attributions=-3 * exact.attributions), 16) == pytest.approx(
        0, abs=1e-6 * scale
    )
    other = attribute(linear, image, "saliency", 2)
    assert infidelity(linear, image, replace(other, target=1), samples=16) > 1e-3 * scale


def test_infidelity_is_its_definition_on_the_same_noise(net: Net, make_image: MakeImage) -> None:
    """Yeh et al. 2019, equation 1 and section 3: the mean of (b I d - (F(x) - F(x - d)))^2 with the best factor b."""
    image, samples = make_image(), 8
    found = attribute(net, image, "saliency")
    x = net.preprocess(image)
    deviation = 0.1 * (x.max() - x.min()).item()
    drawn = torch.randn((samples, *x.shape[1:]), generator=torch.Generator().manual_seed(5)) * deviation
    with torch.no_grad():
        change = net.module(x)[0, found.target] - net.module(x - drawn)[:, found.target]
    predicted = (torch.from_numpy(found.attributions) * drawn).sum((1, 2, 3))
    factor = (predicted * change).mean() / predicted.square().mean()
    expected = (factor * predicted - change).square().mean().item()
    assert infidelity(net, image, found, samples, seed=5) == pytest.approx(expected, rel=1e-3)


def test_sensitivity_is_its_definition_on_the_same_changes(net: Net, make_image: MakeImage) -> None:
    """Yeh et al. 2019, definition 3, with gradients by autograd on the network itself."""
    image, radius = make_image(), 0.02
    found = attribute(net, image, "saliency")
    x, generator = net.preprocess(image), torch.Generator().manual_seed(7)

    def gradient(point: torch.Tensor) -> torch.Tensor:
        point = point.clone().requires_grad_()
        return torch.autograd.grad(net.module(point)[0, found.target], point)[0]

    original, moved = gradient(x), []
    for _ in range(4):
        step = (torch.rand(x.shape, generator=generator) * 2 - 1) * radius
        moved.append((gradient(x + step) - original).norm() / original.norm())
    assert sensitivity(net, image, found, samples=4, seed=7) == pytest.approx(max(moved).item(), rel=1e-4)


def test_a_constant_map_has_no_ranks_and_no_order(net: Net, make_image: MakeImage) -> None:
    image = make_image()
    found = attribute(net, image, "saliency")
    for value in (0.0, 2.5):
        constant = replace(found, attributions=np.full_like(found.attributions, value))
        again = randomisation(net, image, constant)
        assert again.constant
        assert again.correlations == (None,) * 10
        assert perturbation(net, image, constant, steps=1).constant
        assert np.isfinite(infidelity(net, image, constant, 4))
    assert not perturbation(net, image, found, steps=1).constant


def test_a_network_that_gives_a_constant_map_only_with_random_weights(
    net: Net, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image()
    found = attribute(net, image, "saliency")

    def without_map(*_: Any, **__: Any) -> Attribution:
        return replace(found, attributions=np.zeros_like(found.attributions))

    monkeypatch.setattr("resnet_viz.analyses.trust.attribute", without_map)
    again = randomisation(net, image, found)
    assert not again.constant
    assert set(again.correlations) == {None}


def test_what_initialise_does_not_know_is_drawn_anew_too(make_image: MakeImage) -> None:
    """Weight norm has no weight to draw: its direction and length are drawn, and the user's own stay unchanged."""
    module = CifarResNet(8, "B")
    module.fc = weight_norm(module.fc)
    net, image = from_module(module, preprocessing=CIFAR_PREPROCESSING), make_image()
    before = {name: value.clone() for name, value in net.module.state_dict().items()}
    first = randomisation(net, image, attribute(net, image, "saliency")).correlations[0]
    assert first is not None
    assert first < 0.99
    assert all(torch.equal(value, before[name]) for name, value in net.module.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_weights_are_drawn_on_the_processor_and_copied(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator of one device cannot draw on another; the same seed gives the same weights in every precision."""
    drawn_on = []
    normal = nn.init.kaiming_normal_

    def watched(values: torch.Tensor, **options: Any) -> torch.Tensor:
        drawn_on.append((values.device.type, values.dtype))
        return normal(values, **options)

    monkeypatch.setattr(nn.init, "kaiming_normal_", watched)
    usual, other = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3).to(dtype)
    initialise(usual, 3)
    initialise(other, 3)
    assert torch.equal(usual.weight.to(dtype), other.weight)
    initialise(nn.Conv2d(3, 4, 3, device="meta"), 3)
    assert set(drawn_on) == {("cpu", torch.float32)}


def test_robustness_is_both_metrics(net: Net, make_image: MakeImage) -> None:
    image, steps = make_image(), list[tuple[int, int]]()
    found = attribute(net, image, "saliency")
    both = robustness(net, image, found, on_step=lambda *step: steps.append(step))
    assert both.infidelity == infidelity(net, image, found)
    assert both.sensitivity == sensitivity(net, image, found)
    assert steps == [(1, 2), (2, 2)]


def test_too_few_steps_get_a_sentence(net: Net, make_image: MakeImage) -> None:
    image = make_image()
    with pytest.raises(ValueError, match="steps=0"):
        perturbation(net, image, attribute(net, image, "saliency"), steps=0)
