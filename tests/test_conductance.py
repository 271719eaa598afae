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


@pytest.fixture(scope="module", params=["resnet18", "resnet50"])
def imagenet(request: pytest.FixtureRequest, make_imagenet: Callable[[str], Net]) -> Net:
    return make_imagenet(request.param)


def captums(stock: nn.Module, layer: str, net: Net, image: Image.Image, steps: int) -> np.ndarray:
    """Captum's LayerConductance at a layer of torchvision's own network, from black to the image."""
    for module in stock.modules():
        if isinstance(module, nn.ReLU):
            # In place it would overwrite the batch norm's output, which is looked at.
            module.inplace = False
    black = net.preprocessing.normalise(Image.new("RGB", (64, 64)))
    method = captum.attr.LayerConductance(stock, stock.get_submodule(layer))
    expected = method.attribute(net.preprocess(image), black, target=3, n_steps=steps)
    assert isinstance(expected, torch.Tensor)
    values: np.ndarray = expected[0].detach().numpy()
    return values


@pytest.mark.parametrize("steps", [1, 16])
def test_each_part_is_captums_on_torchvisions_network(
    imagenet: Net, make_stock: Callable[[Net], nn.Module], make_image: MakeImage, steps: int
) -> None:
    """The whole block, the last batch norm of the branch, and the projection: at every stage's first block."""
    image = make_image(64, 64)
    stock, last = make_stock(imagenet), "bn3" if imagenet.name == "resnet50" else "bn2"
    found = {block.name: block for block in conductance(imagenet, image, 3, steps).blocks}
    for name in ("layer1.0", "layer2.0", "layer4.1"):
        parts = {name: found[name].total, f"{name}.{last}": found[name].residual}
        if name == "layer2.0":
            identity = found[name].identity
            assert identity is not None
            parts[f"{name}.downsample"] = identity
        for layer, values in parts.items():
            expected = captums(stock, layer, imagenet, image, steps)
            np.testing.assert_allclose(values, expected, atol=2e-5 * np.abs(expected).max(), err_msg=layer)


def test_the_shares_miss_the_total_by_what_the_last_relu_switches(net: Net, make_image: MakeImage) -> None:
    for block in conductance(net, make_image(), 3, 4).blocks:
        shares = block.residual if block.identity is None else block.identity + block.residual
        assert block.kink == pytest.approx(float(block.total.sum() - shares.sum()), abs=1e-4)
        # Where nothing switches, the two agree: most entries.
        assert np.isclose(shares, block.total, atol=1e-6).mean() > 0.3


def test_a_plain_block_has_no_share_of_an_identity(make_cifar: Callable[..., Net], make_image: MakeImage) -> None:
    found = conductance(make_cifar("plain", depth=8), make_image())
    assert all(block.identity is None for block in found.blocks)


def test_totals_add_up_to_the_logits_difference_on_a_trained_network(make_image: MakeImage) -> None:
    net, image = load("resnet20-cifar10", device="cpu"), make_image()
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
