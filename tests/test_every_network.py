"""Every analysis on every kind of network: what it gives is compared with the network itself, or it says why it cannot."""

import copy
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

import resnet_viz as rv
from resnet_viz.analyses.captum_methods import GATES
from resnet_viz.analyses.logit_lens import lens
from resnet_viz.analyses.measures import CUTTING
from resnet_viz.analyses.trust import perturbation, randomisation, robustness
from resnet_viz.engine.wire import decode, encode
from resnet_viz.figures.block_names import brief, fitted
from resnet_viz.lessons import activation_order, addition, block_steps, fewer_blocks
from resnet_viz.nets.architecture import architecture
from resnet_viz.nets.net import Net
from resnet_viz.nets.residual_graph.tracing import logits_of
from tests.every_network import NETWORKS, SIZE

PREPROCESSING = rv.Preprocessing(SIZE, SIZE, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
QUICK: dict[str, dict[str, Any]] = {
    "integrated_gradients": {"steps": 3}, "smoothgrad": {"samples": 2}, "gradient_shap": {"samples": 2},
    "occlusion": {"window": 0.5, "stride": 0.5},
}  # fmt: skip
# Those whose positions have no place in the image.
ROWS = ("folded", "vectors")


@pytest.fixture(scope="module")
def image(make_image: Callable[..., Image.Image]) -> Image.Image:
    return make_image(40, 36)


@pytest.fixture(scope="module")
def opened(shake: Callable[[nn.Module, int], nn.Module]) -> Callable[[str], tuple[nn.Module, Net]]:
    """Return `opened(kind)`: the module in training mode, and what rv.from_module makes of it."""

    @functools.cache
    def make(kind: str) -> tuple[nn.Module, Net]:
        torch.manual_seed(0)
        module = shake(NETWORKS[kind](), 1)
        with torch.no_grad():
            for parameter in module.parameters():
                if not parameter.any():
                    parameter.uniform_(-0.5, 0.5)
        return module.train(), rv.from_module(module, preprocessing=PREPROCESSING)

    return make


Opened = Callable[[str], tuple[nn.Module, Net]]
# Each of the others has something of its own about its tensors; these are further families.
FURTHER = (
    "own dict", "pre-activation", "pool", "norm", "mixed", "two heads", "transformer", "torch transformer", "MobileNet V3",
    "MNASNet", "EfficientNet", "RegNet", "timm ResNet-D", "timm ViT with registers",
)  # fmt: skip
every_network = pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.networks] if kind in FURTHER else []) for kind in NETWORKS]
)


def logits(module: nn.Module, x: Tensor) -> Tensor:
    """What the module itself computes in evaluation mode."""
    found: Tensor = logits_of(copy.deepcopy(module).eval()(x))
    return found


@every_network
class TestEveryAnalysis:
    def test_inspect(self, kind: str, opened: Opened, image: Image.Image) -> None:
        module, net = opened(kind)
        result = rv.inspect(net, image)
        expected = logits(module, net.preprocess(image))[0]
        assert result.predictions[0].logit == pytest.approx(expected.max().item(), rel=1e-5, abs=1e-6)
        assert list(result.table().index) == list(net.blocks)
        for block in result.blocks:
            assert block.identity is not None
            assert block.grad_identity is not None
            assert np.array_equal(block.identity + block.residual, block.sum)
            np.testing.assert_allclose(block.grad_identity + block.grad_residual, block.grad_input, rtol=1e-4, atol=1e-6)
            assert block.shape == block.sum.shape == block.output.shape
            assert block.cam.shape == block.shape[1:]
            assert np.isnan(block.measures.cut) == (block.activation not in CUTTING)
            assert block.spatial == (kind not in ROWS)

    def test_several_images_in_one_pass(self, kind: str, opened: Opened, image: Image.Image) -> None:
        from resnet_viz.analyses.inspection import inspect_batch  # noqa: PLC0415

        _, net = opened(kind)
        alone = rv.inspect(net, image, 1)
        both = inspect_batch(net, [image.rotate(90), image], [0, 1])[1]
        for one, other in zip(alone.blocks, both.blocks, strict=True):
            for name in ("sum", "grad_input", "cam"):
                expected = getattr(one, name)
                np.testing.assert_allclose(
                    getattr(other, name), expected, rtol=1e-3, atol=1e-4 * max(1e-3, np.abs(expected).max())
                )
            assert one.measures.sum_norm == pytest.approx(other.measures.sum_norm, rel=1e-4)

    def test_a_survey_says_what_inspections_say(
        self, kind: str, opened: Opened, image: Image.Image, make_image: Callable[..., Image.Image]
    ) -> None:
        _, net = opened(kind)
        images = [image, make_image(36, 40)]
        table = rv.survey(net, images, batch_size=2).table()
        for number, each in enumerate(images):
            found, wanted = table.xs(f"image {number}"), rv.inspect(net, each).table()
            pair = [rows.drop(columns="shortcut").to_numpy(float) for rows in (found, wanted)]
            np.testing.assert_allclose(pair[0], pair[1], rtol=1e-3, atol=1e-5)

    def test_gradients(self, kind: str, opened: Opened, image: Image.Image) -> None:
        module, net = opened(kind)
        found = rv.gradients(net, image, target=2).parameters
        own = copy.deepcopy(module).eval()
        logit = logits_of(own(net.preprocess(image)))[0, 2]
        names, parameters = zip(*own.named_parameters(), strict=True)
        slopes = torch.autograd.grad(logit, parameters, allow_unused=True)
        expected = {name: slope.norm().item() for name, slope in zip(names, slopes, strict=True) if slope is not None}
        rows = {
            f"{block}.{parameter}" if block in net.blocks and f"{block}.{parameter}" in expected else parameter: norm
            for block, parameter, norm in zip(found["block"], found["parameter"], found["norm"], strict=True)
        }
        assert rows == pytest.approx(expected, rel=1e-3, abs=1e-5)

    @pytest.mark.parametrize("method", rv.METHODS)
    def test_attribute(self, kind: str, method: str, opened: Opened, image: Image.Image) -> None:
        _, net = opened(kind)
        if _has_no_rule(net, method) or (kind in ROWS and method.endswith("grad_cam")):
            with pytest.raises(ValueError, match=r": take (Integrated Gradients|Saliency)"):
                rv.attribute(net, image, method, target=1)
            return
        found = rv.attribute(net, image, method, target=1, **QUICK.get(method, {}))
        assert found.attributions.shape == (3, SIZE, SIZE)
        assert np.isfinite(found.attributions).all()
        # Of Grad-CAM only what is positive is left.
        assert found.attributions.any() or method in ("grad_cam", "guided_grad_cam")
        if method == "deep_lift":
            assert abs(found.delta or 0) < 1e-3 * max(1, abs(found.difference or 0))

    def test_block_cams(self, kind: str, opened: Opened, image: Image.Image) -> None:
        _, net = opened(kind)
        result = rv.inspect(net, image)
        found = rv.block_cams(net, image)
        assert list(found) == [block.name for block in result.blocks if block.spatial]
        for name, cam in found.items():
            np.testing.assert_allclose(cam, result.block(name).cam, rtol=1e-3, atol=1e-6)

    def test_conductance_adds_up(self, kind: str, opened: Opened, image: Image.Image) -> None:
        _, net = opened(kind)
        found = rv.conductance(net, image, target=1, steps=128)
        assert found.whole == (kind != "around")
        for block in found.blocks:
            assert block.total.shape == block.residual.shape
            if found.whole:
                assert block.total_sum == pytest.approx(found.difference, abs=0.04 * max(1, abs(found.difference)))

    def test_ablate_sweep_and_lens(self, kind: str, opened: Opened, image: Image.Image) -> None:
        _, net = opened(kind)
        names = list(net.blocks)
        table, decoded = rv.ablation_sweep(net, image, 1), lens(net, image)
        alone = [rv.ablate(net, image, {name: 0.0}).logits[1] for name in names]
        size = max(1, np.abs(decoded.logits).max())
        np.testing.assert_allclose(table["logit"], alone, rtol=1e-3, atol=1e-4 * size)
        for number in range(len(names) + 1):
            expected = rv.ablate(net, image, dict.fromkeys(names[number:], 0.0)).logits
            np.testing.assert_allclose(decoded.logits[number], expected, rtol=1e-3, atol=1e-4 * size)

    def test_trust(self, kind: str, opened: Opened, image: Image.Image) -> None:
        module, net = opened(kind)
        before = {name: values.clone() for name, values in module.state_dict().items()}
        found = rv.attribute(net, image, "saliency")
        steps = randomisation(net, image, found)
        assert steps.layers[0] == "head"
        assert [name for name in steps.layers if name in net.blocks] == list(reversed(net.blocks))
        assert steps.correlations[-1] is not None
        assert steps.correlations[-1] < 0.9
        assert all(torch.equal(values, before[name]) for name, values in module.state_dict().items())
        assert robustness(net, image, found).sensitivity >= 0
        assert 0 <= perturbation(net, image, found, steps=2).deletion.area <= 1

    def test_architecture(self, kind: str, opened: Opened, image: Image.Image) -> None:
        _, net = opened(kind)
        parts = architecture(net)
        assert [parts[0].name, parts[-1].name] == ["stem", "head"]
        assert parts[-1].output == (5,)
        assert [part.name for part in parts if part.stage is not None] == list(net.blocks)
        used = rv.gradients(net, image, 0).parameters["size"].sum()
        assert sum(part.parameters for part in parts) == used

    def test_figures_and_wire(self, kind: str, opened: Opened, image: Image.Image) -> None:
        _, net = opened(kind)
        result = rv.inspect(net, image)
        assert decode(encode(result), rv.Inspection, 2**26).blocks[0].activation == result.blocks[0].activation
        conductance = rv.conductance(net, image, steps=2)
        gradients = rv.gradients(net, image)
        figures = [
            *(rv.figures.block_map(result, measure) for measure in ("ratio", "cosine", "gradient", "cam_mass")),
            rv.figures.cam_strip(result),
            rv.figures.measures_by_depth(result, result.blocks[0].name),
            rv.figures.conductance_bars(conductance),
            rv.figures.gradient_flow(gradients, selected=result.blocks[0].name),
            rv.figures.parameter_gradients(gradients),
        ]
        for block in result.blocks:
            figures += [rv.figures.block_equation(block), rv.figures.channel_mosaic(block, "residual")]
            figures += [rv.figures.cam_overlay(result, block.name), rv.figures.channel_map(block, "sum", 0)]
        assert all(figure.layout.meta["finding"] for figure in figures)


def _has_no_rule(net: Net, method: str) -> bool:
    """Whether a network has something that a method's rules do not cover."""
    findings: Any = net.module.residual_findings
    if method == "deep_lift":
        return bool(findings.other_nonlinear)
    others = [name for name in findings.activations if name not in (*CUTTING, *GATES)]
    return method.startswith("guided") and (bool(others) or not set(findings.activations) & set(CUTTING))


class TestLayouts:
    def test_vit_by_hand(self, opened: Opened, image: Image.Image) -> None:
        """Patches by rows and columns, the class token apart, Grad-CAM of the patches, and a branch without its last layer."""
        module, net = opened("ViT")
        own = copy.deepcopy(module).eval()
        kept: dict[str, Tensor] = {}
        layer = own.get_submodule("encoder.layers.encoder_layer_0")
        layer.register_forward_hook(lambda *call: kept.__setitem__("output", call[2]))
        logit = own(net.preprocess(image))[0, 3]
        (slope,) = torch.autograd.grad(logit, kept["output"])
        block = rv.inspect(net, image, 3).block("encoder.layers.encoder_layer_0.mlp")
        assert block.tokens_apart == ("class token",)
        assert block.shape == (16, 4, 4)
        patches, slopes = kept["output"][0, 1:].detach(), slope[0, 1:]
        for row in range(4):
            for column in range(4):
                assert np.array_equal(block.output[:, row, column], patches[4 * row + column].numpy())
        weights = slopes.mean(0)
        np.testing.assert_allclose(block.cam.ravel(), (patches @ weights).relu().numpy(), rtol=1e-4, atol=1e-6)
        assert block.measures.output_norm == pytest.approx(kept["output"].norm().item(), rel=1e-5)
        with torch.no_grad():
            for name in ("weight", "bias"):
                layer.get_parameter(f"mlp.3.{name}").zero_()
        removed = rv.ablate(net, image, {block.name: 0.0})
        np.testing.assert_allclose(removed.logits, own(net.preprocess(image))[0].detach().numpy(), rtol=1e-4, atol=1e-6)

    def test_swin_by_hand(self, opened: Opened, image: Image.Image) -> None:
        module, net = opened("Swin")
        own = copy.deepcopy(module).eval()
        kept: list[Tensor] = []
        own.get_submodule("features.1.0").register_forward_hook(lambda *call: kept.append(call[2].detach()))
        own(net.preprocess(image))
        block = rv.inspect(net, image).block("features.1.0.mlp")
        assert block.shape == (8, 8, 8)
        assert np.array_equal(block.output, kept[0][0].permute(2, 0, 1).numpy())

    def test_default_block_of_grad_cam_is_one_that_reaches_the_class(self, opened: Opened, image: Image.Image) -> None:
        """Behind the last attention only the class token does."""
        _, net = opened("ViT")
        found = rv.attribute(net, image, "grad_cam", target=3)
        name = "encoder.layers.encoder_layer_0.mlp"
        expected = torch.from_numpy(rv.inspect(net, image, 3).block(name).cam)[None, None]
        large = F.interpolate(expected, (SIZE, SIZE), mode="bilinear")
        np.testing.assert_allclose(found.map, large[0, 0].numpy(), rtol=1e-3, atol=1e-6)

    def test_names_of_tokens(self, opened: Opened, image: Image.Image) -> None:
        _, net = opened("timm ViT with registers")
        assert rv.inspect(net, image).blocks[0].tokens_apart == ("class token", "register token 1", "register token 2")

    @pytest.mark.parametrize(("kind", "reason"), [("folded", "it works on 4 parts"), ("vectors", "one number per channel")])
    def test_no_place_in_the_image(self, kind: str, reason: str, opened: Opened, image: Image.Image) -> None:
        _, net = opened(kind)
        result = rv.inspect(net, image)
        assert reason in result.blocks[0].note
        assert reason in rv.figures.cam_overlay(result, result.blocks[0].name).layout.meta["finding"]
        assert reason in rv.figures.block_equation(result.blocks[0]).layout.meta["how_to_read"]
        with pytest.raises(ValueError, match=r"has no Grad-CAM, because .*: take Integrated Gradients"):
            rv.attribute(net, image, "grad_cam")


class TestBlockMap:
    @pytest.mark.parametrize(
        ("kind", "words"),
        [("pool", "shortcut changes shape"), ("norm", "shortcut normalises x"), ("mixed", "shortcut has several layers")],
    )
    def test_marks_of_shortcuts(self, kind: str, words: str, opened: Opened, image: Image.Image) -> None:
        _, net = opened(kind)
        figure = rv.figures.block_map(rv.inspect(net, image))
        assert words in {trace.name for trace in figure.data}
        assert any(note.text.startswith(kind) for note in figure.layout.annotations)
        dashes = [shape for shape in figure.layout.shapes if shape.type == "line" and shape.line.dash != "solid"]
        assert len(dashes) == sum(block.shortcut_kind == kind for block in net.blocks.values())

    def test_no_activation(self, opened: Opened, image: Image.Image) -> None:
        _, net = opened("ViT")
        result = rv.inspect(net, image)
        figure = rv.figures.block_map(result)
        assert "sum" in {trace.name for trace in figure.data}
        assert {note.text for note in figure.layout.annotations} >= {"stem", "head", "no activation"}
        equation = rv.figures.block_equation(result.blocks[0])
        assert any("the sum itself" in note.text for note in equation.layout.annotations)
        assert not any("ReLU" in note.text for note in equation.layout.annotations)

    @pytest.mark.parametrize(
        ("names", "expected"),
        [
            (["layer1.0", "layer2.0"], ["1.0", "2.0"]),
            (["stages.0.blocks.0", "stages.1.blocks.0"], ["0.0", "1.0"]),
            (["encoder.layers.encoder_layer_0.mlp", "encoder.layers.encoder_layer_1.mlp"], ["0.mlp", "1.mlp"]),
            (["first.0", "second.0"], ["first.0", "second.0"]),
            (["left1.0", "right1.0"], ["left1.0", "right1.0"]),
            (["layers.0.attn", "layers.0.mlp"], ["attn", "mlp"]),
            (["body"], ["body"]),
        ],
    )
    def test_short_names_stay_apart(self, names: list[str], expected: list[str]) -> None:
        assert brief(names) == expected

    def test_long_names_are_written_in_lines(self) -> None:
        assert fitted("1.0", 8) == "1.0"
        assert fitted("0.self_attention", 8) == "0<br>self_at…"


class TestRules:
    def test_deep_lift_has_rules_for_activations_beside_relu(self, image: Image.Image) -> None:
        """Hardswish and ReLU6 get the rescale rule, by which the map adds up."""
        from torch.nn import Hardswish  # noqa: PLC0415

        from tests.own_networks import Blocks, conv  # noqa: PLC0415

        class Smooth(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.conv1, self.act, self.conv2, self.cap = conv(), Hardswish(), conv(), nn.ReLU6()

            def forward(self, x: Tensor) -> Tensor:
                return x + self.cap(self.conv2(self.act(self.conv1(x))))

        torch.manual_seed(0)
        found = rv.attribute(rv.from_module(Blocks(Smooth()), preprocessing=PREPROCESSING), image, "deep_lift")
        assert found.relative_delta is not None
        assert found.relative_delta < 1e-3

    def test_guided_backprop_takes_a_capped_relu_for_a_relu(self, opened: Opened, image: Image.Image) -> None:
        """By hand: what is negative of a gradient is dropped at each ReLU6."""
        module, net = opened("MobileNet V2")
        own = copy.deepcopy(module).eval()
        for name, layer in list(own.named_modules()):
            if isinstance(layer, nn.ReLU6):
                owner, _, last = name.rpartition(".")
                setattr(own.get_submodule(owner), last, _Guided())
        x = net.preprocess(image).requires_grad_()
        (expected,) = torch.autograd.grad(own(x)[0, 1], x)
        found = rv.attribute(net, image, "guided_backprop", target=1)
        np.testing.assert_allclose(found.attributions, expected[0].numpy(), rtol=1e-3, atol=1e-6)

    def test_two_heads_are_no_block(self, opened: Opened) -> None:
        _, net = opened("two heads")
        assert list(net.blocks) == ["body.blocks.0", "body.blocks.1"]
        findings: Any = net.module.residual_findings
        assert "adds the logits of two heads" in findings.hidden[0].reason


class _Cut(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return F.relu6(x)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return slope.relu() * ((x > 0) & (x < 6))


class _Guided(nn.Module):
    def forward(self, x: Tensor) -> Any:
        return _Cut.apply(x)


class TestLessons:
    """Lessons that go through layers by their names say so."""

    def test_sentences(self, opened: Opened, image: Image.Image) -> None:
        _, net = opened("ViT")
        block = next(iter(net.blocks))
        calls: list[Callable[[], object]] = [
            lambda: block_steps.walk(net, image, block),
            lambda: addition.next_layer(net, block),
            lambda: activation_order.orders(net, image),
            lambda: fewer_blocks.movable_blocks(net),
        ]
        for call in calls:
            with pytest.raises(ValueError, match=r"layers of VisionTransformer have other names: take a ResNet from the list"):
                call()
