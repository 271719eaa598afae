"""Capture: what is on the tapes, and that nothing is left behind."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from resnet_viz.analyses.capture import capture
from resnet_viz.nets.blocks import blocks_of
from resnet_viz.nets.net import Net

NAMES = ["layer1.0", "layer1.1", "layer2.0", "layer2.1", "layer3.0", "layer3.1"]


class CancelledError(Exception):
    """The exception of a caller that stops."""


class Broken(nn.Module):
    """A layer that fails."""

    def forward(self, _: Tensor) -> Tensor:
        raise ZeroDivisionError


@pytest.fixture(params=["A", "B", "C", "plain"])
def net(request: pytest.FixtureRequest, make_cifar: Callable[..., Net]) -> Net:
    return make_cifar(request.param, depth=14)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))


class TestTapes:
    def test_fill_in_the_order_of_the_pass(self, net: Net, x: Tensor) -> None:
        twin = net.twin()
        with capture(twin) as tapes:
            assert tapes == []
            twin(x)
        assert [tape.name for tape in tapes] == NAMES
        assert [tape.stage for tape in tapes] == [1, 1, 2, 2, 3, 3]
        assert [tape.shortcut for tape in tapes] == [block.shortcut_kind for block in net.blocks.values()]
        assert all(tape.block is blocks_of(twin)[tape.name] for tape in tapes)

    def test_chain_each_output_to_the_next_input(self, net: Net, x: Tensor) -> None:
        twin = net.twin()
        with capture(twin) as tapes:
            twin(x)
        for tape, following in pairwise(tapes):
            assert following.input is tape.output

    def test_plain_blocks_alone_lack_a_shortcut(self, net: Net, x: Tensor) -> None:
        twin = net.twin()
        with capture(twin) as tapes:
            twin(x)
        plain = net.name.startswith("plain")
        for tape in tapes:
            assert (tape.identity is None) == (tape.to_shortcut is None) == plain

    def test_the_fork_parts_the_gradient(self, net: Net, x: Tensor) -> None:
        """Stopping one path of the fork leaves the gradient of the other, and they add up to the whole."""
        twin = net.twin()
        with capture(twin) as tapes:
            logit = twin(x.requires_grad_())[0, 3]
        for tape in tapes:
            ends = [end for end in (tape.to_shortcut, tape.to_branch) if end is not None]
            parts = torch.autograd.grad(logit, ends, retain_graph=True)
            (whole,) = torch.autograd.grad(logit, tape.input, retain_graph=True)
            assert torch.equal(torch.stack(parts).sum(0), whole)
            assert all(part.abs().sum() > 0 for part in parts)
            assert len(parts) == 1 or not torch.equal(parts[0], parts[1])

    def test_leaves_the_logits_as_they_are(self, net: Net, x: Tensor) -> None:
        twin = net.twin()
        with capture(twin):
            logits = twin(x)
        assert torch.equal(logits, net.module(x))

    def test_a_twin_can_be_captured_twice(self, net: Net, x: Tensor) -> None:
        twin = net.twin()
        with capture(twin) as first:
            twin(x)
        with capture(twin) as second:
            twin(2 * x)
        assert len(first) == len(second) == 6
        assert not torch.equal(first[0].residual, second[0].residual)


class TestOnBlock:
    def test_counts_from_one_to_all(self, net: Net, x: Tensor) -> None:
        calls: list[tuple[int, int]] = []
        twin = net.twin()
        with capture(twin, lambda done, total: calls.append((done, total))):
            twin(x)
        assert calls == [(1, 6), (2, 6), (3, 6), (4, 6), (5, 6), (6, 6)]

    def test_what_it_raises_stops_the_pass(self, net: Net, x: Tensor) -> None:
        def cancel(done: int, _: int) -> None:
            if done == 2:
                raise CancelledError

        twin = net.twin()
        with pytest.raises(CancelledError), capture(twin, cancel) as tapes:
            twin(x)
        assert [tape.name for tape in tapes] == NAMES[:2]


class TestHooks:
    """The hooks are on the twin while the context is open, and nowhere afterwards."""

    def test_after_success(self, net: Net, x: Tensor, count_hooks: Callable[[nn.Module], int]) -> None:
        twin = net.twin()
        with capture(twin):
            assert count_hooks(twin) > 0
            assert count_hooks(net.module) == 0
            twin(x)
        assert count_hooks(twin) == count_hooks(net.module) == 0

    def test_after_an_error_in_the_pass(self, net: Net, x: Tensor, count_hooks: Callable[[nn.Module], int]) -> None:
        twin = net.twin()
        twin.get_submodule("layer2.1").add_module("bn2", Broken())
        with pytest.raises(ZeroDivisionError), capture(twin) as tapes:
            twin(x)
        assert [tape.name for tape in tapes] == NAMES[:3]
        assert count_hooks(twin) == count_hooks(net.module) == 0

    def test_after_a_cancel(self, net: Net, x: Tensor, count_hooks: Callable[[nn.Module], int]) -> None:
        def cancel(*_: int) -> None:
            raise CancelledError

        twin = net.twin()
        with pytest.raises(CancelledError), capture(twin, cancel):
            twin(x)
        assert count_hooks(twin) == count_hooks(net.module) == 0

    def test_other_peoples_hooks_stay(self, net: Net, x: Tensor, count_hooks: Callable[[nn.Module], int]) -> None:
        twin = net.twin()
        twin.get_submodule("layer1.0.bn1").register_forward_hook(lambda *_: None)
        with capture(twin):
            twin(x)
        assert count_hooks(twin) == 1
