"""Iterative refinement: cosines against autograd on the stock forms, losses against removed branches."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

import resnet_viz as rv
from resnet_viz.analyses.logit_lens import lens
from resnet_viz.engine.wire import decode, encode
from resnet_viz.nets.net import Net

MakeImage = Callable[..., Image.Image]
MakeNet = Callable[..., Net]


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    one, other = one.ravel().astype(np.float64), other.ravel().astype(np.float64)
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_cosines_are_those_of_autograd(shortcut: str, make_cifar: MakeNet, make_image: MakeImage) -> None:
    net, image = make_cifar(shortcut), make_image()
    found = rv.refinement(net, image, target=5)
    # A network whose blocks run one after another by hand.
    module: Any = net.twin()
    x = net.preprocess(image)
    h = module.relu(module.bn1(module.conv1(x))).detach()
    inputs: list[Tensor] = []
    branches: list[Tensor] = []
    sums: list[Tensor] = []
    blocks: list[Any] = [module.get_submodule(name) for name in net.blocks]
    for block in blocks:
        h = h.requires_grad_() if not inputs else h
        h.retain_grad()
        inputs.append(h)
        identity = h if block.downsample is None else block.downsample(h)
        branch = block.bn2(block.conv2(F.relu(block.bn1(block.conv1(h)))))
        total = identity + branch
        total.retain_grad()
        branches.append(branch)
        sums.append(total)
        h = total.relu()
    F.cross_entropy(module.fc(module.avgpool(h).flatten(1)), torch.tensor([5])).backward()
    for step, before, branch, total in zip(found.blocks, inputs, branches, sums, strict=True):
        assert before.grad is not None
        assert total.grad is not None
        residual = branch.detach().numpy()
        assert step.cosine_sum == pytest.approx(cosine(residual, -total.grad.numpy()), abs=1e-4)
        assert step.expected == pytest.approx((branch * total.grad).sum().item(), abs=1e-4)
        if before.shape == branch.shape:
            assert step.cosine_input == pytest.approx(cosine(residual, -before.grad.numpy()), abs=1e-4)
        else:
            assert math.isnan(step.cosine_input)


@pytest.mark.parametrize("shortcut", ["A", "C", "plain"])
def test_losses_are_those_of_the_lens(shortcut: str, make_cifar: MakeNet, make_image: MakeImage) -> None:
    net, image = make_cifar(shortcut, depth=14), make_image()
    found, decoded = rv.refinement(net, image, "dog"), lens(net, image)
    expected = -np.log(decoded.probabilities[:, net.labels.index("dog")])
    np.testing.assert_allclose(found.losses, expected, rtol=1e-4, atol=1e-5)
    if shortcut == "plain":
        assert all(math.isnan(block.cosine_sum) for block in found.blocks)
        assert "has no block that adds F(x)" in rv.figures.refinement_cosines(found).layout.meta["finding"]


def test_small_branches_change_the_loss_as_expected(make_cifar: MakeNet, make_image: MakeImage) -> None:
    """To first order the loss without a block is the loss minus <F(x), dL/d sum>."""
    net, image = make_cifar("A"), make_image()
    with torch.no_grad():
        block: Any = net.module.get_submodule("layer1.0")
        block.bn2.weight.mul_(1e-3)
        block.bn2.bias.mul_(1e-3)
    found = rv.refinement(net, image, target=2)
    removed = rv.ablate(net, image, {"layer1.0": 0.0})
    without = float(F.cross_entropy(torch.from_numpy(removed.logits)[None].double(), torch.tensor([2])))
    with_it = float(F.cross_entropy(torch.from_numpy(rv.ablate(net, image, {}).logits)[None].double(), torch.tensor([2])))
    assert with_it - without == pytest.approx(found.blocks[0].expected, rel=0.05, abs=2e-6)


def test_figures_and_the_wire(make_cifar: MakeNet, make_image: MakeImage) -> None:
    found = rv.refinement(make_cifar("A"), make_image())
    kind: Any = rv.Refinement
    again: rv.Refinement = decode(encode(found), kind, 2**22)
    assert again.table().equals(found.table())
    bars = rv.figures.refinement_cosines(found)
    assert bars.data[0].y[1] is None
    assert bars.data[1].y[1] == found.blocks[1].cosine_sum
    losses = rv.figures.refinement_losses(found)
    assert tuple(losses.data[0].y) == found.losses
    assert losses.data[0].x[0] == "stem"
