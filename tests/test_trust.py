"""Deletion, insertion and randomisation by hand on a linear network; captum's metrics through ours."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from resnet_viz.analyses.attribution import attribute
from resnet_viz.analyses.context import explain
from resnet_viz.analyses.trust import infidelity, perturbation, randomisation, rank_correlation, robustness, sensitivity
from resnet_viz.nets.net import Net
from resnet_viz.nets.zoo import load

MakeImage = Callable[..., Image.Image]


@pytest.fixture(scope="module")
def net() -> Net:
    return load(device="cpu")


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
    assert again.correlations[-1] < 0.6
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.module.state_dict().items())


def test_guided_backprop_hardly_depends_on_the_head_as_published(net: Net, make_image: MakeImage) -> None:
    image = make_image()
    guided, plain = (attribute(net, image, method) for method in ("guided_backprop", "saliency"))
    assert randomisation(net, image, guided).correlations[0] > randomisation(net, image, plain).correlations[0]


def test_rank_correlation_by_hand() -> None:
    first = np.array([1, 2, 3, 4, 5], np.float32)
    # Spearman's formula without ties: 1 - 6 * sum(d^2) / (n (n^2 - 1)), here with d = 0, 1, 1, 1, 1.
    assert rank_correlation(first, np.array([1, 3, 2, 5, 4], np.float32)) == pytest.approx(1 - 6 * 4 / 120)
    assert rank_correlation(first, first**3) == pytest.approx(1)
    assert rank_correlation(first, -first) == pytest.approx(-1)
    # Ties share their mean rank.
    assert rank_correlation(np.array([1, 1, 2], np.float32), np.array([0, 0, 9], np.float32)) == pytest.approx(1)


def test_the_metrics_tell_a_good_map_from_a_bad_one(net: Net, make_image: MakeImage) -> None:
    image = make_image()
    good = attribute(net, image, "integrated_gradients", steps=8)
    assert infidelity(net, image, good, samples=16) >= 0
    assert infidelity(net, image, good, samples=16) == infidelity(net, image, good, samples=16)
    steady, nervous = (attribute(net, image, method) for method in ("grad_cam", "saliency"))
    assert sensitivity(net, image, steady, samples=4) < sensitivity(net, image, nervous, samples=4)


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
