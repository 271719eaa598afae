"""The main analysis compared with stock torchvision, Captum, autograd on independent functions, and plain numpy."""

import gc
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from captum.attr import LayerGradCam
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from resnet_viz.analyses.activations import activations
from resnet_viz.analyses.inspection import BlockInspection, Inspection, inspect
from resnet_viz.analyses.measures import MEANINGS
from resnet_viz.nets.net import Net

CIFAR = ("A", "B", "C", "plain")
IMAGENET = ("resnet18", "resnet50")
MAPS = ("identity", "residual", "sum", "output", "grad_identity", "grad_residual", "grad_input")
# What takes passes of its own, which `ablation.sweep` makes.
REMOVALS = ("logit_drop", "probability_drop")

MakeImage = Callable[..., Image.Image]


@pytest.fixture(scope="module")
def make_net(make_cifar: Callable[..., Net], make_imagenet: Callable[[str], Net]) -> Callable[[str], Net]:
    """Return `make_net(kind)` for the kinds of `CIFAR` and `IMAGENET`."""
    return lambda kind: make_cifar(kind, depth=14) if kind in CIFAR else make_imagenet(kind)


@pytest.fixture(scope="module", params=CIFAR + IMAGENET)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def net(kind: str, make_net: Callable[[str], Net]) -> Net:
    return make_net(kind)


@pytest.fixture(scope="module")
def result(net: Net, make_image: MakeImage) -> Inspection:
    return inspect(net, make_image(70, 80))


def arrays(result: Inspection) -> Iterator[tuple[str, np.ndarray]]:
    """Everything an inspection has computed."""
    yield "logits", np.array([p.logit for p in sorted(result.predictions, key=lambda p: p.index)])
    for block in result.blocks:
        yield f"{block.name} measures", np.array(list(vars(block.measures).values()))
        yield f"{block.name} cam", block.cam
        for name in MAPS:
            if (values := getattr(block, name)) is not None:
                yield f"{block.name} {name}", values


def assert_same(ours: Inspection, theirs: Inspection) -> None:
    pairs = zip(arrays(ours), arrays(theirs), strict=True)
    for (name, values), (other_name, others) in pairs:
        assert name == other_name
        np.testing.assert_array_equal(values, others, strict=True, err_msg=name)


class TestMaps:
    def test_identity_and_residual_make_the_sum_exactly(self, result: Inspection) -> None:
        for block in result.blocks:
            made = block.residual if block.identity is None else block.identity + block.residual
            np.testing.assert_array_equal(made - block.sum, np.zeros_like(block.sum), strict=True)
            assert block.maps is not None
            assert block.maps.error == 0.0

    def test_relu_of_the_sum_is_the_output_exactly(self, result: Inspection) -> None:
        for block in result.blocks:
            np.testing.assert_array_equal(np.maximum(block.sum, 0), block.output, strict=True)
            assert (block.sum < 0).any(), block.name

    def test_identity_is_the_output_of_the_block_before_where_no_shape_changes(self, result: Inspection) -> None:
        unchanged = [(a, b) for a, b in zip(result.blocks, result.blocks[1:], strict=False) if b.shortcut == "identity"]
        for before, block in unchanged:
            np.testing.assert_array_equal(block.identity, before.output, strict=True)

    def test_plain_blocks_alone_lack_a_shortcut(self, kind: str, result: Inspection) -> None:
        for block in result.blocks:
            assert (block.identity is None) == (block.grad_identity is None) == (kind == "plain")

    def test_shapes_and_types(self, result: Inspection) -> None:
        for before, block in zip((result.blocks[0], *result.blocks), result.blocks, strict=False):
            assert block.shape == block.residual.shape == block.sum.shape == block.output.shape
            assert block.cam.shape == block.shape[1:]
            if block is not before:
                assert block.grad_residual.shape == block.grad_input.shape == before.shape
            maps = [values for name in MAPS if (values := getattr(block, name)) is not None]
            assert {values.dtype for values in (*maps, block.cam)} == {np.dtype(np.float32)}

    def test_are_those_of_activations(self, net: Net, result: Inspection, make_image: MakeImage) -> None:
        for ours, theirs in zip(result.blocks, activations(net, make_image(70, 80)).blocks, strict=True):
            assert (ours.name, ours.stage, ours.shortcut) == (theirs.name, theirs.stage, theirs.shortcut)
            for name in ("identity", "residual", "sum", "output"):
                np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))

    def test_error_is_the_largest_difference(self, make_cifar: Callable[..., Net], make_image: MakeImage) -> None:
        maps = inspect(make_cifar(), make_image()).blocks[0].maps
        assert maps is not None
        off = maps.sum.copy()
        off[3, 2, 1] += 5
        off[0, 0, 0] -= 7
        assert replace(maps, sum=off).error == pytest.approx(7, abs=1e-5)

    def test_the_picture_as_the_network_saw_it(self, net: Net, result: Inspection, make_image: MakeImage) -> None:
        assert result.seen.dtype == np.uint8
        np.testing.assert_array_equal(result.seen, np.asarray(net.preprocessing.seen(make_image(70, 80))))


class TestGradients:
    def test_the_two_paths_add_up_exactly(self, kind: str, result: Inspection) -> None:
        for block in result.blocks:
            parts = block.grad_residual if block.grad_identity is None else block.grad_identity + block.grad_residual
            np.testing.assert_array_equal(parts, block.grad_input, strict=True)
            assert np.abs(block.grad_residual).max() > 0, block.name
            if block.grad_identity is not None:
                assert np.abs(block.grad_identity - block.grad_residual).max() > 0, (kind, block.name)

    @pytest.mark.parametrize("option", CIFAR)
    def test_cifar_paths_are_those_of_two_separate_copies_of_x(
        self, option: str, make_net: Callable[[str], Net], make_image: MakeImage, cifar_reference: Callable[..., Any]
    ) -> None:
        net = make_net(option)
        ours = inspect(net, make_image(), target="dog")
        reference = cifar_reference(net.module, option)
        x = reference.stem(net.preprocess(make_image()))
        for number, name in enumerate(reference.blocks):
            to_shortcut, to_branch = (x.detach().clone().requires_grad_() for _ in range(2))
            y = reference.block(name, to_shortcut, to_branch).output
            for later in reference.blocks[number + 1 :]:
                y = reference.block(later, y, y).output
            logit = reference.head(y)[0, 5]
            if option == "plain":
                assert ours.block(name).grad_identity is None
            else:
                (at_shortcut,) = torch.autograd.grad(logit, to_shortcut, retain_graph=True)
                close_to(ours.block(name).grad_identity, at_shortcut, name)
            (at_branch,) = torch.autograd.grad(logit, to_branch)
            close_to(ours.block(name).grad_residual, at_branch, name)
            x = reference.block(name, x, x).output

    @pytest.mark.parametrize("name", IMAGENET)
    def test_imagenet_paths_are_those_of_two_separate_copies_of_x(
        self, name: str, make_net: Callable[[str], Net], make_stock: Callable[[Net], nn.Module], make_image: MakeImage
    ) -> None:
        net = make_net(name)
        ours = inspect(net, make_image(), target=281)
        stock: Any = make_stock(net)
        x = stock.maxpool(stock.relu(stock.bn1(stock.conv1(net.preprocess(make_image())))))
        blocks = [(block_name, stock.get_submodule(block_name)) for block_name in net.blocks]
        for number, (block_name, block) in enumerate(blocks):
            if number % 3 == 0:
                to_shortcut, to_branch = (x.detach().clone().requires_grad_() for _ in range(2))
                y = stock_block(block, to_shortcut, to_branch)
                for _, later in blocks[number + 1 :]:
                    y = later(y)
                logit = stock.fc(y.mean((2, 3)))[0, 281]
                at_shortcut, at_branch = torch.autograd.grad(logit, [to_shortcut, to_branch])
                close_to(ours.block(block_name).grad_identity, at_shortcut, block_name)
                close_to(ours.block(block_name).grad_residual, at_branch, block_name)
            x = block(x)

    @pytest.mark.parametrize("name", IMAGENET)
    def test_whole_is_that_of_stock_torchvision(
        self, name: str, make_net: Callable[[str], Net], make_stock: Callable[[Net], nn.Module], make_image: MakeImage
    ) -> None:
        net = make_net(name)
        stock, inputs = make_stock(net), {}
        for block_name in net.blocks:
            stock.get_submodule(block_name).register_forward_pre_hook(
                lambda _, args, key=block_name: inputs.update({key: args[0]})
            )
        logits = stock(net.preprocess(make_image()).requires_grad_())
        expected = torch.autograd.grad(logits[0, 7], list(inputs.values()))
        ours = inspect(net, make_image(), target=7)
        for block_name, gradient in zip(inputs, expected, strict=True):
            np.testing.assert_array_equal(ours.block(block_name).grad_input, gradient[0], err_msg=block_name)

    def test_follow_the_target(self, make_cifar: Callable[..., Net], make_image: MakeImage) -> None:
        one, other = (inspect(make_cifar(), make_image(), target=target) for target in (1, 2))
        assert np.abs(one.blocks[0].grad_input - other.blocks[0].grad_input).max() > 0
        assert np.abs(one.blocks[0].cam - other.blocks[0].cam).max() > 0
        np.testing.assert_array_equal(one.blocks[0].residual, other.blocks[0].residual)


def stock_block(block: Any, to_shortcut: Tensor, to_branch: Tensor) -> Tensor:
    """Compute one of torchvision's blocks from its layers, without its in-place ReLU, with a copy of x for each path."""
    hidden = F.relu(block.bn1(block.conv1(to_branch)))
    residual = block.bn2(block.conv2(hidden))
    if hasattr(block, "conv3"):
        residual = block.bn3(block.conv3(F.relu(residual)))
    return F.relu(residual + (to_shortcut if block.downsample is None else block.downsample(to_shortcut)))


def close_to(ours: np.ndarray | None, theirs: Tensor, name: str) -> None:
    """Within 1e-5 of the largest entry."""
    assert ours is not None, name
    scale = theirs.abs().max().item()
    assert scale > 0, name
    np.testing.assert_allclose(ours, theirs[0].numpy(), rtol=0, atol=1e-5 * scale, err_msg=name)


class TestGradCam:
    @pytest.mark.parametrize("target", [None, 999])
    def test_is_captums(
        self,
        target: int | None,
        make_imagenet: Callable[[str], Net],
        make_stock: Callable[[Net], nn.Module],
        make_image: MakeImage,
    ) -> None:
        net = make_imagenet("resnet18")
        stock, ours = make_stock(net), inspect(net, make_image(), target=target)
        x = net.preprocess(make_image()).requires_grad_()
        for block in ours.blocks:
            captum = LayerGradCam(stock, stock.get_submodule(block.name))
            expected = captum.attribute(x, target=ours.target, relu_attributions=True).detach()[0]
            assert expected.shape == (1, *block.cam.shape)
            close_to(block.cam, expected, block.name) if expected.abs().max() > 0 else np.testing.assert_array_equal(
                block.cam, 0
            )
        assert sum(block.cam.max() > 0 for block in ours.blocks) >= 6

    @pytest.mark.parametrize("option", CIFAR)
    def test_at_the_last_block_weighs_channels_by_the_classifier(
        self, option: str, make_net: Callable[[str], Net], make_image: MakeImage
    ) -> None:
        """After the last block there are only the pooling and the linear layer, so the channel weights are fc's over H x W."""
        net = make_net(option)
        block = inspect(net, make_image(), target=4).blocks[-1]
        weights = net.module.state_dict()["fc.weight"][4].numpy() / 64
        expected = np.maximum(np.tensordot(weights, block.output, 1), 0)
        np.testing.assert_allclose(block.cam, expected, rtol=1e-5, atol=1e-6)


class TestCost:
    def test_one_forward_and_one_backward(self, net: Net, make_image: MakeImage) -> None:
        """Every convolution once, and back once through every one that lies behind the first block's input."""
        calls: Counter[str] = Counter()

        class Count(TorchDispatchMode):
            def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                del types
                calls[func.overloadpacket.__name__] += 1
                return func(*args, **(kwargs or {}))

        with Count():  # type: ignore[no-untyped-call]
            inspect(net, make_image())
        convolutions = sum(isinstance(layer, nn.Conv2d) for layer in net.module.modules())
        assert calls["convolution"] == convolutions
        assert calls["convolution_backward"] == convolutions - 1

    def test_one_call_of_autograd(self, net: Net, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch) -> None:
        calls: list[str] = []
        grad = torch.autograd.grad

        def counted(*args: Any, **kwargs: Any) -> Any:
            calls.append("grad")
            return grad(*args, **kwargs)

        monkeypatch.setattr(torch.autograd, "grad", counted)
        monkeypatch.setattr(torch.autograd, "backward", lambda *_, **__: calls.append("backward"))
        inspect(net, make_image())
        assert calls == ["grad"]

    def test_parameters_get_no_gradient(self, net: Net, make_image: MakeImage) -> None:
        inspect(net, make_image())
        assert all(parameter.grad is None for parameter in net.module.parameters())
        assert not any(parameter.requires_grad for parameter in net.module.parameters())

    def test_nor_do_parameters_that_ask_for_one(self, make_cifar: Callable[..., Net], make_image: MakeImage) -> None:
        net = make_cifar()
        expected = inspect(net, make_image())
        net.module.requires_grad_()
        assert_same(inspect(net, make_image()), expected)
        assert all(parameter.grad is None for parameter in net.module.parameters())

    def test_works_where_gradients_are_switched_off(self, make_cifar: Callable[..., Net], make_image: MakeImage) -> None:
        expected = inspect(make_cifar(), make_image())
        with torch.no_grad():
            assert_same(inspect(make_cifar(), make_image()), expected)

    def test_draws_no_random_numbers(self, net: Net, make_image: MakeImage) -> None:
        before = torch.get_rng_state()
        inspect(net, make_image())
        assert torch.equal(torch.get_rng_state(), before)


class TestPredictions:
    def test_every_class_best_first(self, net: Net, result: Inspection, make_image: MakeImage) -> None:
        logits = net.module(net.preprocess(make_image(70, 80)))[0].numpy()
        order = [p.index for p in result.predictions]
        assert sorted(order) == list(range(len(net.labels)))
        assert [p.label for p in result.predictions] == [net.labels[i] for i in order]
        np.testing.assert_array_equal([p.logit for p in result.predictions], logits[order])
        assert (np.diff([p.logit for p in result.predictions]) <= 0).all()

    def test_probabilities_are_the_softmax(self, result: Inspection) -> None:
        logits = np.array([p.logit for p in result.predictions])
        shares = np.exp(logits - logits.max())
        probabilities = np.array([p.probability for p in result.predictions])
        np.testing.assert_allclose(probabilities, shares / shares.sum(), rtol=1e-5, atol=1e-12)
        assert probabilities.sum() == pytest.approx(1, abs=1e-5)

    def test_without_a_target_it_is_the_best(self, net: Net, result: Inspection) -> None:
        assert result.target == result.predictions[0].index
        assert result.target_label == net.labels[result.target]

    def test_target_by_index_and_by_label_are_the_same(self, make_cifar: Callable[..., Net], make_image: MakeImage) -> None:
        net = make_cifar("B")
        by_index, by_label = (inspect(net, make_image(), target) for target in (8, "ship"))
        assert by_index.target == by_label.target == 8
        assert by_index.target_label == by_label.target_label == "ship"
        assert_same(by_index, by_label)

    @pytest.mark.parametrize("target", [10, -1, 281, "zebra", ""])
    def test_a_class_that_is_not_there_raises_before_any_work(
        self, target: int | str, make_cifar: Callable[..., Net], make_image: MakeImage
    ) -> None:
        done: list[int] = []
        with pytest.raises(ValueError, match=r"is outside Test A-8's classes: choose 0 to 9|has no class"):
            inspect(make_cifar(), make_image(), target, on_block=lambda at, _: done.append(at))
        assert done == []

    def test_says_what_was_inspected(self, net: Net, result: Inspection) -> None:
        assert (result.model, result.title, result.weights) == (net.name, net.title, net.weights)
        assert result.device == "cpu"


class TestTable:
    @staticmethod
    def expected(block: BlockInspection, net: Net) -> dict[str, float]:
        """Every measure from the arrays, in float64."""
        doubles = {name: None if (v := getattr(block, name)) is None else v.astype(float) for name in MAPS}
        size = {name: np.nan if v is None else np.sqrt((v**2).sum()) for name, v in doubles.items()}
        identity, residual = doubles["identity"], doubles["residual"]
        assert residual is not None
        dot = np.nan if identity is None else (identity * residual).sum()
        state = {k: v.numpy() for k, v in net.module.state_dict().items() if k.startswith(f"{block.name}.")}
        learned = {k: v for k, v in state.items() if "running" not in k and "num_batches" not in k}
        return {
            "identity_norm": size["identity"],
            "residual_norm": size["residual"],
            "sum_norm": size["sum"],
            "output_norm": size["output"],
            "ratio": size["residual"] / size["identity"],
            "cosine": dot / (size["identity"] * size["residual"]),
            "response_std": residual.std(),
            "cut": (block.sum < 0).mean(),
            "grad_identity_norm": size["grad_identity"],
            "grad_residual_norm": size["grad_residual"],
            "grad_input_norm": size["grad_input"],
            "shortcut_share": size["grad_identity"] / (size["grad_identity"] + size["grad_residual"]),
            "residual_share": size["grad_residual"] / (size["grad_identity"] + size["grad_residual"]),
            "cam_mass": block.cam.astype(float).sum(),
            "parameters": sum(v.size for v in learned.values()),
            "multiply_adds": sum(conv_cost(k, v, block) for k, v in learned.items() if v.ndim == 4),
        }

    def test_every_measure_is_recomputed(self, net: Net, result: Inspection) -> None:
        table = result.table()
        for block in result.blocks:
            expected = self.expected(block, net)
            assert asdict(block.measures).keys() == {*expected, *REMOVALS}
            for name, value in expected.items():
                found = float(table.loc[block.name, name])  # type: ignore[arg-type]
                # The cosine is a difference of large terms: 1e-5 of its range.
                tolerance = {"abs": 1e-5} if name == "cosine" else {"rel": 1e-5}
                assert found == pytest.approx(value, nan_ok=True, **tolerance), (block.name, name)

    def test_a_row_a_block(self, net: Net, result: Inspection) -> None:
        table = result.table()
        assert table.index.name == "block"
        assert list(table.index) == list(net.blocks)
        assert list(table["stage"]) == [int(name[5]) for name in net.blocks]
        assert list(table["shortcut"]) == [block.shortcut_kind for block in net.blocks.values()]

    def test_columns_are_documented_and_typed(self, result: Inspection) -> None:
        table = result.table()
        assert list(table.columns) == ["stage", "shortcut", *MEANINGS]
        whole = {"stage", "parameters", "multiply_adds"}
        for name in table.columns.drop("shortcut"):
            assert table[name].dtype == (np.int64 if name in whole else np.float64), name

    def test_what_a_plain_block_has_not_is_missing(self, kind: str, result: Inspection) -> None:
        table = result.table()
        missing = {str(name) for name in table.columns if table[name].isna().any()} - {*REMOVALS}
        without_shortcut = {"identity_norm", "ratio", "cosine", "grad_identity_norm", "shortcut_share", "residual_share"}
        assert missing == (without_shortcut if kind == "plain" else set())


def conv_cost(name: str, weight: np.ndarray, block: BlockInspection) -> int:
    """Weights times pixels of the output; a bottleneck's first convolution still has the input's pixels."""
    at_input = name.endswith("conv1.weight") and f"{weight.shape[2]}" == "1"
    height, width = (block.grad_input if at_input else block.sum).shape[1:]
    return int(weight.size * height * width)


class TestKeeping:
    def test_an_unknown_block_is_refused(self, residual: Inspection) -> None:
        with pytest.raises(KeyError, match=r"has no block 'nope'; it has layer1\.0, .*layer3\.2"):
            residual.keeping("layer1.0", "nope")

    @pytest.fixture
    def whole(self, make_cifar: Callable[..., Net], make_image: MakeImage) -> Inspection:
        return inspect(make_cifar(depth=14), make_image())

    def test_drops_the_other_blocks_maps(self, whole: Inspection) -> None:
        small = whole.keeping("layer2.0", "layer3.1")
        kept = [block.name for block in small.blocks if block.maps is not None]
        assert kept == ["layer2.0", "layer3.1"]
        assert small.block("layer2.0").residual is whole.block("layer2.0").residual
        assert all(block.maps is not None for block in whole.blocks)

    @pytest.mark.parametrize("name", MAPS)
    def test_dropped_maps_raise(self, name: str, whole: Inspection) -> None:
        with pytest.raises(ValueError, match=r"the maps of layer1\.0 were dropped by Inspection\.keeping\(\)"):
            getattr(whole.keeping("layer2.0").block("layer1.0"), name)

    def test_scalars_and_cams_stay(self, whole: Inspection) -> None:
        small = whole.keeping()
        pd.testing.assert_frame_equal(small.table(), whole.table())
        assert small.predictions == whole.predictions
        for ours, theirs in zip(small.blocks, whole.blocks, strict=True):
            np.testing.assert_array_equal(ours.cam, theirs.cam, strict=True)
            assert ours.shape == theirs.shape

    def test_nbytes_counts_what_is_there(self, whole: Inspection) -> None:
        seen = 32 * 32 * 3
        # Seven maps a block but where shapes change: there, three are of the input's shape, four of the output's.
        maps = {"layer1": 7 * 16 * 32 * 32, "layer2.0": 3 * 16 * 32 * 32 + 4 * 32 * 16 * 16, "layer2.1": 7 * 32 * 16 * 16}
        maps |= {"layer3.0": 3 * 32 * 16 * 16 + 4 * 64 * 8 * 8, "layer3.1": 7 * 64 * 8 * 8}
        cams = 2 * (32 * 32 + 16 * 16 + 8 * 8)
        assert whole.nbytes == seen + 4 * (sum(maps.values()) + maps["layer1"] + cams)
        assert whole.keeping("layer2.1").nbytes == seen + 4 * (maps["layer2.1"] + cams)
        assert whole.keeping().nbytes == seen + 4 * cams

    def test_dropped_maps_leave_memory(self, make_cifar: Callable[..., Net], make_image: MakeImage) -> None:
        whole = inspect(make_cifar(), make_image())
        kept, dropped = (weakref.ref(whole.block(name).residual) for name in ("layer2.0", "layer1.0"))
        small = whole.keeping("layer2.0")
        del whole
        gc.collect()
        assert small.block("layer2.0").residual is kept()
        assert dropped() is None

    def test_block_by_name(self, whole: Inspection) -> None:
        assert whole.block("layer2.1") is whole.blocks[3]
        with pytest.raises(KeyError, match=r"Test A-14 has no block 'layer4\.0'; it has layer1\.0, layer1\.1, layer2\.0"):
            whole.block("layer4.0")


class CancelledError(Exception):
    """The exception of a caller that stops."""


class BrokenBackward(torch.autograd.Function):
    """The identity, whose gradient fails."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(_: Any, *__: Any) -> Any:
        raise ZeroDivisionError


class Broken(nn.Module):
    """A layer that fails in the forward or in the backward pass."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self.at = at

    def forward(self, x: Tensor) -> Tensor:
        if self.at == "forward":
            raise ZeroDivisionError
        result: Tensor = BrokenBackward.apply(x)
        return result


class TestTidiness:
    """Whatever happens, no hook of ours stays on the shared module, no hook of its owner runs, and a twin is freed."""

    @pytest.fixture(params=[0, 1], ids=["unwatched", "watched"])
    def watched(self, request: pytest.FixtureRequest) -> int:
        """The number of hooks that the owner has put on the module."""
        return int(request.param)

    @pytest.fixture
    def net(self, watched: int, make_cifar: Callable[..., Net]) -> Net:
        net = make_cifar("B")
        for _ in range(watched):
            net.module.get_submodule("layer1.0.conv1").register_forward_hook(lambda *_: pytest.fail("a hook of the owner ran"))
        return net

    def test_after_success(
        self,
        twins: list[weakref.ref[nn.Module]],
        net: Net,
        watched: int,
        make_image: MakeImage,
        count_hooks: Callable[[nn.Module], int],
    ) -> None:
        calls: list[tuple[int, ...]] = []
        result = inspect(net, make_image(), on_block=lambda *at: calls.append((*at, count_hooks(net.module))))
        assert calls == [(1, 3, watched), (2, 3, watched), (3, 3, watched)]
        assert count_hooks(net.module) == watched
        gc.collect()
        assert [twin() for twin in twins] == [None] * watched
        assert len(result.blocks) == 3

    @pytest.mark.parametrize("at", ["forward", "backward"])
    def test_after_an_error(
        self,
        at: str,
        twins: list[weakref.ref[nn.Module]],
        net: Net,
        watched: int,
        make_image: MakeImage,
        count_hooks: Callable[[nn.Module], int],
    ) -> None:
        net.module.get_submodule("layer3.0").add_module("bn2", Broken(at).eval())
        with pytest.raises(ZeroDivisionError):
            inspect(net, make_image())
        assert count_hooks(net.module) == watched
        gc.collect()
        assert [twin() for twin in twins] == [None] * watched

    @pytest.mark.parametrize("after", [1, 3])
    def test_after_a_cancel(
        self,
        after: int,
        twins: list[weakref.ref[nn.Module]],
        net: Net,
        watched: int,
        make_image: MakeImage,
        count_hooks: Callable[[nn.Module], int],
    ) -> None:
        def cancel(done: int, _: int) -> None:
            if done == after:
                raise CancelledError

        with pytest.raises(CancelledError):
            inspect(net, make_image(), on_block=cancel)
        assert count_hooks(net.module) == watched
        gc.collect()
        assert [twin() for twin in twins] == [None] * watched
        assert len(inspect(net, make_image()).blocks) == 3


class TestThreads:
    def test_two_people_on_one_net_get_their_own(self, make_cifar: Callable[..., Net], make_image: MakeImage) -> None:
        """200 of 200, bit by bit."""
        net = make_cifar("B")
        net = replace(net, preprocessing=replace(net.preprocessing, resize=16, crop=16))
        images = [make_image(seed=seed) for seed in (1, 2)]
        alone = [inspect(net, image) for image in images]
        assert np.abs(alone[0].blocks[0].sum - alone[1].blocks[0].sum).max() > 0
        together = threading.Barrier(2)
        results: list[list[Inspection]] = [[], []]

        def work(person: int) -> None:
            together.wait()
            for _ in range(100):
                results[person].append(inspect(net, images[person]))

        threads = [threading.Thread(target=work, args=(person,)) for person in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [len(found) for found in results] == [100, 100]
        for person, found in enumerate(results):
            for result in found:
                assert_same(result, alone[person])
