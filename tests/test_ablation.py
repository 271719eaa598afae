"""Scaled and removed branches against torchvision's networks with their last batch norms scaled, and plain functions."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

import resnet_viz as rv
from resnet_viz.analyses.ablation import sweep
from resnet_viz.engine.jobs import JobCancelledError
from resnet_viz.engine.wire import decode, encode
from resnet_viz.nets.net import Net

MakeImage = Callable[..., Image.Image]
MakeNet = Callable[..., Net]


def scaled_by_hand(net: Net, stock: nn.Module, image: Image.Image, scales: dict[str, float]) -> np.ndarray[Any, Any]:
    """F is what the last batch norm gives: scaling its weight and bias scales F."""
    state = {name: value.clone() for name, value in stock.state_dict().items()}
    for name, scale in scales.items():
        last = "bn3" if f"{name}.bn3.weight" in state else "bn2"
        for part in ("weight", "bias"):
            state[f"{name}.{last}.{part}"] *= scale
    # The network of the test keeps its own tensors.
    stock.load_state_dict(state, assign=True)
    with torch.no_grad():
        logits: np.ndarray[Any, Any] = stock(net.preprocess(image))[0].numpy()
    return logits


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
@pytest.mark.parametrize("scales", [{"layer1.0": 0.0}, {"layer2.1": 0.3, "layer4.0": 0.0, "layer4.1": 1.0}])
def test_scaling_a_branch_is_scaling_its_last_batch_norm(
    name: str,
    scales: dict[str, float],
    make_imagenet: Callable[[str], Net],
    make_stock: Callable[[Net], nn.Module],
    make_image: MakeImage,
) -> None:
    net, image = make_imagenet(name), make_image(64, 64)
    found = rv.ablate(net, image, scales)
    expected = scaled_by_hand(net, make_stock(net), image, scales)
    np.testing.assert_allclose(found.logits, expected, atol=1e-5 * np.abs(expected).max())
    assert found.scales == {block: scale for block, scale in scales.items() if scale != 1}
    best = int(expected.argmax())
    assert (found.predictions[0].index, found.predictions[0].label) == (best, net.labels[best])


def test_without_scales_nothing_changes(make_cifar: MakeNet, make_image: MakeImage) -> None:
    net, image = make_cifar(), make_image()
    with torch.no_grad():
        expected = net.module(net.preprocess(image))[0].numpy()
    np.testing.assert_array_equal(rv.ablate(net, image, {}).logits, expected)
    np.testing.assert_array_equal(rv.ablate(net, image, dict.fromkeys(net.blocks, 1.0)).logits, expected)


@pytest.mark.parametrize("scale", [0.0, 0.25])
def test_a_plain_block_fades_into_its_input(
    scale: float, make_cifar: MakeNet, make_image: MakeImage, cifar_reference: Any
) -> None:
    net, image, faded = make_cifar("plain", depth=14), make_image(), "layer2.1"
    reference = cifar_reference(net.module, "plain")
    x = reference.stem(net.preprocess(image))
    for name in reference.blocks:
        block = reference.block(name, x, x)
        x = (scale * block.residual + (1 - scale) * x).relu() if name == faded else block.output
    found = rv.ablate(net, image, {faded: scale})
    np.testing.assert_allclose(found.logits, reference.head(x)[0].numpy(), atol=1e-5)


@pytest.mark.parametrize("shortcut", ["A", "B", "C", "plain"])
def test_the_sweep_is_the_naive_loop(shortcut: str, make_cifar: MakeNet, make_image: MakeImage) -> None:
    net, image = make_cifar(shortcut, depth=14), make_image()
    found = sweep(net, image, 4)
    for block, logits in zip(found.blocks, found.logits, strict=True):
        if not block.removable:
            assert (shortcut, block.name) in {("plain", "layer2.0"), ("plain", "layer3.0")}
            assert np.isnan(logits).all()
            assert math.isnan(block.probability_drop)
            continue
        alone = rv.ablate(net, image, {block.name: 0.0})
        np.testing.assert_allclose(logits, alone.logits, atol=1e-5)
        probability = next(p.probability for p in alone.predictions if p.index == 4)
        assert block.probability == pytest.approx(probability, abs=1e-5)
        assert block.probability_drop == pytest.approx(found.probability - probability, abs=1e-5)
        assert block.logit_drop == pytest.approx(float(found.intact[4] - alone.logits[4]), abs=1e-5)
        assert block.prediction == alone.predictions[0].label


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_the_sweep_is_torchvisions_networks_without_each_branch(
    name: str, make_imagenet: Callable[[str], Net], make_stock: Callable[[Net], nn.Module], make_image: MakeImage
) -> None:
    net, image = make_imagenet(name), make_image(64, 64)
    found = sweep(net, image)
    for block, logits in zip(found.blocks, found.logits, strict=True):
        expected = scaled_by_hand(net, make_stock(net), image, {block.name: 0.0})
        np.testing.assert_allclose(logits, expected, atol=1e-5 * np.abs(expected).max())


def test_the_table_names_every_block(make_cifar: MakeNet, make_image: MakeImage) -> None:
    net, image = make_cifar("plain"), make_image()
    table = rv.ablation_sweep(net, image)
    assert isinstance(table, pd.DataFrame)
    assert list(table.index) == list(net.blocks)
    assert table["removable"].tolist() == [True, False, False]
    predicted = int(rv.ablate(net, image, {}).logits.argmax())
    alone = rv.ablate(net, image, {"layer1.0": 0.0})
    assert table.loc["layer1.0", "logit"] == pytest.approx(float(alone.logits[predicted]), abs=1e-5)


@pytest.mark.parametrize(
    ("shortcut", "scales", "sentence"),
    [
        ("A", {"layer9.0": 0.0}, "has no block 'layer9.0'; it has layer1.0, layer2.0, layer3.0"),
        ("A", {"layer1.0": 1.5}, "scale 1.5 of layer1.0 is not between 0 and 1"),
        ("A", {"layer1.0": math.nan}, "is not between 0 and 1"),
        ("plain", {"layer2.0": 0.0}, "cannot be scaled or removed: it has no shortcut"),
    ],
)
def test_what_cannot_be_meant_gets_a_sentence(
    shortcut: str, scales: dict[str, float], sentence: str, make_cifar: MakeNet, make_image: MakeImage
) -> None:
    with pytest.raises(ValueError, match=sentence):
        rv.ablate(make_cifar(shortcut), make_image(), scales)


def test_a_class_that_is_not_there_gets_a_sentence(make_cifar: MakeNet, make_image: MakeImage) -> None:
    with pytest.raises(ValueError, match="has no class 'zebra'"):
        rv.ablation_sweep(make_cifar(), make_image(), "zebra")


def test_no_hook_is_left_and_the_network_is_untouched(
    make_cifar: MakeNet, make_image: MakeImage, count_hooks: Callable[[nn.Module], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    net, image = make_cifar(), make_image()
    twins: list[nn.Module] = []
    twin = Net.twin

    def recorded(each: Net) -> nn.Module:
        twins.append(twin(each))
        return twins[-1]

    monkeypatch.setattr(Net, "twin", recorded)

    def stop(done: int, _: int) -> None:
        if done == 2:
            raise JobCancelledError

    rv.ablate(net, image, {"layer1.0": 0.5})
    sweep(net, image)
    with pytest.raises(JobCancelledError):
        sweep(net, image, on_block=stop)
    assert len(twins) == 3
    assert [count_hooks(each) for each in (*twins, net.module)] == [0, 0, 0, 0]
    assert not any(layer.inplace for layer in net.module.modules() if isinstance(layer, nn.ReLU))


def test_results_travel(make_cifar: MakeNet, make_image: MakeImage) -> None:
    net, image = make_cifar("plain"), make_image()
    found, other = sweep(net, image), rv.ablate(net, image, {"layer1.0": 0.5})
    back = decode(encode(found), type(found), 2**20)
    pd.testing.assert_frame_equal(back.table(), found.table())
    assert decode(encode(other), rv.Ablation, 2**20).scales == {"layer1.0": 0.5}
    assert other.nbytes == 40
    assert found.nbytes == 40 + 3 * 40
