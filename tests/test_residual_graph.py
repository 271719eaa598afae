"""Blocks found in the graphs of torchvision's, timm's and people's own networks, against the networks themselves."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from resnet_viz.analyses.capture import Tape, capture
from resnet_viz.nets.blocks import blocks_of
from resnet_viz.nets.residual_graph import ResidualNetwork, find_blocks
from resnet_viz.nets.residual_graph.tracing import logits_of
from tests.own_networks import (
    Alpha,
    Around,
    Blocks,
    DependsOnShape,
    Down,
    Functional,
    Fusion,
    Inner,
    InTheRoot,
    OverwrittenInput,
    Plain,
    Pooling,
    PreActivation,
    Returning,
    Scaled,
    Shared,
    TorchTransformer,
    Transformer,
    WithResponse,
)

SIZE = 16
FUNCTIONAL = ("F.relu", "torch.add", "keywords", "method", "add_", "sum")
OWN: dict[str, Callable[[], nn.Module]] = {
    "shared": lambda: Blocks(Shared(), Shared()),
    **{sort: lambda sort=sort: Blocks(Functional(sort), Functional(sort)) for sort in FUNCTIONAL},  # type: ignore[misc]
    "scaled": lambda: Blocks(Scaled(), Scaled()),
    "pre-activation": lambda: Blocks(PreActivation(), PreActivation(stride=2), PreActivation()),
    "pre-activation, not in place": lambda: Blocks(PreActivation(inplace=False), PreActivation(stride=2, inplace=False)),
    "overwritten input": lambda: Blocks(OverwrittenInput(), OverwrittenInput()),
    **{
        sort: lambda sort=sort: Blocks(Down(sort), channels=16)  # type: ignore[misc]
        for sort in ("projection", "zero-pad", "concatenated", "pooled projection")
    },
    "pool": lambda: Blocks(Pooling()),
    "inner": lambda: Blocks(Inner(), Inner()),
    "response": lambda: Blocks(WithResponse(), WithResponse()),
    "around": lambda: Blocks(Around()),
    "fusion": lambda: Blocks(Fusion()),
    "transformer": Transformer,
    "in the root": InTheRoot,
    "depends on shape": lambda: Blocks(DependsOnShape(), DependsOnShape()),
    "torch transformer": TorchTransformer,
}


def seeded(make: Callable[[], nn.Module], shake: Callable[[nn.Module, int], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    module = shake(make(), 1).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            # Some heads begin with zeros, for which every gradient is 0.
            if not parameter.any():
                parameter.uniform_(-0.1, 0.1)
    return module


def noise(count: int = 3, size: int = SIZE) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(7))


def result_of(network: nn.Module, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """The logits, and the gradient of the sum of their squares at the input."""
    x = pixels.clone().requires_grad_()
    logits = logits_of(network(x))
    return logits.detach(), torch.autograd.grad(logits.square().sum(), x)[0]


def check_same(module: nn.Module, network: ResidualNetwork, pixels: Tensor) -> None:
    logits, gradient = result_of(module, pixels)
    found, slope = result_of(network, pixels)
    assert torch.equal(found, logits)
    assert torch.equal(slope, gradient)
    assert gradient.any()
    assert list(network.state_dict()) == list(module.state_dict())


def recorded(network: ResidualNetwork, pixels: Tensor) -> list[Tape]:
    with capture(network) as tapes:
        network(pixels)
    return tapes


def check_sums(network: ResidualNetwork, pixels: Tensor) -> None:
    """The tensors at every block's places add up, also after the pass, in which nothing was overwritten."""
    tapes = recorded(network, pixels)
    assert [tape.name for tape in tapes] == list(blocks_of(network))
    for tape in tapes:
        assert tape.identity is not None
        assert torch.equal(tape.identity + tape.residual, tape.sum), tape.name
        assert torch.equal(tape.block.activated(tape.sum), tape.output), tape.name
        assert tuple(tape.sum.shape[1:]) == tape.block.facts.shape


class TestOwnNetworks:
    @pytest.mark.parametrize("kind", OWN)
    def test_logits_gradients_names_and_sums(self, kind: str, shake: Callable[[nn.Module, int], nn.Module]) -> None:
        module = seeded(OWN[kind], shake)
        network = find_blocks(module, (3, SIZE, SIZE))
        check_same(module, network, noise())
        check_sums(network, noise())

    @pytest.mark.parametrize("kind", OWN)
    def test_fork_gradients_add_up(self, kind: str, shake: Callable[[nn.Module, int], nn.Module]) -> None:
        network = find_blocks(seeded(OWN[kind], shake), (3, SIZE, SIZE))
        with capture(network) as tapes:
            logits = network(noise().requires_grad_())
        forks = [end for tape in tapes for end in (tape.to_shortcut, tape.to_branch, tape.input)]
        found = iter(torch.autograd.grad(logits[:, 0].sum(), [end for end in forks if end is not None]))
        for tape in tapes:
            shortcut, branch, total = next(found), next(found), next(found)
            assert torch.allclose(shortcut + branch, total, rtol=1e-5, atol=1e-7), tape.name
            if tape.shortcut == "identity" and isinstance(tape.block.output, nn.Identity):
                assert shortcut.any(), tape.name

    @pytest.mark.parametrize(
        ("kind", "names"),
        [
            ("shared", ["blocks.0", "blocks.1"]),
            ("inner", ["blocks.0", "blocks.1"]),
            ("response", ["blocks.0", "blocks.1"]),
            ("around", ["blocks.0.body.0", "blocks.0.body.1", "blocks.0.body.2"]),
            ("fusion", ["blocks.0.first", "blocks.0.second"]),
            ("transformer", ["layers.0.attn", "layers.0.mlp", "layers.1.attn", "layers.1.mlp"]),
            ("in the root", ["first", "second"]),
            ("depends on shape", ["blocks.0", "blocks.1"]),
            (
                "torch transformer",
                [f"encoder.layers.{n}.{part}" for n in (0, 1) for part in ("self_attn", "linear1")],
            ),
        ],
    )
    def test_names(self, kind: str, names: list[str]) -> None:
        assert list(blocks_of(find_blocks(OWN[kind](), (3, SIZE, SIZE)))) == names

    @pytest.mark.parametrize(
        ("kind", "shortcut"),
        [
            ("shared", "identity"),
            ("scaled", "identity"),
            ("overwritten input", "identity"),
            ("projection", "projection"),
            ("zero-pad", "zero-pad"),
            ("pool", "pool"),
            ("concatenated", "mixed"),
            ("pooled projection", "mixed"),
            ("transformer", "identity"),
        ],
    )
    def test_shortcuts(self, kind: str, shortcut: str) -> None:
        blocks = blocks_of(find_blocks(OWN[kind](), (3, SIZE, SIZE)))
        assert {block.shortcut_kind for block in blocks.values()} == {shortcut}

    @pytest.mark.parametrize(
        ("kind", "activation"), [("shared", nn.ReLU), ("F.relu", nn.ReLU), ("add_", nn.LeakyReLU), ("scaled", nn.Identity)]
    )
    def test_activation_behind_the_sum(self, kind: str, activation: type[nn.Module]) -> None:
        blocks = blocks_of(find_blocks(OWN[kind](), (3, SIZE, SIZE)))
        assert {type(block.output) for block in blocks.values()} == {activation}

    @pytest.mark.parametrize("kind", ["inner", "response", "around", "fusion"])
    def test_what_is_no_block_is_listed(self, kind: str) -> None:
        network = find_blocks(OWN[kind](), (3, SIZE, SIZE))
        hidden = network.residual_findings.hidden
        assert len(hidden) == {"inner": 2, "response": 2, "around": 1, "fusion": 1}[kind]
        reason = {"around": "skips several blocks", "fusion": "joins two paths"}.get(kind, "")
        assert reason in hidden[0].reason

    @pytest.mark.parametrize("kind", OWN)
    def test_every_activation_has_a_module_of_its_own(self, kind: str) -> None:
        network = find_blocks(OWN[kind](), (3, SIZE, SIZE))
        calls: Counter[nn.Module] = Counter()
        for layer in network.modules():
            if type(layer).__module__ == "torch.nn.modules.activation" and not isinstance(layer, nn.MultiheadAttention):
                assert not getattr(layer, "inplace", False)
                layer.register_forward_hook(lambda called, *_: calls.update([called]))
        network(noise())
        assert set(calls.values()) == ({1} if kind != "pool" else set())

    def test_tracers(self) -> None:
        assert find_blocks(OWN["shared"](), (3, SIZE, SIZE)).residual_findings.tracer == "torch.fx"
        assert find_blocks(OWN["depends on shape"](), (3, SIZE, SIZE)).residual_findings.tracer == "torch.export"

    @pytest.mark.parametrize("kind", ["depends on shape", "torch transformer"])
    def test_an_exported_network_may_gain_images_between_blocks(self, kind: str) -> None:
        network = find_blocks(OWN[kind](), (3, SIZE, SIZE))
        first = next(iter(blocks_of(network).values()))
        alone = network(noise(1))
        first.output.register_forward_hook(lambda _, __, output: torch.cat([output, output]))
        assert torch.allclose(network(noise(1)), torch.cat([alone, alone]), atol=1e-6)

    def test_the_factor_of_torch_add_belongs_to_the_branch(self) -> None:
        module = Blocks(Alpha())
        network = find_blocks(module, (3, SIZE, SIZE))
        assert not network.residual_findings.exact
        torch.testing.assert_close(network(noise()), module.eval()(noise()))
        check_sums(network, noise())
        (tape,) = recorded(network, noise())
        branch = module.blocks.get_submodule("0.conv1")
        torch.testing.assert_close(tape.residual, 0.3 * branch(tape.input).tanh())


class TestModule:
    """The user's module is not changed, in whatever form it is passed."""

    def test_mode_hooks_and_weights_are_left_alone(self, count_hooks: Callable[[nn.Module], int]) -> None:
        module = Blocks(Shared(), Scaled()).train()
        calls: list[nn.Module] = []
        for layer in module.modules():
            layer.register_forward_hook(lambda called, *_: calls.append(called))
            layer.register_forward_pre_hook(lambda called, _: calls.append(called))
        before = {name: values.clone() for name, values in module.state_dict().items()}
        hooks, layers = count_hooks(module), list(module.named_modules())
        network = find_blocks(module, (3, SIZE, SIZE))
        network(noise())
        assert calls == []
        assert count_hooks(network) == 0
        assert count_hooks(module) == hooks
        assert list(module.named_modules()) == layers
        assert all(layer.training for layer in module.modules())
        assert not any(layer.training for layer in network.modules())
        assert module.get_submodule("blocks.0.relu").inplace
        assert all(parameter.requires_grad for parameter in module.parameters())
        assert all(torch.equal(values, before[name]) for name, values in module.state_dict().items())

    def test_memory_of_the_weights_is_shared(self) -> None:
        module = Blocks(Shared())
        network = find_blocks(module, (3, SIZE, SIZE))
        for (name, theirs), ours in zip(module.named_parameters(), network.parameters(), strict=True):
            assert theirs.data_ptr() == ours.data_ptr(), name
            assert theirs is not ours

    @pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile], ids=["DataParallel", "torch.compile"])
    def test_wrapped(self, wrap: Callable[[nn.Module], Any]) -> None:
        module = Blocks(Shared()).eval()
        check_same(module, find_blocks(wrap(module), (3, SIZE, SIZE)), noise())

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
    def test_other_precision(self, dtype: torch.dtype) -> None:
        module = Blocks(Shared(), Down("projection"), channels=16).to(dtype).eval()
        check_same(module, find_blocks(module, (3, SIZE, SIZE)), noise().to(dtype))

    @pytest.mark.parametrize("sort", ["object", "dict", "tuple", "single"])
    def test_logits_within_the_output(self, sort: str) -> None:
        module = Returning(sort).eval()
        check_same(module, find_blocks(module, (3, SIZE, SIZE)), noise())

    def test_weights_that_torch_computes_by_hooks(self) -> None:
        module = Blocks(Shared(), Shared())
        prune.random_unstructured(module.get_submodule("blocks.0.conv1"), "weight", 0.5)
        parametrizations.weight_norm(module.get_submodule("blocks.1.conv1"))
        network = find_blocks(module.eval(), (3, SIZE, SIZE))
        check_same(module, network, noise())

    def test_a_forward_of_its_own_on_the_instance(self) -> None:
        module = Blocks(Shared(), Shared()).eval()
        forward = module.forward
        module.forward = lambda x: 2 * forward(x)  # type: ignore[method-assign]
        check_same(module, find_blocks(module, (3, SIZE, SIZE)), noise())

    def test_other_threads_run_their_networks_meanwhile(self) -> None:
        others, done, failures = Blocks(Shared(), Scaled()).eval(), threading.Event(), []
        expected = others(noise())

        def run() -> None:
            try:
                while not done.is_set():
                    # Beside torch.export convolutions take other kernels, which round differently.
                    torch.testing.assert_close(others(noise()), expected, rtol=1e-5, atol=1e-6)
            except Exception as error:  # noqa: BLE001 - told to the test
                failures.append(error)

        def trace() -> None:
            try:
                found.append(find_blocks(module, (3, SIZE, SIZE)))
            except Exception as error:  # noqa: BLE001 - told to the test
                failures.append(error)

        found: list[ResidualNetwork] = []
        module = Blocks(*(Shared() for _ in range(10)), DependsOnShape()).eval()
        runner, tracers = threading.Thread(target=run), [threading.Thread(target=trace) for _ in range(2)]
        for thread in (runner, *tracers):
            thread.start()
        for thread in tracers:
            thread.join()
        done.set()
        runner.join()
        assert failures == []
        # Not before, for the same reason: the other one may still be traced.
        for traced in found:
            check_same(module, traced, noise())


class TestRefusals:
    def test_nothing_is_added(self) -> None:
        with pytest.raises(ValueError, match=r"Plain has no residual additions.*3 layers, 1 additions and 0 concatenations"):
            find_blocks(Plain(), (3, SIZE, SIZE))

    def test_concatenations(self) -> None:
        with pytest.raises(ValueError, match=r"DenseNet has no residual additions.*0 additions and \d+ concatenations"):
            find_blocks(torchvision.models.DenseNet(8, (2, 2), 8), (3, 64, 64))

    def test_another_size(self) -> None:
        module = nn.Sequential(Blocks(Shared()).stem, Shared(), nn.Flatten(), nn.Linear(8 * 32 * 32, 5))
        with pytest.raises(
            ValueError, match=r"Sequential does not run on an image of 3×16×16 \(RuntimeError: .*rv.Preprocessing"
        ):
            find_blocks(module, (3, SIZE, SIZE))

    def test_no_logits(self) -> None:
        with pytest.raises(ValueError, match="dict with first, second, in which no logits were found"):
            find_blocks(Returning("unclear"), (3, SIZE, SIZE))

    def test_untraceable(self) -> None:
        class Looks(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.net = Blocks(Shared())

            def forward(self, x: Tensor) -> Any:
                return self.net(x) if x.sum().item() > 0 else self.net(-x)

        with pytest.raises(ValueError, match=r"depends on the values .*test_residual_graph\.py, line \d+: `return self\.net"):
            find_blocks(Looks(), (3, SIZE, SIZE))

    def test_scripted(self) -> None:
        with pytest.raises(ValueError, match=r"compiled by torch\.jit"):
            find_blocks(torch.jit.script(Plain()), (3, SIZE, SIZE))

    def test_a_block_is_not_called(self) -> None:
        block = next(iter(blocks_of(find_blocks(Blocks(Shared()), (3, SIZE, SIZE))).values()))
        with pytest.raises(TypeError, match=r"block blocks\.0 is a part of its network's graph"):
            block(noise())


TORCHVISION = {
    "resnet18": ([2, 2, 2, 2], 64),
    "resnet34": ([3, 4, 6, 3], 64),
    "regnet_y_400mf": ([1, 3, 6, 6], 64),
    "mobilenet_v2": ([1, 2, 5, 2], 64),
    "mobilenet_v3_small": ([1, 3, 2], 64),
    "mnasnet0_5": ([2, 2, 2, 1, 3], 64),
}
MORE_TORCHVISION = {
    "resnet50": ([3, 4, 6, 3], 64),
    "resnet101": ([3, 4, 23, 3], 64),
    "resnet152": ([3, 8, 36, 3], 64),
    "resnext50_32x4d": ([3, 4, 6, 3], 64),
    "resnext101_32x8d": ([3, 4, 23, 3], 64),
    "resnext101_64x4d": ([3, 4, 23, 3], 64),
    "wide_resnet50_2": ([3, 4, 6, 3], 64),
    "wide_resnet101_2": ([3, 4, 23, 3], 64),
    "efficientnet_b0": ([1, 1, 2, 2, 3], 64),
    "efficientnet_v2_s": ([2, 3, 3, 5, 8, 14], 64),
    "convnext_tiny": ([3, 3, 9, 3], 64),
    "swin_t": ([4, 4, 12, 4], 64),
    "swin_v2_t": ([4, 4, 12, 4], 64),
    "vit_b_16": ([24], 224),
}
TIMM = {"resnet10t": (4, 64), "convnextv2_atto": (12, 64), "repvgg_a0": (22, 64), "test_vit": (12, 160)}
MORE_TIMM = {
    "resnet50d": (16, 64),
    "seresnet50": (16, 64),
    "ecaresnet50d": (16, 64),
    "resnetv2_50": (16, 64),
    "resnet50_gn": (16, 64),
    "resnetrs50": (16, 64),
    "legacy_seresnet18": (8, 64),
    "resnetblur18": (8, 64),
    "resnest14d": (4, 64),
    "skresnet18": (8, 64),
    "regnetx_002": (13, 64),
    "res2net50_26w_4s": (16, 64),
    "cspresnet50": (13, 64),
    "darknet53": (23, 64),
    "xception41": (12, 64),
    "inception_resnet_v2": (40, 128),
    "dla34": (12, 64),
    "hrnet_w18_small": (23, 64),
    "nfnet_f0": (12, 64),
    "efficientnet_lite0": (9, 64),
    "ghostnetv2_100": (16, 64),
    "mobilenetv4_conv_small": (10, 64),
    "fastvit_t8": (30, 64),
    "poolformer_s12": (24, 64),
    "edgenext_xx_small": (12, 224),
    "coatnet_nano_rw_224": (25, 224),
    "vit_tiny_patch16_224": (24, 224),
    "deit3_small_patch16_224": (24, 224),
    "eva02_tiny_patch14_224": (24, 224),
    "levit_128s": (20, 224),
    "pvt_v2_b0": (16, 64),
    "xcit_nano_12_p16_224": (40, 224),
    "swinv2_cr_tiny_ns_224": (24, 224),
    "mixer_s32_224": (16, 224),
    "mobilevit_xxs": (21, 64),
    "mvitv2_tiny": (20, 224),
}


def heavy(cases: dict[str, Any]) -> Iterator[Any]:
    return (pytest.param(name, *expected, marks=pytest.mark.networks, id=name) for name, expected in cases.items())


def light(cases: dict[str, Any]) -> Iterator[Any]:
    return (pytest.param(name, *expected, id=name) for name, expected in cases.items())


class TestKnownNetworks:
    @pytest.mark.parametrize(("name", "stages", "size"), [*light(TORCHVISION), *heavy(MORE_TORCHVISION)])
    def test_torchvision(self, name: str, stages: list[int], size: int, shake: Callable[[nn.Module, int], nn.Module]) -> None:
        module = seeded(lambda: torchvision.models.get_model(name, weights=None, num_classes=10), shake)
        # What trains the weights freezes: attention chooses its kernel by whether its own parameters need a gradient.
        network = find_blocks(module.requires_grad_(requires_grad=False), (3, size, size))
        found = Counter(block.stage for block in blocks_of(network).values())
        assert [found[stage] for stage in sorted(found)] == stages
        check_same(module, network, noise(2, size))
        check_sums(network, noise(1, size))

    @pytest.mark.parametrize(("name", "count", "size"), [*light(TIMM), *heavy(MORE_TIMM)])
    def test_timm(self, name: str, count: int, size: int, shake: Callable[[nn.Module, int], nn.Module]) -> None:
        module = seeded(lambda: timm.create_model(name, num_classes=10), shake)
        network = find_blocks(module.requires_grad_(requires_grad=False), (3, size, size))
        assert len(blocks_of(network)) == count
        check_same(module, network, noise(2, size))
        check_sums(network, noise(1, size))

    def test_facts_of_a_block(self) -> None:
        network = find_blocks(torchvision.models.resnet18(), (3, 64, 64))
        block = blocks_of(network)["layer2.0"]
        facts = block.facts
        assert (facts.kind, facts.path, facts.stage, facts.shortcut) == ("BasicBlock", "layer2.0", 2, "projection")
        assert facts.shape == (128, 8, 8)
        # Two 3x3 convolutions, a 1x1 one, and two numbers a channel for three batch norms.
        assert facts.parameter_count == 64 * 128 * 9 + 128 * 128 * 9 + 64 * 128 + 3 * 2 * 128
        assert facts.multiply_adds == (64 * 128 * 9 + 128 * 128 * 9 + 64 * 128) * 8 * 8
        assert "layer2.0.downsample.0.weight" in facts.parameters
        assert {"layer2.0.conv1", "layer2.0.bn2", "layer2.0.downsample.1"} <= set(facts.layers)
