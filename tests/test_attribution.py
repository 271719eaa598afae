"""Every method against an independent computation: by hand on a linear network, and Captum on stock networks."""

import itertools
import threading
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.attribution import Attribution, attribute
from resnet_viz.analyses.baselines import BASELINES, Baseline, baseline_picture
from resnet_viz.analyses.context import Explained, explain
from resnet_viz.analyses.gradient_methods import spread_out
from resnet_viz.analyses.methods import METHODS
from resnet_viz.nets.net import Net, WeightsOrigin
from resnet_viz.nets.preprocessing import Preprocessing
from resnet_viz.nets.zoo import load
from tests.test_deep_lift import deep_lift_by_hand

MakeImage = Callable[..., Image.Image]

SHARPENED = Preprocessing(16, 16, (0.5, 0.4, 0.3), (0.25, 0.5, 0.2))


@pytest.fixture(scope="module")
def cifar(make_cifar: Callable[..., Net]) -> Net:
    return make_cifar("B", depth=8)


@pytest.fixture(scope="module")
def linear() -> Net:
    """F(x) = W x + b: every attribution can be computed by hand."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 4)).eval().requires_grad_(requires_grad=False)
    return Net("linear", "Linear", module, tuple("abcd"), SHARPENED, WeightsOrigin("untrained", "by hand"))


def weights(net: Net, target: int) -> np.ndarray:
    layer = net.module[1]  # type: ignore[index]
    values: np.ndarray = layer.weight[target].reshape(3, 16, 16).numpy()
    return values


def at(net: Net, image: Image.Image, baseline: Baseline = "black") -> tuple[np.ndarray, np.ndarray]:
    """The image and a baseline as the network receives them."""
    seen = net.preprocessing.seen(image)
    given = (seen, baseline_picture(baseline, seen))
    x, ground = (net.preprocessing.normalise(picture)[0].numpy() for picture in given)
    return x, ground


class TestByHand:
    def test_saliency_is_the_weight(self, linear: Net, make_image: MakeImage) -> None:
        found = attribute(linear, make_image(20, 20), "saliency", 2)
        np.testing.assert_array_equal(found.attributions, weights(linear, 2))
        assert found.delta is None

    def test_smoothgrad_of_a_linear_network_is_the_weight_too(self, linear: Net, make_image: MakeImage) -> None:
        found = attribute(linear, make_image(20, 20), "smoothgrad", 1, samples=5)
        np.testing.assert_allclose(found.attributions, weights(linear, 1), rtol=1e-6)

    def test_input_x_gradient_is_the_product(self, linear: Net, make_image: MakeImage) -> None:
        image = make_image(20, 20)
        found = attribute(linear, image, "input_x_gradient", 0)
        np.testing.assert_allclose(found.attributions, weights(linear, 0) * at(linear, image)[0], rtol=1e-6)

    @pytest.mark.parametrize("baseline", [b for b in BASELINES if b != "noise"])
    @pytest.mark.parametrize("method", ["integrated_gradients", "deep_lift"])
    def test_complete_methods_multiply_the_weight_by_the_way(
        self, linear: Net, make_image: MakeImage, method: str, baseline: Baseline
    ) -> None:
        image = make_image(20, 20)
        found = attribute(linear, image, method, 3, baseline=baseline)
        x, ground = at(linear, image, baseline)
        np.testing.assert_allclose(found.attributions, weights(linear, 3) * (x - ground), atol=1e-6)
        assert found.difference == pytest.approx(float((weights(linear, 3) * (x - ground)).sum()), abs=1e-4)
        assert found.delta == pytest.approx(0, abs=1e-4)

    def test_gradient_shap_without_noise_is_complete_on_a_linear_network(self, linear: Net, make_image: MakeImage) -> None:
        found = attribute(linear, make_image(20, 20), "gradient_shap", 0, noise=0.0)
        assert found.delta == pytest.approx(0, abs=1e-4)

    def test_occlusion_is_what_a_covered_pixel_costs(self, linear: Net, make_image: MakeImage) -> None:
        image = make_image(20, 20)
        found = attribute(linear, image, "occlusion", 0, window=1 / 16, stride=1 / 16)
        x, ground = at(linear, image)
        # The three colours of a pixel are covered together.
        np.testing.assert_allclose(found.map / 3, (weights(linear, 0) * (x - ground)).sum(0), atol=1e-4)


def unshared(module: nn.Module) -> nn.Module:
    """Trace a stock network and give every call of a ReLU a separate layer, not in place; the names are those of the nodes."""
    traced = torch.fx.symbolic_trace(module)
    calls: Counter[str] = Counter()
    for node in traced.graph.nodes:
        name = str(node.target)
        if node.op == "call_module" and name.endswith("relu"):
            node.target = f"{name}_{calls[name]}" if calls[name] else name
            calls[name] += 1
            traced.add_submodule(node.target, nn.ReLU())
    traced.recompile()
    return traced


def layer_of(module: nn.Module, name: str) -> nn.Module:
    """A layer by its name; a shortcut's last layer is its batch norm."""
    return module.get_submodule(f"{name}.1" if name.endswith("downsample") else name)


class TestAgainstCaptum:
    """Captum's own method on torchvision's own ResNet-18 with the same weights, without our blocks, twins or hooks."""

    @pytest.fixture
    def resnet(self, make_imagenet: Callable[[str], Net]) -> Net:
        return make_imagenet("resnet18")

    @pytest.fixture(autouse=True)
    def stock(self, resnet: Net, make_stock: Callable[[Net], nn.Module]) -> nn.Module:
        """Torchvision's network with a separate ReLU for every call, as DeepLift and Guided Backprop require."""
        self.reference = unshared(make_stock(resnet))
        return self.reference

    def compare(
        self, net: Net, image: Image.Image, method: str, reference: Callable[..., Tensor], rounding: float = 0.0, **options: Any
    ) -> None:
        found = attribute(net, image, method, 1, **options)
        x = net.preprocess(image)
        black = net.preprocessing.normalise(Image.new("RGB", (64, 64)))
        expected = reference(self.reference, x.clone().requires_grad_(), black)
        scale = expected.abs().max().item()
        np.testing.assert_allclose(found.attributions, expected[0].detach().numpy(), atol=1e-4 * scale + rounding)

    def test_saliency(self, resnet: Net, make_image: MakeImage) -> None:
        self.compare(
            resnet, make_image(64, 64), "saliency", lambda m, x, _: captum.attr.Saliency(m).attribute(x, target=1, abs=False)
        )

    def test_input_x_gradient(self, resnet: Net, make_image: MakeImage) -> None:
        self.compare(
            resnet, make_image(64, 64), "input_x_gradient", lambda m, x, _: captum.attr.InputXGradient(m).attribute(x, target=1)
        )

    @pytest.mark.parametrize("steps", [1, 7, 50])
    def test_integrated_gradients(self, resnet: Net, make_image: MakeImage, steps: int) -> None:
        def reference(module: nn.Module, x: Tensor, ground: Tensor) -> Tensor:
            found: Tensor = captum.attr.IntegratedGradients(module).attribute(x, ground, target=1, n_steps=steps)
            return found

        self.compare(resnet, make_image(64, 64), "integrated_gradients", reference, steps=steps)

    def test_deep_lift(self, resnet: Net, make_image: MakeImage) -> None:
        """By hand, because Captum's rule for max pools loses a part of what overlapping windows share."""
        self.compare(resnet, make_image(64, 64), "deep_lift", lambda m, x, b: deep_lift_by_hand(m, x, b, 1)[None])

    def test_guided_backprop(self, resnet: Net, make_image: MakeImage) -> None:
        self.compare(
            resnet, make_image(64, 64), "guided_backprop", lambda m, x, _: captum.attr.GuidedBackprop(m).attribute(x, target=1)
        )

    @pytest.mark.parametrize("place", ["residual", "shortcut", "output"])
    def test_grad_cam_at_three_places(self, resnet: Net, make_image: MakeImage, place: str) -> None:
        # What the stock network calls them; the block's last ReLU is its second call of `relu`.
        layer = {"residual": "bn2", "shortcut": "downsample", "output": "relu_1"}[place]

        def reference(module: nn.Module, x: Tensor, _: Tensor) -> Tensor:
            cam = captum.attr.LayerGradCam(module, layer_of(module, f"layer2.0.{layer}"))
            found = cam.attribute(x, target=1, relu_attributions=True)
            assert isinstance(found, Tensor)
            return nn.functional.interpolate(found, x.shape[2:], mode="bilinear").expand(-1, 3, -1, -1) / 3

        self.compare(resnet, make_image(64, 64), "grad_cam", reference, block="layer2.0", place=place)

    def test_guided_grad_cam(self, resnet: Net, make_image: MakeImage) -> None:
        def reference(module: nn.Module, x: Tensor, _: Tensor) -> Tensor:
            method = captum.attr.GuidedGradCam(module, layer_of(module, "layer4.1.relu_1"))
            found: Tensor = method.attribute(x, target=1, interpolate_mode="bilinear")
            return found

        self.compare(resnet, make_image(64, 64), "guided_grad_cam", reference)

    def test_smoothgrad_is_captums_noise_tunnel_on_the_same_noise(
        self, resnet: Net, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        image, samples = make_image(64, 64), 6
        found = attribute(resnet, image, "smoothgrad", 1, samples=samples, noise=0.2, seed=4)
        x = resnet.preprocess(image)
        deviation = 0.2 * (x.max() - x.min()).item()
        noise = torch.randn((samples, *x.shape[1:]), generator=torch.Generator().manual_seed(4)) * deviation
        monkeypatch.setattr(torch, "normal", lambda *_args, **_kwargs: noise)
        tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(self.reference))
        expected = tunnel.attribute(x, nt_samples=samples, stdevs=deviation, target=1, abs=False)
        limit = 1e-3 * expected.abs().max().item()
        np.testing.assert_allclose(found.attributions, expected[0].detach().numpy(), atol=limit)

    @pytest.mark.parametrize(
        ("window", "stride", "pixels", "step"),
        [(1 / 4, 1 / 8, 16, 8), (1 / 3, 1 / 12, 21, 5), (1 / 16, 1 / 16, 4, 4), (1 / 6, 1 / 12, 11, 5)],
    )
    def test_occlusion(self, resnet: Net, make_image: MakeImage, window: float, stride: float, pixels: int, step: int) -> None:
        def reference(module: nn.Module, x: Tensor, ground: Tensor) -> Tensor:
            with torch.no_grad():
                sizes = (3, pixels, pixels), (3, step, step)
                found: Tensor = captum.attr.Occlusion(module).attribute(x, *sizes, ground, target=1)
            return found

        # Differences of two logits, which a batch rounds differently than a single image.
        self.compare(resnet, make_image(64, 64), "occlusion", reference, rounding=1e-5, window=window, stride=stride)


class TestNoiseByAHandLoop:
    """One noisy copy after the other, its gradient by autograd on a copy of the network; 6 samples of 32 by 32."""

    @staticmethod
    def gradient(explained: Explained, x: Tensor) -> Tensor:
        point = x[None].requires_grad_()
        return torch.autograd.grad(explained.net.module(point)[0, 1], point)[0][0]

    @pytest.mark.parametrize("noise", [0.02, 0.4])
    def test_smoothgrad(self, cifar: Net, make_image: MakeImage, noise: float) -> None:
        image = make_image()
        explained = explain(cifar, image, 1)
        x, generator = explained.x[0], torch.Generator().manual_seed(0)
        deviation = noise * (x.max() - x.min())
        drawn = torch.randn((6, *x.shape), generator=generator) * deviation
        expected = torch.stack([self.gradient(explained, x + each) for each in drawn]).mean(0).numpy()
        found = attribute(cifar, image, "smoothgrad", 1, samples=6, noise=noise)
        np.testing.assert_allclose(found.attributions, expected, atol=1e-5 * np.abs(expected).max())

    @pytest.mark.parametrize("noise", [0.02, 0.4])
    def test_gradient_shap(self, cifar: Net, make_image: MakeImage, noise: float) -> None:
        image = make_image()
        explained = explain(cifar, image, 1)
        x, ground, generator = explained.x[0], explained.baseline("blur")[0], torch.Generator().manual_seed(0)
        alphas = torch.rand((6, 1, 1, 1), generator=generator)
        drawn = torch.randn((6, *x.shape), generator=generator) * (noise * (x.max() - x.min()))
        each = [
            self.gradient(explained, ground + alpha * (x + noisy - ground)) * (x + noisy - ground)
            for noisy, alpha in zip(drawn, alphas, strict=True)
        ]
        expected = torch.stack(each).mean(0).numpy()
        found = attribute(cifar, image, "gradient_shap", 1, samples=6, noise=noise, baseline="blur")
        np.testing.assert_allclose(found.attributions, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("method", METHODS)
def test_every_method_runs_on_bottlenecks_and_keeps_its_shapes(
    make_imagenet: Callable[[str], Net], make_image: MakeImage, method: str
) -> None:
    quick: dict[str, dict[str, Any]] = {
        "occlusion": {"window": 0.5, "stride": 0.5},
        "integrated_gradients": {"steps": 2},
        "smoothgrad": {"samples": 2},
        "gradient_shap": {"samples": 2},
    }
    net = make_imagenet("resnet50")
    found = attribute(net, make_image(), method, **quick.get(method, {}))
    side = net.preprocessing.crop
    assert found.attributions.shape == (3, side, side)
    assert found.map.shape == (side, side)
    assert np.isfinite(found.attributions).all()
    assert found.attributions.dtype == np.float32


@pytest.mark.parametrize("method", ["integrated_gradients", "deep_lift"])
def test_complete_methods_add_up_on_a_trained_network(make_image: MakeImage, method: str) -> None:
    options: dict[str, Any] = {"steps": 100} if method == "integrated_gradients" else {}
    found = attribute(load("resnet20-cifar10"), make_image(), method, **options)
    assert found.relative_delta is not None
    assert found.relative_delta < 2e-3


def test_the_difference_is_the_stock_forwards(cifar: Net, make_image: MakeImage) -> None:
    image = make_image()
    found = attribute(cifar, image, target=2, steps=1)
    x, ground = at(cifar, image)
    with torch.no_grad():
        logits = cifar.module(torch.from_numpy(np.stack([x, ground])))
    assert found.difference == pytest.approx((logits[0, 2] - logits[1, 2]).item(), abs=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_twin_carries_all_hooks_and_the_network_none(cifar: Net, make_image: MakeImage, method: str) -> None:
    attribute(cifar, make_image(), method)
    for layer in cifar.module.modules():
        assert not layer._forward_hooks
        assert not layer._forward_pre_hooks
        assert not layer._backward_hooks
    assert all(parameter.grad is None for parameter in cifar.module.parameters())


def test_eight_people_at_once_get_what_each_would_get_alone(cifar: Net, make_image: MakeImage) -> None:
    jobs = [(make_image(40 + 3 * i, 50), method) for i, method in zip(range(8), itertools.cycle(METHODS), strict=False)]
    alone = [attribute(cifar, image, method).attributions for image, method in jobs]
    together: list[np.ndarray | None] = [None] * len(jobs)

    def work(index: int) -> None:
        image, method = jobs[index]
        for _ in range(3):
            together[index] = attribute(cifar, image, method).attributions

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(alone, together, strict=True):
        assert other is not None
        np.testing.assert_allclose(one, other, atol=1e-6 * max(1.0, float(np.abs(one).max())))


class Stop(Exception):  # noqa: N818 - no error
    pass


@pytest.mark.parametrize("method", ["integrated_gradients", "smoothgrad", "gradient_shap", "occlusion"])
def test_long_methods_report_a_partial_map_and_can_be_stopped(
    make_cifar: Callable[..., Net], make_image: MakeImage, method: str
) -> None:
    net = make_cifar("A", depth=8)
    seen: list[tuple[int, int, bool]] = []

    def watch(done: int, total: int, partial: np.ndarray | None) -> None:
        seen.append((done, total, partial is not None))

    options: dict[str, Any] = {"steps": 300} if method == "integrated_gradients" else {"samples": 300}
    image = make_image()
    attribute(net, image, method, on_progress=watch, **({} if method == "occlusion" else options))
    assert seen[-1][0] == seen[-1][1]
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
    first = next(done / total for done, total, partial in seen if partial)
    assert first < 0.35

    def stop(*_: object) -> None:
        raise Stop

    with pytest.raises(Stop):
        attribute(net, image, method, on_progress=stop)


def test_the_first_partial_integrated_gradients_resemble_the_whole(cifar: Net, make_image: MakeImage) -> None:
    maps: list[np.ndarray] = []
    found = attribute(cifar, make_image(), steps=640, on_progress=lambda _, __, m: maps.append(m) if m is not None else None)
    assert len(maps) == 11
    assert np.corrcoef(maps[0].ravel(), found.map.ravel())[0, 1] > 0.9
    np.testing.assert_allclose(maps[-1], found.map, rtol=1e-4, atol=1e-6)


def test_seeds_decide_what_is_random_and_nothing_global_does(cifar: Net, make_image: MakeImage) -> None:
    image = make_image()

    def run(seed: int) -> Attribution:
        return attribute(cifar, image, "gradient_shap", seed=seed, baseline="noise")

    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = run(3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    np.testing.assert_array_equal(first.attributions, run(3).attributions)
    assert not np.array_equal(first.attributions, run(4).attributions)


@pytest.mark.parametrize("count", [7, 32, 64])
def test_any_run_of_points_is_spread_over_the_line(count: int) -> None:
    order = spread_out(count).tolist()
    assert sorted(order) == list(range(count))
    for start in range(0, count - 4, 4):
        ordered = sorted(order[start : start + 4])
        gaps = [later - earlier for earlier, later in zip([-1, *ordered], [*ordered, count], strict=True)]
        assert max(gaps) <= count // 2


@pytest.mark.parametrize("method", ["integrated_gradients", "smoothgrad", "gradient_shap"])
def test_the_first_of_several_maps_comes_after_a_twentieth_of_the_pictures(
    cifar: Net, make_image: MakeImage, method: str
) -> None:
    count = {"steps" if method == "integrated_gradients" else "samples": 80}
    seen: list[tuple[int, int]] = []

    def note(done: int, total: int, so_far: Array | None) -> None:
        assert so_far is not None
        seen.append((done, total))

    attribute(cifar, make_image(), method, on_progress=note, **count)
    assert seen == [(4, 80), (68, 80), (80, 80)]


@pytest.mark.parametrize("inference", [torch.no_grad, torch.inference_mode])
def test_gradients_are_switched_on_where_the_caller_has_none(
    cifar: Net, make_image: MakeImage, inference: Callable[[], Any]
) -> None:
    with inference():
        found = attribute(cifar, make_image(), "saliency")
    assert np.abs(found.attributions).max() > 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"method": "lrp"}, "method 'lrp' is unknown"),
        ({"method": "saliency", "steps": 3}, "no option 'steps'"),
        ({"steps": 0}, "steps=0 is too few"),
        ({"steps": 10**9}, "steps=1,000,000,000 is too many: choose at most 2,000"),
        ({"steps": "abc"}, "steps='abc' is no whole number: choose one, such as steps=32"),
        ({"method": "smoothgrad", "samples": 0}, "samples=0 is too few"),
        ({"method": "smoothgrad", "noise": "much"}, "noise='much' is no finite number: choose one, such as noise=0.15"),
        ({"method": "grad_cam", "block": "layer9.0"}, "no block 'layer9.0'"),
        ({"method": "grad_cam", "place": "input"}, "place 'input' is unknown"),
        ({"method": "occlusion", "window": 0.1, "stride": 0.2}, "0 < stride <= window"),
        ({"baseline": "white"}, "baseline 'white' is unknown"),
        ({"target": 99}, "outside"),
    ],
)
def test_bad_arguments_get_a_sentence(cifar: Net, make_image: MakeImage, arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        attribute(cifar, make_image(), **arguments)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_warned_of(method: str, cifar: Net, make_image: MakeImage) -> None:
    """Captum remarks on its hooks, which nobody but the twin sees."""
    quick: dict[str, Any] = {"steps": 2, "samples": 2, "window": 0.5, "stride": 0.5}
    options = {field.name: quick[field.name] for field in fields(METHODS[method].options) if field.name in quick}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        attribute(cifar, make_image(), method, 0, **options)
    assert [str(each.message) for each in caught] == []


def test_a_plain_block_has_no_shortcut_to_look_at(make_cifar: Callable[..., Net], make_image: MakeImage) -> None:
    with pytest.raises(ValueError, match="plain and has no shortcut"):
        attribute(make_cifar("plain", depth=8), make_image(), "grad_cam", place="shortcut")


def test_baselines_show_nothing() -> None:
    picture = Image.new("RGB", (64, 64), (10, 200, 30))
    assert set(baseline_picture("black", picture).get_flattened_data()) == {(0, 0, 0)}
    assert set(baseline_picture("mean colour", picture).get_flattened_data()) == {(10, 200, 30)}
    assert baseline_picture("noise", picture, 1) == baseline_picture("noise", picture, 1)
    assert baseline_picture("noise", picture, 1) != baseline_picture("noise", picture, 2)
    spot = Image.new("L", (64, 64))
    spot.putpixel((32, 32), 255)
    assert np.asarray(baseline_picture("blur", spot.convert("RGB"))).max() < 10
