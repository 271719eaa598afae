"""What opening a module compares with the module itself, what it refuses, and that it leaves the module alone."""

import copy
import weakref
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import resnet_viz as rv
from resnet_viz.analyses.capture import capture, recording
from resnet_viz.nets.blocks import blocks_of
from resnet_viz.nets.residual_graph import failures, find_blocks
from resnet_viz.nets.residual_graph.checking import PlaceWatch, trial_run

SMALL = rv.Preprocessing(32, 32, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
WIDTH = 8
MakeImage = Callable[..., Image.Image]
Forward = Callable[["Block", Tensor], Any]


class Block(nn.Module):
    """Three layers, joined by a function of the block and its input."""

    norm: Any

    def __init__(self, joined: Forward) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(2))
        self.norm, self.point, self.joined = nn.BatchNorm2d(WIDTH), nn.Conv2d(WIDTH, WIDTH, 1), joined

    def branch(self, x: Tensor) -> Tensor:
        found: Tensor = self.second(self.norm(self.first(x)).relu())
        return found

    def forward(self, x: Tensor) -> Any:
        return self.joined(self, x)


class Classifier(nn.Module):
    """A stem, two blocks and a head."""

    blocks: Any

    def __init__(self, joined: Forward, head: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.blocks = nn.Conv2d(3, WIDTH, 3, padding=1), nn.Sequential(Block(joined), Block(joined))
        self.fc, self.pooled = nn.Linear(WIDTH, 5), head or (lambda maps: maps.mean((2, 3)))

    def forward(self, x: Tensor) -> Any:
        return self.fc(self.pooled(self.blocks(self.stem(x))))


def usual(block: Block, x: Tensor) -> Tensor:
    return x + block.branch(x)


def frozen_norm(block: Block, x: Tensor) -> Tensor:
    """Normalise as torchvision's FrozenBatchNorm2d does."""
    scale = block.norm.weight * (block.norm.running_var + 1e-5).rsqrt()
    shift = block.norm.bias - block.norm.running_mean * scale
    return x + block.first(x) * scale[:, None, None] + shift[:, None, None]


def scaled_by_a_buffer(block: Block, x: Tensor) -> Tensor:
    return x + block.first(x) * torch.sigmoid(block.norm.running_mean[0])


class Holder:
    """Keeps a module out of torch's sight."""

    def __init__(self, kept: nn.Module) -> None:
        self.kept = kept


class Pair(NamedTuple):
    """A module and a number."""

    kept: nn.Module
    number: int = 0


# How a module is kept, and how it is found again.
KEPT_IN: dict[str, tuple[Callable[[nn.Module], Any], Callable[[Any], Any]]] = {
    "a weak reference": (weakref.ref, lambda kept: kept()),
    "a namespace": (lambda module: SimpleNamespace(kept=module), lambda kept: kept.kept),
    "a deque": (lambda module: deque([module]), lambda kept: kept[0]),
    "a dict with defaults": (lambda module: defaultdict(list, {0: module}), lambda kept: kept[0]),
    "a named tuple": (Pair, lambda kept: kept.kept),
    "an object": (Holder, lambda kept: kept.kept),
    "a class": (lambda module: type("Owner", (), {"kept": module}), lambda kept: kept.kept),
}


def clamped(block: Block, x: Tensor) -> Tensor:
    block.first.weight.data.clamp_(-0.05, 0.05)
    return x + block.first(x)


def divided(block: Block, x: Tensor) -> Tensor:
    with torch.no_grad():
        block.first.weight.div_(block.first.weight.norm())
    return x + block.first(x)


def opened(module: nn.Module) -> rv.Net:
    return rv.from_module(module, preprocessing=SMALL)


class StraightThrough(torch.autograd.Function):
    """Signs whose gradient is that of the identity."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        return x.sign()

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


def frozen(block: Block, x: Tensor) -> Tensor:
    with torch.no_grad():
        branch = block.branch(x)
    return x + branch


def by_the_number_of_images(maps: Tensor) -> Tensor:
    pooled = maps.mean((2, 3))
    return pooled * 2 if pooled.shape[0] == 1 else pooled


class Flipped(Classifier):
    """Runs each image and its mirror image through the same blocks."""

    def forward(self, x: Tensor) -> Any:
        logits = super().forward(torch.cat([x, x.flip(-1)]))
        return (logits[: x.shape[0]] + logits[x.shape[0] :]) / 2


class TestRefused:
    """A network that would give wrong numbers is refused, with the reason."""

    @pytest.mark.parametrize(
        ("joined", "reason"),
        [
            (lambda block, x: x + StraightThrough.apply(block.branch(x)), "gradients differ from the module's"),
            (frozen, "gradients differ from the module's"),
            (lambda block, x: x + F.batch_norm(block.first(x), None, None, training=True), "in the same batch"),
            (lambda block, x: x + block.branch(x) - x.mean(0), "in the same batch"),
            (lambda block, x: x + block.branch(x) - 0.01 * block.branch(x).mean(0), "in the same batch"),
            (lambda block, x: x + nn.BatchNorm2d(WIDTH, track_running_stats=False).eval()(block.first(x)), "in the same batch"),
            (lambda block, x: x + block.branch(x) / block.branch(x).std(), "in the same batch"),
            (lambda block, x: x + F.dropout(block.branch(x), 0.3), "something else every time"),
        ],
    )
    def test_in_a_block(self, joined: Forward, reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
            opened(Classifier(joined))

    @pytest.mark.parametrize(
        ("head", "reason"),
        [
            (by_the_number_of_images, "in the same batch"),
            (lambda maps: F.adaptive_avg_pool2d(maps, 1).squeeze(), r"flatten\(1\) in place of squeeze"),
            (lambda maps: maps.detach().mean((2, 3)), "no gradient flows"),
        ],
    )
    def test_in_the_head(self, head: Callable[[Tensor], Tensor], reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
            opened(Classifier(usual, head))

    def test_a_second_version_of_all_images(self) -> None:
        with pytest.raises(ValueError, match="several versions of each image"):
            opened(Flipped(usual))

    def test_quantised_layers(self) -> None:
        module = torch.ao.quantization.quantize_dynamic(Classifier(usual).eval(), {nn.Linear})
        with pytest.raises(ValueError, match="no gradient flows"):
            opened(module)

    def test_compiled_parts(self) -> None:
        module = Classifier(lambda block, x: x + block.first(x)).train()
        module.blocks[0].point = torch.jit.script(module.blocks[0].point)
        with pytest.raises(ValueError, match=r"its module blocks\.0\.point was compiled by torch\.jit"):
            opened(module)
        assert all(layer.training for layer in module.modules())
        assert all(parameter.requires_grad for parameter in module.parameters())

    def test_weights_that_are_not_there_yet(self) -> None:
        module = Classifier(usual)
        module.fc = nn.LazyLinear(5)
        with pytest.raises(ValueError, match="layers without weights yet"):
            opened(module)
        with pytest.raises(ValueError, match="meta device"):
            opened(Classifier(usual).to("meta"))

    def test_another_forward_pass(self) -> None:
        class Masked(Classifier):
            def forward(self, x: Tensor, mask: Tensor) -> Any:  # type: ignore[override]
                return super().forward(x * mask)

        grey = Classifier(usual)
        grey.stem = nn.Conv2d(1, WIDTH, 3)
        with pytest.raises(ValueError, match="Its forward pass needs x, mask"):
            opened(Masked(usual))
        with pytest.raises(ValueError, match="takes 1 channels, and an image has 3"):
            opened(grey)

    @pytest.mark.parametrize(
        ("given", "reason"),
        [
            ({}, "not dict. If it holds weights"),
            ("resnet18", "rv.load"),
            (Classifier, "is a class"),
            (None, "not NoneType"),
        ],
    )
    def test_anything_but_a_module(self, given: Any, reason: str) -> None:
        with pytest.raises(TypeError, match=reason):
            opened(given)

    @pytest.mark.parametrize("labels", ["abcde", [0, 1, 2, 3, 4], {0: "a"}, 5])
    def test_labels_that_are_not_texts(self, labels: Any) -> None:
        with pytest.raises(TypeError, match="labels are texts"):
            rv.from_module(Classifier(usual), labels=labels, preprocessing=SMALL)


class TestLeftAlone:
    """Opening a module changes nothing in it."""

    def test_buffers_that_the_forward_pass_writes_to(self, make_image: MakeImage) -> None:
        def counting(block: Block, x: Tensor) -> Tensor:
            block.norm.running_mean.add_(1)
            return usual(block, x)

        module = Classifier(counting)
        before = {name: buffer.clone() for name, buffer in module.named_buffers()}
        rv.inspect(opened(module), make_image())
        assert all(torch.equal(buffer, before[name]) for name, buffer in module.named_buffers())

    def test_later_training_has_an_effect_on_weights_and_statistics(self) -> None:
        module = Classifier(usual).eval()
        net = opened(module)
        with torch.no_grad():
            module.blocks[0].norm.running_mean.add_(1)
            module.blocks[0].first.weight.mul_(2)
        x = torch.randn(2, 3, 32, 32)
        assert torch.equal(net.twin()(x), module(x))

    @pytest.mark.parametrize("kind", KEPT_IN)
    def test_a_module_that_is_kept_in_a_container(self, kind: str) -> None:
        module = Classifier(lambda block, x: x + KEPT_IN[kind][1](block.kept)(block.first(x))).train()
        calls: list[int] = []
        for block in module.blocks:
            block.kept = KEPT_IN[kind][0](block.norm)
            block.norm.register_forward_hook(lambda *_: calls.append(1))
        before = copy.deepcopy(module.state_dict())
        if kind in ("an object", "a class"):
            with pytest.raises(ValueError, match="calls a BatchNorm2d not as a submodule but through something else"):
                opened(module)
        else:
            assert list(opened(module).blocks) == ["blocks.0", "blocks.1"]
        assert calls == []
        assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())

    @pytest.mark.parametrize("constrain", [clamped, divided])
    def test_a_weight_that_the_forward_pass_writes_to(self, constrain: Forward) -> None:
        module = Classifier(constrain)
        before = copy.deepcopy(module.state_dict())
        with pytest.raises(ValueError, match=r"writes to its weight blocks\.0\.first\.weight"):
            opened(module)
        assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())

    def test_what_the_forward_pass_collects_stays_empty(self) -> None:
        def collecting(block: Any, x: Tensor) -> Any:
            block.seen["passes"] += 1
            block.last.append(x)
            block.logged["x"].append(x)
            block.state.x = x
            return x + block.branch(x)

        module = Classifier(collecting)
        for block in module.blocks:
            block.seen, block.last, block.logged = Counter[str](), deque[Tensor](maxlen=2), defaultdict[str, Any](list)
            block.state = SimpleNamespace(x=None)
        opened(module)
        for block in module.blocks:
            assert not block.seen
            assert not block.last
            assert not block.logged
            assert block.state.x is None
        copy.deepcopy(module)

    @pytest.mark.parametrize("joined", [frozen_norm, scaled_by_a_buffer])
    def test_later_changes_of_buffers_have_an_effect(self, joined: Forward) -> None:
        module = Classifier(joined).eval()
        net = opened(module)
        assert not any("constant" in name for name, _ in net.module.named_buffers())
        for name, buffer in module.named_buffers():
            if "var" in name or "mean" in name:
                buffer.add_(0.5)
        x = torch.randn(2, 3, 32, 32)
        assert torch.equal(net.twin()(x), module(x))

    def test_code_that_decides_by_a_buffer(self) -> None:
        def decided(block: Block, x: Tensor) -> Tensor:
            return x + block.branch(x) * (2 if block.norm.running_var.sum() > 0 else 3)

        network: Any = opened(Classifier(decided)).module
        assert network.residual_findings.tracer == "torch.fx"

    @pytest.mark.parametrize("wrapped", ["compile", "DataParallel"])
    def test_a_part_that_is_wrapped(self, wrapped: str) -> None:
        module = Classifier(usual).train()
        bare = Classifier(usual).eval()
        inner = module.blocks[1]
        module.blocks[1] = torch.compile(inner) if wrapped == "compile" else nn.DataParallel(inner)
        before = inner.norm.running_mean.clone()
        net = opened(module)
        x = torch.randn(2, 3, 32, 32)
        assert list(net.blocks) == ["blocks.0", "blocks.1"]
        assert torch.equal(net.twin()(x), bare(x))
        assert torch.equal(inner.norm.running_mean, before)
        assert module.training

    def test_a_forward_pass_that_was_replaced_by_a_function(self) -> None:
        module = Classifier(usual).train()
        own = module.forward
        module.forward = lambda x: own(x) * 2  # type: ignore[method-assign]
        before = module.blocks[0].norm.running_mean.clone()
        net = opened(module)
        x = torch.randn(2, 3, 32, 32)
        assert torch.equal(module.blocks[0].norm.running_mean, before)
        assert list(net.blocks) == ["blocks.0", "blocks.1"]
        assert torch.equal(net.twin()(x), module.eval()(x))

    def test_what_is_left_out_is_named(self) -> None:
        module = Classifier(usual)
        module.blocks[0].register_forward_hook(lambda _, __, output: output * 0)
        with torch.no_grad():
            module.fc.weight[0, 0] = torch.nan
        notes = " ".join(opened(module).notes)
        assert "1 of its hooks does not run here" in notes
        assert "1 of its weights is NaN or infinite" in notes


class TestTerms:
    """The identity of a sum of several terms is x, and the residual is the sum of the rest."""

    @pytest.mark.parametrize(
        "joined",
        [
            lambda block, x: x + block.first(x) + block.point(x),
            lambda block, x: block.first(x) + x + block.point(x),
            lambda block, x: block.point(x) + (block.first(x) + x),
            lambda block, x: sum([x, block.first(x), block.point(x)]),
        ],
    )
    def test_three(self, joined: Forward) -> None:
        module = Classifier(joined).eval()
        x = torch.randn(1, 3, 32, 32)
        twin = opened(module).twin()
        with capture(twin) as tapes, torch.no_grad():
            logits = twin(x)
            maps, block = module.stem(x), module.blocks[0]
            branches = block.first(maps) + block.point(maps)
            assert torch.allclose(logits, module(x), atol=1e-6)
        assert [tape.shortcut for tape in tapes] == ["identity", "identity"]
        tape: Any = tapes[0]
        assert torch.equal(tape.identity, maps)
        assert torch.allclose(tape.residual, branches, atol=1e-6)
        assert torch.equal(tape.identity + tape.residual, tape.sum)

    def test_pythons_sum_begins_with_a_zero(self) -> None:
        net = opened(Classifier(lambda block, x: sum([x, block.branch(x)])))
        assert [block.shortcut_kind for block in net.blocks.values()] == ["identity", "identity"]


class TestSpellings:
    """Whatever the operation that adds, the identity is x and the residual is what it adds, with its sign and factors."""

    @pytest.mark.parametrize("tracer", ["torch.fx", "torch.export"])
    @pytest.mark.parametrize(
        ("joined", "residual"),
        [
            (lambda block, x: x - block.branch(x), lambda f, _: -f),
            (lambda block, x: torch.sub(x, block.branch(x)), lambda f, _: -f),
            (lambda block, x: x.sub(block.branch(x)), lambda f, _: -f),
            (lambda block, x: torch.sub(x, block.branch(x), alpha=0.5), lambda f, _: -0.5 * f),
            (lambda block, x: x.subtract(block.branch(x)), lambda f, _: -f),
            (lambda block, x: torch.stack([x, block.branch(x)]).mean(0), lambda f, x: 0.5 * (f - x)),
            (lambda block, x: torch.stack([block.branch(x), x], dim=1).mean(dim=1), lambda f, x: 0.5 * (f - x)),
            (lambda block, x: torch.stack([x, block.branch(x)]).sum(axis=0), lambda f, _: f),  # type: ignore[call-overload]
            (lambda block, x: torch.add(x, block.branch(x), alpha=0.5), lambda f, _: 0.5 * f),
            (lambda block, x: torch.addcmul(x, block.norm.weight[:, None, None], block.branch(x)), lambda f, _: f),
            (lambda block, x: x.addcmul(torch.ones(()), block.branch(x), value=0.5), lambda f, _: 0.5 * f),
            (lambda block, x: torch.lerp(x, block.branch(x), 0.25), lambda f, x: 0.25 * (f - x)),
            (lambda block, x: x.lerp(block.branch(x), weight=torch.tensor(0.25)), lambda f, x: 0.25 * (f - x)),
            (lambda block, x: x.clone().addcmul_(torch.ones(()), block.branch(x)), lambda f, _: f),
            (lambda block, x: torch.stack([x, block.branch(x)]).sum(0), lambda f, _: f),
            (lambda block, x: torch.sum(torch.stack((block.branch(x), x), dim=1), dim=1), lambda f, _: f),
        ],
    )
    def test_as_an_addition(self, joined: Forward, residual: Callable[[Tensor, Tensor], Tensor], tracer: str) -> None:
        def by_shape(block: Block, x: Tensor) -> Any:
            # torch.fx cannot follow a test of a size.
            return joined(block, x) if x.shape[2] > 2 else x

        module = Classifier(joined if tracer == "torch.fx" else by_shape).eval()
        net, x = opened(module), torch.randn(1, 3, 32, 32)
        with recording(net) as (run, tapes), torch.no_grad():
            logits = run(x)
            maps = module.stem(x)
            expected = residual(module.blocks[0].branch(maps), maps)
            assert torch.allclose(logits, module(x), atol=1e-5)
        assert [tape.shortcut for tape in tapes] == ["identity", "identity"]
        tape: Any = tapes[0]
        assert torch.equal(tape.identity, maps)
        assert torch.allclose(tape.residual, expected, atol=1e-5)
        assert torch.equal(tape.identity + tape.residual, tape.sum)

    def test_a_branch_minus_its_input_is_listed_with_the_reason(self) -> None:
        module = Classifier(usual)
        module.blocks.append(Block(lambda block, x: block.branch(x) - x))
        network: Any = opened(module).module
        assert [block.name for block in blocks_of(network).values()] == ["blocks.0", "blocks.1"]
        (hidden,) = network.residual_findings.hidden
        assert hidden.path == "blocks.2"
        assert "subtracts its input" in hidden.reason

    @pytest.mark.parametrize(
        "joined",
        [
            lambda _, x: x - x.flatten(2).mean(2)[..., None, None].expand_as(x),
            lambda _, x: F.avg_pool2d(x, 3, 1, 1) - x,
        ],
    )
    def test_other_differences_are_no_blocks(self, joined: Forward) -> None:
        with pytest.raises(ValueError, match="no residual additions"):
            opened(Classifier(joined))


def sum_of(block: Block, x: Tensor) -> Tensor:
    return x + block.branch(x)


def assigned(block: Block, x: Tensor) -> Tensor:
    total = sum_of(block, x)
    total[total < 0] = 0
    return total


def partly_assigned(block: Block, x: Tensor) -> Tensor:
    total = sum_of(block, x)
    total[:, 0] = 0
    return total


def partly_multiplied(block: Block, x: Tensor) -> Tensor:
    total = sum_of(block, x)
    total[:, :4].mul_(2)
    return total


def diagonal_multiplied(block: Block, x: Tensor) -> Tensor:
    total = sum_of(block, x)
    total.diagonal(dim1=2, dim2=3).mul_(2)
    return total


def without_record(block: Block, x: Tensor) -> Tensor:
    total = sum_of(block, x)
    total.data.clamp_(0)
    return total


def identity_behind_a_view(block: Block, x: Tensor) -> Tensor:
    identity = x.view_as(x)
    return identity + block.branch(F.relu(x, inplace=True))


class TestOverwritten:
    """Identity + residual is the sum whatever is overwritten: the operation returns a copy, or the addition is no block."""

    @pytest.mark.parametrize("tracer", ["torch.fx", "torch.export"])
    @pytest.mark.parametrize(
        "joined",
        [
            lambda block, x: sum_of(block, x).clip_(min=0),
            lambda block, x: sum_of(block, x).square_(),
            lambda block, x: sum_of(block, x).erf_(),
            lambda block, x: sum_of(block, x).cumsum_(1),
            lambda block, x: sum_of(block, x).renorm_(2, 0, 1.0),
            lambda block, x: sum_of(block, x).index_fill_(1, torch.tensor([0]), 0.0),
            lambda block, x: sum_of(block, x).transpose_(2, 3),
            lambda block, x: torch.rrelu_(sum_of(block, x)),
            lambda block, x: torch.threshold_(sum_of(block, x), 0.0, 0.0),
            lambda block, x: F.threshold(sum_of(block, x), 0.0, 0.0, inplace=True),
            lambda block, x: x + block.branch(x.clip_(-3, 3)),
            assigned,
        ],
    )
    def test_an_operation_with_a_form_that_copies(self, joined: Forward, tracer: str) -> None:
        def by_shape(block: Block, x: Tensor) -> Any:
            return joined(block, x) if x.shape[2] > 2 else x

        module = Classifier(joined if tracer == "torch.fx" else by_shape).eval()
        net, x = opened(module), torch.randn(1, 3, 32, 32)
        with recording(net) as (run, tapes):
            assert torch.equal(run(x), module(x))
        assert len(tapes) == 2
        for tape in tapes:
            assert tape.identity is not None
            assert torch.equal(tape.identity + tape.residual, tape.sum)

    @pytest.mark.parametrize(
        ("joined", "writer"),
        [
            (partly_assigned, "fill_"),
            (partly_multiplied, "mul_"),
            (diagonal_multiplied, "mul_"),
            (without_record, "clamp_"),
            (identity_behind_a_view, "relu"),
        ],
    )
    def test_a_view_that_is_overwritten_hides_the_addition(self, joined: Forward, writer: str) -> None:
        with pytest.raises(ValueError, match=f"overwritten by the in-place operation `{writer}` in blocks.[01]"):
            opened(Classifier(joined))
        module = Classifier(joined)
        module.blocks.extend([Block(usual), Block(usual), Block(usual)])
        network: Any = opened(module).module
        assert [addition.path for addition in network.residual_findings.hidden][:2] == ["blocks.0", "blocks.1"]
        assert {"blocks.3", "blocks.4"} <= set(blocks_of(network)) <= {"blocks.2", "blocks.3", "blocks.4"}

    def test_what_no_graph_shows_is_noticed_in_a_pass(self) -> None:
        network = find_blocks(Classifier(usual).eval(), (3, 32, 32))
        watch, images = PlaceWatch(), torch.randn(2, 3, 32, 32)
        trial_run(network, images, watch)
        assert watch.disturbed() == ""
        for place in ("fork", "residual", "sum"):
            watch = PlaceWatch()
            trial_run(network, images, watch)
            ((tensor, _), *_) = [kept[place] for kept in watch._kept.values()]
            tensor.detach().add_(1)
            assert "overwrites the input, a path or the sum of block blocks.0" in watch.disturbed()


class TestGradients:
    """Gradients are right where torch's own kernels and shortcuts make it difficult."""

    def test_batch_norm_below_transposed_tokens(self) -> None:
        def of_tokens(maps: Tensor) -> Tensor:
            return F.gelu(maps.flatten(2).transpose(1, 2)).cumsum(1).mean(1)

        module = Classifier(lambda block, x: x + block.norm(block.first(x)), of_tokens).eval()
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.uniform_(layer.weight, 0.5, 2)
        x = torch.randn(1, 3, 32, 32)
        twin = opened(module).twin()
        with capture(twin):
            found = gradient(twin, x)
        # Two images are beside what torch gets wrong for one.
        expected = gradient(module, torch.cat([x, x]))[:1]
        assert torch.allclose(found, expected, rtol=1e-3, atol=1e-6)

    @pytest.mark.parametrize("norm", [nn.BatchNorm2d, nn.SyncBatchNorm])
    def test_batch_norm_of_transposed_tokens(self, norm: type[nn.Module]) -> None:
        def attended(block: Block, x: Tensor) -> Tensor:
            tokens = block.first(x).flatten(2).transpose(1, 2)
            return x + block.norm(torch.softmax(tokens, -1).transpose(1, 2).reshape(x.shape))

        module = Classifier(attended).eval()
        for block in module.blocks:
            block.norm = norm(WIDTH).eval()
            nn.init.uniform_(block.norm.weight, 0.5, 2)
        x, twin = torch.randn(1, 3, 32, 32), opened(module).twin()
        # In double precision and for two images, torch's kernels are right.
        expected = gradient(copy.deepcopy(module).double(), torch.cat([x, x]).double())[:1]
        assert torch.allclose(gradient(twin, x).double(), expected, rtol=1e-3, atol=1e-7)

    @pytest.mark.parametrize(
        "joined",
        [
            lambda block, x: x + block.norm(block.first(x)),
            lambda block, x: (x + F.instance_norm(block.first(x), weight=block.point.bias + 1)).relu(),
        ],
    )
    @pytest.mark.parametrize("tracked", [False, True])
    def test_instance_norm(self, joined: Forward, tracked: bool, make_image: MakeImage) -> None:  # noqa: FBT001 - a parameter of the test
        module = Classifier(joined)
        for block in module.blocks:
            block.norm = nn.InstanceNorm2d(WIDTH, affine=True, track_running_stats=tracked)
            nn.init.uniform_(block.norm.weight, 0.5, 2)
        net = opened(module.eval())
        x = net.preprocess(make_image())
        found = torch.from_numpy(rv.attribute(net, make_image(), "saliency", 0).attributions).double()
        expected = gradient(copy.deepcopy(module).double(), x.double())
        assert torch.allclose(found.view_as(expected), expected, rtol=1e-3, atol=1e-7)

    def test_a_branch_without_a_gradient_has_a_share_of_zero(self, make_image: MakeImage) -> None:
        result = rv.inspect(opened(Classifier(lambda block, x: x + block.branch(x.detach()))), make_image())
        assert all(block.measures.residual_share == 0 for block in result.blocks)

    def test_a_weight_of_two_layers_has_one_gradient(self, make_image: MakeImage) -> None:
        module = Classifier(usual).eval()
        module.blocks[1].first.weight = module.blocks[0].first.weight
        net, image = opened(module), make_image()
        rows = rv.gradients(net, image, target=0).parameters
        shared = rows[rows.parameter.str.endswith("first.weight")]
        (own,) = torch.autograd.grad(module(net.preprocess(image))[0, 0], module.blocks[0].first.weight)
        assert shared.norm.tolist() == pytest.approx([float(own.norm())], rel=1e-5)

    def test_a_removed_branch_leaves_nothing_of_a_nan(self, make_image: MakeImage) -> None:
        module = Classifier(usual)
        with torch.no_grad():
            module.blocks[1].first.weight[0] = torch.nan
        net, image = opened(module), make_image()
        removed = float(rv.ablate(net, image, {"blocks.1": 0.0}).logits[0])
        assert removed == pytest.approx(rv.ablation_sweep(net, image, 0)["logit"]["blocks.1"])

    def test_no_class_follows_from_logits_that_are_nan(self, make_image: MakeImage) -> None:
        module = Classifier(usual)
        with torch.no_grad():
            module.fc.bias[0] = torch.nan
        with pytest.raises(ValueError, match="NaN or infinite numbers for this image"):
            rv.inspect(opened(module), make_image())

    def test_two_passes_side_by_side_are_no_chain(self, make_image: MakeImage) -> None:
        class Twice(Classifier):
            def forward(self, x: Tensor) -> Any:
                return super().forward(x) + super().forward(x.flip(-1))

        net = opened(Twice(usual))
        assert list(net.blocks) == ["blocks.0#1", "blocks.1#1", "blocks.0#2", "blocks.1#2"]
        assert not rv.conductance(net, make_image(), target=0, steps=4).whole


def gradient(network: nn.Module, x: Tensor) -> Tensor:
    pixels = x.clone().requires_grad_()
    found: Tensor = torch.autograd.grad(network(pixels)[:, 0].sum(), pixels)[0]
    return found


class Casting(nn.Module):
    """Casts to a part's own number type inside its forward pass."""

    def __init__(self, kind: torch.dtype, *, whole: bool) -> None:
        super().__init__()
        self.kind, self.whole, self.stem = kind, whole, nn.Identity() if whole else nn.Conv2d(3, 3, 1)
        self.part = Classifier(usual).to(kind)

    def forward(self, x: Tensor) -> Any:
        return self.part(self.stem(x).to(self.kind)).float()


class TestNumberTypes:
    @pytest.mark.parametrize("whole", [False, True])
    @pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
    def test_a_forward_pass_that_casts(self, kind: torch.dtype, *, whole: bool) -> None:
        torch.manual_seed(0)
        module = Casting(kind, whole=whole).eval()
        net = opened(module)
        assert any("stay what they are" in note for note in net.notes)
        image = Image.new("RGB", (16, 16), (200, 30, 90))
        with torch.no_grad():
            expected = module(net.preprocess(image))[0].numpy()
        np.testing.assert_allclose(rv.ablate(net, image, {}).logits, expected, rtol=0.05, atol=0.02)
        assert np.isfinite(rv.inspect(net, image, 1).blocks[0].grad_input).all()

    def test_parts_that_do_not_fit(self) -> None:
        module = Classifier(usual)
        module.fc.half()
        module.stem.register_forward_pre_hook(lambda *_: None)
        assert opened(module).precision == torch.float32

        class Wrong(Casting):
            def forward(self, x: Tensor) -> Any:
                return self.part(self.stem(x).to(self.kind).double())

        with pytest.raises(ValueError, match="Its weights are float16 and float32: cast what each layer gets"):
            opened(Wrong(torch.float16, whole=False))


class Spectral(nn.Module):
    """A block of complex numbers, or of real ones around them."""

    def __init__(self, *, complex_sum: bool) -> None:
        super().__init__()
        self.complex_sum = complex_sum
        self.weight = nn.Parameter(torch.randn(WIDTH, WIDTH, dtype=torch.cfloat) * 0.2)

    def forward(self, x: Tensor) -> Any:
        z = torch.fft.fft2(x)
        branch = torch.einsum("oc,nchw->nohw", self.weight, z)
        return torch.fft.ifft2(z + branch).real if self.complex_sum else x + torch.fft.ifft2(branch).real


class TestComplexNumbers:
    def test_additions_of_complex_numbers_are_hidden(self) -> None:
        module = Classifier(usual)
        module.blocks.append(Spectral(complex_sum=True))
        net = opened(module)
        assert list(net.blocks) == list(opened(Classifier(usual)).blocks)
        findings: Any = net.module.residual_findings
        assert [each.reason.split(",")[0] for each in findings.hidden] == ["it adds complex numbers"]

    def test_nothing_else_is_added(self) -> None:
        module = Classifier(usual)
        module.blocks = nn.Sequential(Spectral(complex_sum=True))
        with pytest.raises(ValueError, match="none of which is a block: it adds complex numbers"):
            opened(module)

    def test_complex_numbers_within_a_branch(self) -> None:
        module = Classifier(usual)
        module.blocks = nn.Sequential(Spectral(complex_sum=False))
        block = rv.inspect(opened(module), Image.new("RGB", (16, 16), (200, 30, 90))).blocks[0]
        assert block.identity is not None
        np.testing.assert_allclose(block.identity + block.residual, block.sum, rtol=1e-5, atol=1e-6)


def by_the_values(block: Block, x: Tensor) -> Tensor:
    return x + block.branch(x) if torch.isfinite(x).all() else x


def reentrant(block: Block, x: Tensor) -> Any:
    return x + checkpoint(block.branch, x, use_reentrant=True)


class TestReasons:
    """A refusal names the line of the module's code, says what to do, and prints nothing else."""

    @pytest.mark.parametrize(
        ("joined", "words"),
        [
            (by_the_values, r"depends on the values in a tensor \(test_opening\.py, line \d+: `return x \+ .*torch\.where"),
            (reentrant, r"checkpoint with use_reentrant=True.*Pass use_reentrant=False"),
        ],
    )
    def test_what_to_do(self, joined: Forward, words: str, capfd: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(ValueError, match=words) as refusal:
            opened(Classifier(joined))
        assert "def forward" not in capfd.readouterr().err
        assert "torch.fx" not in str(refusal.value)

    def test_a_long_message_ends_after_a_word(self) -> None:
        text = failures.first_line(ValueError("word " * 100))
        assert text.endswith("word …")
        assert failures.first_line(ValueError("short\nsecond")) == "short"
