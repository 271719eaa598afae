"""The way of a training: coordinates against an independent principal component analysis, losses against the networks'."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import resnet_viz as rv
from resnet_viz.nets.net import Net

MakeNet = Callable[..., Net]


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(12, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def run(make_cifar: MakeNet, images: Tensor) -> list[Net]:
    """A real training of a few steps, with a checkpoint after each."""
    net, labels = make_cifar("B"), torch.arange(12) % 10
    nets = []
    module = net.module
    optimiser = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.5)
    for _ in range(5):
        state = {name: value.clone() for name, value in module.state_dict().items()}
        nets.append((state, net))
        for parameter in module.parameters():
            parameter.requires_grad_()
        with torch.enable_grad():
            loss = F.cross_entropy(module(images), labels)
            optimiser.zero_grad()
            loss.backward()
        optimiser.step()
    found = []
    for state, each in nets:
        other = make_cifar("B")
        other.module.load_state_dict(state)
        found.append(replace(each, module=other.module))
    return found


def flat(module: nn.Module) -> np.ndarray:
    return torch.cat([each.detach().flatten() for each in module.parameters() if each.ndim > 1]).double().numpy()


def test_the_coordinates_are_those_of_principal_components(run: list[Net], images: Tensor) -> None:
    found = rv.trajectory(run, images, points=3)
    away = np.stack([flat(net.module) for net in run]) - flat(run[-1].module)
    _, scales, directions = np.linalg.svd(away, full_matrices=False)
    expected = away @ directions[:2].T
    np.testing.assert_allclose(np.abs(found.steps), np.abs(expected), atol=1e-4 * scales[0])
    assert found.explained == pytest.approx(tuple(scales[:2] ** 2 / (scales**2).sum()), rel=1e-4)
    assert not found.steps[-1].any()


def test_losses_are_the_networks_own_and_those_of_moved_weights(run: list[Net], images: Tensor) -> None:
    data = [(image, number % 10) for number, image in enumerate(images)]
    told: list[tuple[int, int]] = []
    found = rv.trajectory(run, data, points=5, on_point=lambda *step: told.append(step))
    classes = torch.arange(12) % 10
    with torch.no_grad():
        for net, loss in zip(run, found.losses, strict=True):
            assert float(loss) == pytest.approx(float(F.cross_entropy(net.module(images), classes)), rel=1e-4)
    assert told[-1] == (30, 30)
    # The plane holds the last checkpoint, whose loss others surround.
    assert found.loss.min() <= found.losses[-1] * 1.5
    assert found.first[0] < found.steps[:, 0].min() < found.steps[:, 0].max() < found.first[-1]


def test_what_is_no_run_is_refused(run: list[Net], images: Tensor) -> None:
    for count, words in ((1, "1 checkpoint"), (2, "2 checkpoints")):
        with pytest.raises(ValueError, match=f"^{words} cannot be projected: a plane needs at least three"):
            rv.trajectory(run[:count], images)
    with pytest.raises(ValueError, match="different networks"):
        rv.trajectory([*run[:2], rv.load("resnet20-cifar10", device="cpu")], images)
    with pytest.raises(ValueError, match="all the same"):
        rv.trajectory([run[0]] * 3, images)
    with pytest.raises(ValueError, match="odd number"):
        rv.trajectory(run, images, points=4)


def test_the_figure_shows_the_way(run: list[Net], images: Tensor) -> None:
    found = rv.trajectory(run, images, points=3)
    fig = rv.figures.trajectory_contours(found)
    np.testing.assert_array_equal(fig.data[1].x, found.steps[:, 0])
    np.testing.assert_array_equal(fig.data[0].customdata, found.loss)
    np.testing.assert_allclose(fig.data[0].z, np.log10(found.loss), atol=1e-3)
    assert "5 checkpoints" in fig.layout.meta["alt"]
