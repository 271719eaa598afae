"""Passes on the network itself: the tensors of a twin with hooks; nothing that anybody watches is left out or overwritten."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

import resnet_viz as rv
from resnet_viz.analyses.capture import Tape, capture, recording
from resnet_viz.engine.cancellation import InterruptibleNet
from resnet_viz.nets.blocks import blocks_of
from resnet_viz.nets.net import Net
from resnet_viz.nets.residual_graph.network import ResidualNetwork
from resnet_viz.nets.residual_graph.recording import may_be_recorded
from tests.every_network import NETWORKS, SIZE

# Their buffers are numbers that their owner might change in a pass.
ON_A_TWIN = {"Swin"}
TENSORS = [field.name for field in fields(Tape) if field.name not in ("name", "block")]


def opened(kind: str, shake: Callable[[nn.Module, int], nn.Module]) -> Net:
    torch.manual_seed(0)
    preprocessing = rv.Preprocessing(SIZE, SIZE, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    return rv.from_module(shake(NETWORKS[kind](), 0), preprocessing=preprocessing)


def noise(seed: int = 0) -> Tensor:
    return torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def net(shake: Callable[[nn.Module, int], nn.Module]) -> Net:
    return opened("own", shake)


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_pass_on_the_network_records_what_hooks_on_a_twin_do(kind: str, shake: Callable[[nn.Module, int], nn.Module]) -> None:
    net = opened(kind, shake)
    assert may_be_recorded(net.module) == (kind not in ON_A_TWIN)
    twin = net.twin()
    with capture(twin) as expected:
        logits = twin(noise().requires_grad_())
    with recording(net) as (run, tapes):
        found = run(noise().requires_grad_())
    assert torch.equal(found, logits)
    # With gradients, as above: without them, torch may choose other kernels, which round differently.
    assert torch.equal(net.module(noise().requires_grad_()), logits)
    assert [tape.name for tape in tapes] == [tape.name for tape in expected] == list(net.blocks)
    inputs: list[tuple[Tensor, Tensor]] = []
    for one, other in zip(tapes, expected, strict=True):
        for name in TENSORS:
            mine, hooked = getattr(one, name), getattr(other, name)
            assert (mine is None) == (hooked is None), name
            assert mine is None or torch.equal(mine, hooked), (one.name, name)
        inputs += [(one.to_branch, other.to_branch), (one.input, other.input)]
    gradients = [
        torch.autograd.grad(values[0, 0], [pair[number] for pair in inputs]) for number, values in enumerate((found, logits))
    ]
    assert all(map(torch.equal, *gradients))


class TestWatched:
    """Where somebody watches, the network's own pass calls the places and overwrites nothing."""

    def test_every_hook_sees_what_the_twin_computes(self, net: Net) -> None:
        expected: dict[str, Any] = {}
        twin = net.twin()
        for name, module in twin.named_modules():
            module.register_forward_hook(lambda _, __, out, name=name: expected.update({name: out}))
        twin(noise())
        for name in filter(None, expected):
            seen: list[Any] = []
            handle = net.module.get_submodule(name).register_forward_hook(lambda _, __, out, seen=seen: seen.append(out))
            net.module(noise())
            handle.remove()
            found, wanted = (each if isinstance(each, tuple) else (each,) for each in (seen[0], expected[name]))
            assert len(seen) == 1, name
            assert all(map(torch.equal, found, wanted)), name

    def test_a_hook_on_all_modules_sees_every_place(self, net: Net) -> None:
        called: list[nn.Module] = []
        handle = register_module_forward_hook(lambda module, *_: called.append(module))
        try:
            net.module(noise())
        finally:
            handle.remove()
        for block in blocks_of(net.module).values():
            assert set(block.places.values()) <= set(called)

    @pytest.mark.parametrize("place", ["fork", "shortcut", "residual", "sum", "output"])
    def test_a_place_that_was_replaced_is_called(self, place: str, net: Net) -> None:
        before = net.module(noise())
        block = next(iter(net.blocks.values()))
        own = block.places[place]

        class Other(nn.Module):
            def forward(self, *given: Tensor) -> Any:
                made = own(*given)
                return tuple(2 * each for each in made) if isinstance(made, tuple) else 2 * made

        block.add_module(place, Other())
        changed = net.module(noise())
        assert not torch.equal(changed, before)
        assert torch.equal(changed, net.twin()(noise()))
        assert not may_be_recorded(net.module)

    def test_an_image_that_passes_layers_unchanged_is_not_overwritten(
        self, shake: Callable[[nn.Module, int], nn.Module]
    ) -> None:
        net = opened("RegNet", shake)
        assert isinstance(net.module, ResidualNetwork)
        stem = net.module.get_submodule("stem")
        assert isinstance(stem.get_submodule("2"), nn.ReLU)
        stem.add_module("0", nn.Identity())
        stem.add_module("1", nn.Identity())
        x = torch.randn(1, 8, SIZE, SIZE)
        kept = x.clone()
        with pytest.raises(RuntimeError, match="channels"):
            net.module(x[:, :3])
        assert torch.equal(x, kept)


class TestMayBeRecorded:
    """Only what a pass does not change is shared with other passes."""

    def test_in_training_mode(self, net: Net) -> None:
        net.module.get_submodule("fc").train()
        assert not may_be_recorded(net.module)

    def test_with_weights_that_are_trained(self, net: Net) -> None:
        net.module.get_submodule("fc").requires_grad_()
        assert not may_be_recorded(net.module)

    def test_in_half_precision(self, net: Net) -> None:
        net.module.bfloat16()
        assert not may_be_recorded(net.module)

    def test_with_buffers_that_a_layer_may_change(self, net: Net) -> None:
        net.module.get_submodule("fc").register_buffer("calls", torch.zeros(1))
        assert not may_be_recorded(net.module)

    def test_with_an_activation_that_overwrites_the_sum(self, net: Net) -> None:
        next(iter(net.blocks.values())).add_module("output", nn.ReLU(inplace=True))
        assert not may_be_recorded(net.module)

    @pytest.mark.parametrize("hook", ["forward", "forward_pre", "full_backward", "full_backward_pre"])
    def test_with_a_hook(self, hook: str, net: Net) -> None:
        handle = getattr(net.module.get_submodule("fc"), f"register_{hook}_hook")(lambda *_: None)
        assert not may_be_recorded(net.module)
        handle.remove()
        assert may_be_recorded(net.module)


class TestTraced:
    """A trace of the opened network has its activations as modules."""

    @pytest.fixture(params=["torch.fx", "torch.export"])
    def traced(self, request: pytest.FixtureRequest, net: Net) -> Iterator[tuple[Net, nn.Module]]:
        if request.param == "torch.fx":
            yield net, torch.fx.symbolic_trace(net.module)
        else:
            yield net, torch.export.export(net.module, (noise(),), strict=False).module()

    def test_computes_the_same_logits(self, traced: tuple[Net, nn.Module]) -> None:
        net, module = traced
        assert torch.equal(module(noise()), net.module(noise()))

    def test_calls_every_activation_with_fx(self, net: Net) -> None:
        traced = torch.fx.symbolic_trace(net.module)
        called = {node.target for node in traced.graph.nodes if node.op == "call_module"}
        activations = {name for name, module in net.module.named_modules() if isinstance(module, nn.ReLU)}
        assert activations
        assert activations <= called


def test_a_check_stops_a_pass_on_the_network_at_a_block(net: Net) -> None:
    calls: list[int] = []

    def check() -> None:
        calls.append(1)
        if len(calls) > 2:
            raise TimeoutError

    stoppable = InterruptibleNet.of(net, check)
    with pytest.raises(TimeoutError):
        rv.inspect(stoppable, Image.new("RGB", (SIZE, SIZE)))
    assert len(calls) == 3


def test_passes_of_several_threads_on_one_network_do_not_meet(net: Net) -> None:
    alone = {seed: recorded(net, seed) for seed in range(4)}
    wrong: list[int] = []

    def run(seed: int) -> None:
        wrong.extend(seed for _ in range(30) if not all(map(torch.equal, recorded(net, seed), alone[seed])))

    threads = [threading.Thread(target=run, args=(seed,)) for seed in alone]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def recorded(net: Net, seed: int) -> list[Tensor]:
    with recording(net) as (run, tapes), torch.no_grad():
        run(noise(seed))
    return [tape.residual for tape in tapes]
