"""Twins: what they share with a module, what they own, and that no analysis changes the module."""

from collections.abc import Callable
from functools import partial
from types import MethodType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

import resnet_viz as rv
from resnet_viz.analyses import trust
from resnet_viz.analyses.ablation import sweep
from resnet_viz.analyses.logit_lens import lens
from resnet_viz.analyses.passage import passage
from resnet_viz.analyses.place_fields import place_fields
from resnet_viz.analyses.theoretical_field import theoretical_widths
from resnet_viz.lessons.activation_order import orders
from resnet_viz.lessons.block_steps import walk
from resnet_viz.lessons.fewer_blocks import outputs
from resnet_viz.nets.net import Net
from resnet_viz.nets.twins import make_twin

MakeImage = Callable[..., Image.Image]
MakeNet = Callable[..., Net]


@pytest.fixture
def net(make_cifar: MakeNet) -> Net:
    return make_cifar("B")


class Stop(Exception):  # noqa: N818 - no error
    pass


def stop(*_: object) -> None:
    raise Stop


class TestWhatIsShared:
    def test_parameters_are_the_same_tensors(self, net: Net) -> None:
        theirs = dict(net.twin().named_parameters())
        assert list(theirs) == [name for name, _ in net.module.named_parameters()]
        for name, parameter in net.module.named_parameters():
            assert theirs[name] is parameter, name

    def test_parameters_that_are_trained_share_their_memory_and_are_frozen(self, net: Net) -> None:
        net.module.requires_grad_()
        for theirs, ours in zip(net.twin().parameters(), net.module.parameters(), strict=True):
            assert theirs.data_ptr() == ours.data_ptr()
            assert not theirs.requires_grad
            assert ours.requires_grad

    def test_buffers_are_equal_and_their_own(self, net: Net) -> None:
        theirs = dict(net.twin().named_buffers())
        assert list(theirs) == [name for name, _ in net.module.named_buffers()]
        for name, buffer in net.module.named_buffers():
            assert torch.equal(theirs[name], buffer), name
            assert theirs[name].data_ptr() != buffer.data_ptr(), name

    def test_no_module_is_shared(self, net: Net) -> None:
        assert not set(net.module.modules()) & set(net.twin().modules())

    def test_a_module_in_two_places_has_one_twin(self) -> None:
        relu = nn.ReLU()
        twin = make_twin(nn.Sequential(nn.Conv2d(3, 3, 1), relu, nn.Sequential(relu)))
        assert twin.get_submodule("1") is twin.get_submodule("2.0")
        assert twin.get_submodule("1") is not relu

    def test_tied_parameters_stay_tied_when_they_are_trained(self) -> None:
        first, second = nn.Linear(3, 3), nn.Linear(3, 3)
        second.weight = first.weight
        twin = make_twin(nn.Sequential(first, second))
        assert len(list(twin.parameters())) == 3


class TestWhatIsItsOwn:
    def test_evaluation_mode_whatever_the_modules(self, net: Net, make_image: MakeImage) -> None:
        x = net.preprocess(make_image())
        expected = net.module(x)
        net.module.train()
        twin = net.twin()
        assert not any(layer.training for layer in twin.modules())
        assert all(layer.training for layer in net.module.modules())
        assert torch.equal(twin(x), expected)

    def test_hooks_on_it_are_on_no_other(self, net: Net, count_hooks: Callable[[nn.Module], int]) -> None:
        twin, other = net.twin(), net.twin()
        for layer in twin.modules():
            layer.register_forward_hook(lambda *_: None)
        assert count_hooks(twin) > 0
        assert count_hooks(net.module) == count_hooks(other) == 0

    def test_none_of_the_modules_hooks_run(self, net: Net, make_image: MakeImage) -> None:
        for layer in net.module.modules():
            layer.register_forward_hook(stop)
            layer.register_forward_hook(stop, always_call=True)
            layer.register_forward_pre_hook(stop)
            layer.register_forward_pre_hook(stop, with_kwargs=True)
            layer.register_full_backward_hook(stop)
            layer.register_full_backward_pre_hook(stop)
            layer.register_state_dict_pre_hook(stop)
            layer.register_load_state_dict_pre_hook(stop)
            layer.register_load_state_dict_post_hook(stop)
        twin = net.twin()
        x = net.preprocess(make_image()).requires_grad_()
        twin(x).sum().backward()
        twin.load_state_dict(twin.state_dict())
        with pytest.raises(Stop):
            net.module(x)

    def test_a_layer_that_writes_to_its_buffer_does_not_write_to_the_modules(self) -> None:
        class Counting(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.register_buffer("passes", torch.zeros(()))

            def forward(self, x: Tensor) -> Tensor:
                self.passes.add_(1)  # type: ignore[operator]  # a buffer
                return x

        module = Counting()
        twin = make_twin(module)
        twin(torch.ones(1))
        assert (float(module.get_buffer("passes")), float(twin.get_buffer("passes"))) == (0, 1)


class TestUnusualModules:
    """Each computes what the module computes in evaluation mode, by its own twin's layers."""

    @staticmethod
    def agrees(module: nn.Module, x: Tensor) -> nn.Module:
        expected = module.eval()(x)
        twin = make_twin(module.train())
        torch.testing.assert_close(twin(x), expected)
        return twin

    @pytest.mark.parametrize("wrap", [parametrizations.weight_norm, parametrizations.spectral_norm])
    def test_parametrizations(self, wrap: Callable[[nn.Module], nn.Module]) -> None:
        torch.manual_seed(0)
        module = nn.Sequential(wrap(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4))
        before = {name: value.clone() for name, value in module.state_dict().items()}
        x = torch.randn(2, 3, 8, 8)
        twin = make_twin(module.train())
        first = twin(x)
        # A spectral norm takes a step of its power iteration in every pass in training mode.
        assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
        torch.testing.assert_close(first, module.eval()(x))

    def test_weight_norm_and_spectral_norm_by_hooks(self) -> None:
        torch.manual_seed(0)
        with pytest.warns(FutureWarning):
            first = nn.utils.weight_norm(nn.Conv2d(3, 4, 3))
        second = nn.utils.spectral_norm(nn.Conv2d(4, 4, 3))
        module = nn.Sequential(first, second)
        with torch.no_grad():
            # From here on the weight that the last pass left behind is wrong.
            first.get_parameter("weight_g").mul_(3)
        self.agrees(module, torch.randn(2, 3, 8, 8))

    def test_pruning(self) -> None:
        conv = nn.Conv2d(3, 4, 3)
        prune.random_unstructured(conv, "weight", amount=0.5)
        with torch.no_grad():
            conv.get_parameter("weight_orig").mul_(2)
        twin = self.agrees(nn.Sequential(conv), torch.randn(2, 3, 8, 8))
        weight: Any = twin.get_submodule("0").weight
        assert (weight == 0).sum() >= conv.weight.numel() // 2

    def test_a_forward_pass_that_was_put_on_the_module(self) -> None:
        """Patched models have their forward as a bound method, in a partial or in a list of functions."""
        module: Any = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
        module.forward = MethodType(lambda own, x: own[1](own[0](x)) + 1, module)
        module.parts = [module[0], module[1]]
        module.named = {"norm": module[1]}
        module.first = partial(module[0].forward)
        twin: Any = self.agrees(module, torch.randn(2, 3, 8, 8))
        assert twin.parts == [twin[0], twin[1]]
        assert twin.named["norm"] is twin[1]
        assert twin.first.func.__self__ is twin[0]

    def test_a_traced_module(self) -> None:
        module = torch.fx.symbolic_trace(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)))
        self.agrees(module, torch.randn(2, 3, 8, 8))


def run_everything(net: Net, image: Image.Image) -> dict[str, Any]:
    """Numbers from every analysis that runs a network."""
    attribution = rv.attribute(net, image, "saliency")
    x = net.preprocess(image)
    perturbed = trust.perturbation(net, image, attribution, 2)
    inspected = rv.inspect(net, image)
    fewer: dict[str, Any] = {"steps": 4}
    return {
        "inspect": inspected.table().drop(columns="shortcut").to_numpy(float),
        "error": max(block.maps.error for block in inspected.blocks if block.maps is not None),
        "activations": rv.activations(net, image).logits,
        "gradients": rv.gradients(net, image).parameters["norm"].to_numpy(),
        "cams": rv.block_cams(net, image)["layer2.0"],
        "conductance": rv.conductance(net, image, steps=2).blocks[1].total,
        "ablate": rv.ablate(net, image, {"layer1.0": 0.5}).logits,
        "sweep": sweep(net, image).logits,
        "lens": lens(net, image).logits,
        "walk": walk(net, image, "layer2.0").steps[-1].values,
        "orders": orders(net, image).cut,
        "plans": np.stack([logits.detach().float().numpy() for _, logits in outputs(net, x, [tuple(net.blocks)])]),
        "deletion": perturbed.deletion.probabilities,
        "randomisation": np.array(trust.randomisation(net, image, attribution).correlations, float),
        "infidelity": trust.infidelity(net, image, attribution, 4),
        "sensitivity": trust.sensitivity(net, image, attribution, 2),
        "paths": rv.path_gradients(net, image).coefficients,
        "samples": rv.path_samples(net, image, samples=2).norms,
        "refinement": rv.refinement(net, image).losses,
        "fields": rv.receptive_fields(net, image, probes=2).blocks[-1].map,
        "widths": np.array(theoretical_widths(net, shortcuts_alone=False)),
        "deletions": rv.deletions(net, image, sets=2).table()["probability"].to_numpy(),
        "shattered": rv.shattered_gradients(net, image, points=4).values,
        "landscape": rv.loss_landscape(net, image, points=3).loss,
        "passage": passage(net, image).blocks[-1].output,
        "places": np.array(place_fields(net, "layer2.0").box(1, 1)),
        "survey": rv.survey(net, [image]).measure("ratio"),
        "accuracy": rv.accuracy(net, {"cat": [image]}).answers[0].probability,
    } | {
        method: rv.attribute(net, image, method, **(fewer if method == "integrated_gradients" else {})).map
        for method in rv.METHODS
        if method != "occlusion"
    }


@pytest.fixture(scope="module")
def expected(make_cifar: MakeNet, make_image: MakeImage) -> dict[str, Any]:
    return run_everything(make_cifar("B"), make_image())


def same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_a_network_in_training_mode_with_hooks_is_explained_in_evaluation_mode_and_left_alone(
    net: Net, make_image: MakeImage, expected: dict[str, Any]
) -> None:
    module = net.module.train()
    kept = module.register_forward_hook(stop)
    net.blocks["layer2.0"].output.register_full_backward_hook(stop)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    same(run_everything(net, make_image()), expected)
    assert all(layer.training for layer in module.modules())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert list(module._forward_hooks.values()) == [stop]
    assert len(net.blocks["layer2.0"].output._backward_hooks) == 1
    kept.remove()
    assert not module._forward_hooks


@pytest.mark.parametrize("switch", [torch.no_grad, torch.inference_mode])
def test_every_analysis_gives_the_same_where_the_caller_has_switched_gradients_off(
    make_cifar: MakeNet, make_image: MakeImage, expected: dict[str, Any], switch: Callable[[], Any]
) -> None:
    with switch():
        # Also the network is made there: under inference_mode its tensors are of a kind that autograd refuses.
        same(run_everything(make_cifar("B"), make_image()), expected)


def test_trained_parameters_change_nothing(net: Net, make_image: MakeImage, expected: dict[str, Any]) -> None:
    net.module.requires_grad_()
    same(run_everything(net, make_image()), expected)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in net.module.parameters())
