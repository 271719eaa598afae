"""from_module: the analyses on a traced network give what they give on the catalogue's own blocks, and work on any module."""

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from captum.attr import LayerGradCam
from PIL import Image
from torch import nn

import resnet_viz as rv
from resnet_viz.nets.blocks import blocks_of
from resnet_viz.nets.net import Net
from tests.own_networks import Blocks, Down, Functional, Plain, PreActivation, Scaled, Shared, Transformer

SMALL = rv.Preprocessing(32, 32, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
MAPS = ("identity", "residual", "sum", "output", "grad_identity", "grad_residual", "grad_input", "cam")

Pair = tuple[Net, Net]


@pytest.fixture(scope="module")
def image(make_image: Callable[..., Image.Image]) -> Image.Image:
    return make_image(70, 80)


@pytest.fixture(scope="module")
def pair(make_imagenet: Callable[[str], Net]) -> Pair:
    """The catalogue's ResNet-18, and torchvision's own with the same weights, traced."""
    known = make_imagenet("resnet18")
    stock = torchvision.models.resnet18()
    stock.load_state_dict(known.module.state_dict())
    return known, rv.from_module(stock, labels=known.labels, preprocessing=known.preprocessing)


@pytest.fixture(scope="module")
def own(shake: Callable[[nn.Module, int], nn.Module]) -> Net:
    """A module with functional calls, a factor on the branch, pre-activation and a shortcut that changes shapes."""
    torch.manual_seed(0)
    module = Blocks(Functional("torch.add"), Scaled(), PreActivation(), Shared(), Down("pooled projection"), channels=16)
    return rv.from_module(shake(module, 0), labels=list("abcde"), preprocessing=SMALL)


class TestAsTheCatalogue:
    def test_inspect(self, pair: Pair, image: Image.Image) -> None:
        expected, found = (rv.inspect(net, image) for net in pair)
        assert found.predictions == expected.predictions
        for ours, theirs in zip(found.blocks, expected.blocks, strict=True):
            assert (ours.name, ours.stage, ours.shortcut) == (theirs.name, theirs.stage, theirs.shortcut)
            for name in MAPS:
                assert np.array_equal(getattr(ours, name), getattr(theirs, name)), (ours.name, name)
        assert found.table().equals(expected.table())

    def test_ablate(self, pair: Pair, image: Image.Image) -> None:
        expected, found = (rv.ablate(net, image, {"layer1.1": 0.0, "layer3.0": 0.5}) for net in pair)
        assert np.array_equal(found.logits, expected.logits)

    def test_ablation_sweep(self, pair: Pair, image: Image.Image) -> None:
        expected, found = (rv.ablation_sweep(net, image) for net in pair)
        assert found.equals(expected)

    def test_conductance(self, pair: Pair, image: Image.Image) -> None:
        expected, found = (rv.conductance(net, image, steps=4) for net in pair)
        for ours, theirs in zip(found.blocks, expected.blocks, strict=True):
            for name in ("total", "identity", "residual"):
                assert np.array_equal(getattr(ours, name), getattr(theirs, name)), (ours.name, name)

    def test_block_cams(self, pair: Pair, image: Image.Image) -> None:
        expected, found = (rv.block_cams(net, image) for net in pair)
        assert list(found) == list(expected)
        assert all(np.array_equal(found[name], expected[name]) for name in expected)

    @pytest.mark.parametrize("method", ["saliency", "integrated_gradients", "deep_lift", "guided_backprop", "grad_cam"])
    def test_attribute(self, method: str, pair: Pair, image: Image.Image) -> None:
        expected, found = (rv.attribute(net, image, method=method) for net in pair)
        assert np.array_equal(found.attributions, expected.attributions)


class TestOwnModule:
    def test_an_opened_network_as_a_part(self, own: Net, image: Image.Image) -> None:
        """Its sums are found anew, and it stays as it is itself."""
        larger = rv.from_module(nn.Sequential(own.module, nn.Linear(5, 2)), labels=["a", "b"], preprocessing=SMALL)
        assert len(blocks_of(larger.module)) == len(larger.blocks) == len(own.blocks)
        ours, theirs = rv.inspect(larger, image), rv.inspect(own, image)
        assert all(np.array_equal(a.sum, b.sum) for a, b in zip(ours.blocks, theirs.blocks, strict=True))

    def test_equation_and_gradients(self, own: Net, image: Image.Image) -> None:
        result = rv.inspect(own, image)
        assert [block.shortcut for block in result.blocks] == ["identity"] * 4 + ["mixed"]
        for block in result.blocks:
            assert block.identity is not None
            assert block.grad_identity is not None
            assert np.array_equal(block.identity + block.residual, block.sum)
            np.testing.assert_allclose(block.grad_identity + block.grad_residual, block.grad_input, rtol=1e-4, atol=1e-6)
            assert np.array_equal(block.output, block.sum) == (block.name in ("blocks.1", "blocks.2"))

    def test_a_removed_branch_leaves_the_shortcut(self, own: Net, image: Image.Image) -> None:
        logits = rv.ablate(own, image, {"blocks.1": 0.0}).logits
        module = copy.deepcopy(own.module)
        with torch.no_grad():
            module.get_parameter("blocks.1.gamma").data = torch.zeros(8, 1, 1)
            np.testing.assert_allclose(logits, module(own.preprocess(image))[0].numpy(), rtol=1e-5, atol=1e-6)

    def test_sweep_is_one_by_one(self, own: Net, image: Image.Image) -> None:
        table = rv.ablation_sweep(own, image, target=2)
        for name in own.blocks:
            assert table.loc[name, "logit"] == pytest.approx(rv.ablate(own, image, {name: 0.0}).logits[2], rel=1e-4, abs=1e-5)

    def test_conductance_is_complete(self, own: Net, image: Image.Image) -> None:
        result = rv.conductance(own, image, steps=200)
        for block in result.blocks:
            assert block.total.sum() == pytest.approx(result.difference, abs=0.05 * abs(result.difference) + 1e-3)

    def test_cams_are_captums(self, own: Net, image: Image.Image) -> None:
        for name, cam in rv.block_cams(own, image, target=1).items():
            twin = own.twin()
            place = blocks_of(twin)[name].output
            expected = LayerGradCam(twin, place).attribute(
                own.preprocess(image).requires_grad_(), target=1, relu_attributions=True
            )
            np.testing.assert_allclose(cam, expected[0, 0].detach().numpy(), rtol=1e-4, atol=1e-7)

    @pytest.mark.parametrize("method", ["integrated_gradients", "deep_lift"])
    def test_attributions_are_complete(self, method: str, own: Net, image: Image.Image) -> None:
        found = rv.attribute(own, image, method=method)
        assert found.delta == pytest.approx(0, abs=0.02)

    def test_twins_share_weights_and_no_hooks(self, own: Net, count_hooks: Callable[[nn.Module], int]) -> None:
        twin, other = own.twin(), own.twin()
        for layer in twin.modules():
            layer.register_forward_hook(lambda *_: None)
        assert count_hooks(other) == count_hooks(own.module) == 0
        assert list(twin.parameters()) == list(own.module.parameters())
        assert list(own.twin().state_dict()) == list(own.module.state_dict())

    def test_transformer(self, image: Image.Image) -> None:
        net = rv.from_module(Transformer(), preprocessing=SMALL)
        whole = rv.ablate(net, image, {}).logits
        without = rv.ablate(net, image, {"layers.0.attn": 0.0}).logits
        assert not np.allclose(without, whole)


class TestWords:
    def test_what_was_assumed_is_said(self) -> None:
        net = rv.from_module(Blocks(Shared()))
        assert net.labels == ("class 0", "class 1", "class 2", "class 3", "class 4")
        assert (net.preprocessing.crop, net.name, net.weights.source) == (224, "Blocks", "module")
        assert "cropped to 224 pixels and normalised with ImageNet's" in net.weights.note
        assert "classes are numbered" in net.weights.note

    def test_what_was_given_is_kept(self) -> None:
        net = rv.from_module(Blocks(Shared()), labels=list("vwxyz"), preprocessing=SMALL, name="mine")
        assert (net.labels, net.preprocessing, net.name, net.title) == (tuple("vwxyz"), SMALL, "mine", "mine")
        assert net.weights.note == "opened from Python, its accuracy not measured here"

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision_is_computed_in_float32(self, dtype: torch.dtype, image: Image.Image) -> None:
        module = Blocks(Shared()).to(dtype)
        net = rv.from_module(module, preprocessing=SMALL)
        assert f"{str(dtype).removeprefix('torch.')} weights are computed in float32" in net.weights.note
        assert {parameter.dtype for parameter in module.parameters()} == {dtype}
        expected = replace_dtype(module)(net.preprocess(image))
        assert np.array_equal(rv.ablate(net, image, {}).logits, expected[0].detach().numpy())

    def test_the_module_is_left_alone(self) -> None:
        module = Blocks(Shared()).train()
        net = rv.from_module(module, preprocessing=SMALL)
        assert all(parameter.requires_grad for parameter in module.parameters())
        assert all(layer.training for layer in module.modules())
        assert not any(parameter.requires_grad for parameter in net.module.parameters())

    def test_number_of_labels(self) -> None:
        with pytest.raises(ValueError, match=r"2 labels were given, but Blocks has 5 classes\. Pass one label per class"):
            rv.from_module(Blocks(Shared()), labels=["cat", "dog"], preprocessing=SMALL)

    def test_no_classifier(self) -> None:
        with pytest.raises(
            ValueError, match=r"Sequential returns 8×32×32 numbers for an image, but a classifier returns one logit"
        ):
            rv.from_module(nn.Sequential(nn.Conv2d(3, 8, 1), Shared()), preprocessing=SMALL)

    def test_no_residual_additions(self) -> None:
        with pytest.raises(ValueError, match="Plain has no residual additions"):
            rv.from_module(Plain(), preprocessing=SMALL)

    def test_it_is_a_net_that_can_be_replaced(self, own: Net) -> None:
        assert replace(own, name="other").name == "other"


def replace_dtype(module: nn.Module) -> nn.Module:
    """The same weights in float32, in evaluation mode, computed by the module's own code."""
    same = Blocks(Shared())
    same.load_state_dict({name: values.float() for name, values in module.state_dict().items()})
    return same.eval()
