"""Conductance against captum's LayerConductance at every block, and its shares against their definition."""

from collections.abc import Callable

import captum.attr
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from resnet_viz.analyses.conductance import conductance
from resnet_viz.analyses.context import explain
from resnet_viz.nets.blocks import blocks_of
from resnet_viz.nets.net import Net
from resnet_viz.nets.zoo import load

MakeImage = Callable[..., Image.Image]


@pytest.fixture(scope="module", params=["A", "B", "C", "plain"])
def net(request: pytest.FixtureRequest, make_cifar: Callable[..., Net]) -> Net:
    return make_cifar(request.param, depth=14)


@pytest.mark.parametrize("steps", [1, 16, 70])
def test_each_blocks_total_is_captums(net: Net, make_image: MakeImage, steps: int) -> None:
    image = make_image()
    found = conductance(net, image, 3, steps)
    explained = explain(net, image, 3)
    for block in found.blocks:
        twin = net.twin()
        method = captum.attr.LayerConductance(twin, twin.get_submodule(block.name))
        expected = method.attribute(explained.x, explained.baseline("black"), target=3, n_steps=steps)
        assert isinstance(expected, torch.Tensor)
        reference = expected[0].detach().numpy()
        np.testing.assert_allclose(block.total, reference, atol=1e-5 * np.abs(reference).max())


def test_the_shares_add_up_to_the_conductance_at_the_sum(net: Net, make_image: MakeImage) -> None:
    image, steps = make_image(), 16
    found = conductance(net, image, 3, steps)
    explained = explain(net, image, 3)
    for block in found.blocks:
        twin = net.twin()
        method = captum.attr.LayerConductance(twin, twin.get_submodule(f"{block.name}.sum"))
        expected = method.attribute(explained.x, explained.baseline("black"), target=3, n_steps=steps)
        assert isinstance(expected, torch.Tensor)
        reference = expected[0].detach().numpy()
        shares = block.residual if block.identity is None else block.identity + block.residual
        np.testing.assert_allclose(shares, reference, atol=2e-5 * np.abs(reference).max())
        assert block.kink == pytest.approx(float(block.total.sum() - shares.sum()), abs=1e-4)


def test_a_plain_block_has_no_share_of_an_identity(make_cifar: Callable[..., Net], make_image: MakeImage) -> None:
    found = conductance(make_cifar("plain", depth=8), make_image())
    assert all(block.identity is None for block in found.blocks)


def test_totals_add_up_to_the_logits_difference_on_a_trained_network(make_image: MakeImage) -> None:
    net, image = load(device="cpu"), make_image()
    coarse, fine = conductance(net, image, steps=16), conductance(net, image, steps=400)
    assert abs(fine.delta) < abs(coarse.delta)
    assert abs(fine.delta / fine.difference) < 0.02
    explained = explain(net, image)
    assert fine.difference == pytest.approx(explained.difference(explained.baseline("black")), abs=1e-6)
    for block in fine.blocks:
        assert block.delta == pytest.approx(float(block.total.sum(dtype=np.float64)) - fine.difference, abs=1e-6)


def test_the_size_of_a_pass_changes_nothing(
    make_imagenet: Callable[[str], Net], make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, image = make_imagenet("resnet18"), make_image()
    whole = conductance(net, image, 1, 11)
    monkeypatch.setattr("resnet_viz.analyses.context.CPU_PIXELS", 2 * 64 * 64)
    parts = conductance(net, image, 1, 11)
    for one, other in zip(whole.blocks, parts.blocks, strict=True):
        np.testing.assert_allclose(one.total, other.total, atol=1e-5 * np.abs(one.total).max())
        np.testing.assert_allclose(one.residual, other.residual, atol=1e-5 * np.abs(one.residual).max())


def test_hooks_are_gone_after_success_and_after_a_stop(
    net: Net, make_image: MakeImage, twins: list[Callable[[], nn.Module | None]]
) -> None:
    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    conductance(net, make_image(), steps=2)
    with pytest.raises(KeyboardInterrupt):
        conductance(net, make_image(), steps=2, on_point=stop)
    assert twins
    for block in blocks_of(net.module).values():
        assert not any(layer._forward_hooks for layer in block.modules())


def test_progress_counts_points(net: Net, make_image: MakeImage) -> None:
    seen: list[tuple[int, int]] = []
    conductance(net, make_image(), steps=130, on_point=lambda done, total: seen.append((done, total)))
    assert seen == [(64, 131), (128, 131), (131, 131)]


def test_too_few_steps_get_a_sentence(net: Net, make_image: MakeImage) -> None:
    with pytest.raises(ValueError, match="steps=0 is too few"):
        conductance(net, make_image(), steps=0)
