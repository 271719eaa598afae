"""Blocks without a shortcut, which their modules name: places, and the network's own numbers."""

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from resnet_viz.analyses.capture import capture
from resnet_viz.nets.blocks import blocks_of
from resnet_viz.nets.layers import PlainBasicBlock, PlainBlock
from resnet_viz.nets.residual_graph import find_blocks
from resnet_viz.nets.residual_graph.network import ResidualNetwork


class Linear(PlainBlock):
    """Layers without an activation behind them; the first is nested."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
        self.last = nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.inner(x))


class Mixed(nn.Module):
    """A residual block between two kinds of plain ones, and layers between them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.first, self.second = PlainBasicBlock(8, 8), BasicBlock(8, 8)
        self.third: nn.Module = Linear()
        self.between = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.between(self.first(self.stem(x))))
        return self.head(self.third(x).mean((2, 3)))


@pytest.fixture(scope="module")
def module() -> nn.Module:
    torch.manual_seed(0)
    return Mixed().eval().requires_grad_(requires_grad=False)


@pytest.fixture(scope="module")
def network(module: nn.Module) -> ResidualNetwork:
    return find_blocks(module, (3, 8, 8))


def test_plain_and_residual_blocks_stand_in_the_order_of_the_pass(network: ResidualNetwork) -> None:
    found = [(block.name, block.shortcut_kind, block.activation) for block in blocks_of(network).values()]
    assert found == [("first", "none", "ReLU"), ("second", "identity", "ReLU"), ("third", "none", "")]
    assert blocks_of(network)["third"].facts.parameters == (
        "third.inner.0.weight", "third.inner.0.bias", "third.last.weight", "third.last.bias",
    )  # fmt: skip
    assert [section.name for section in network.residual_findings.sections] == ["stem", "before second", "head"]


def test_logits_and_gradients_are_the_modules(module: nn.Module, network: ResidualNetwork) -> None:
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    both = [each.clone().requires_grad_() for each in (x, x)]
    logits = [net(given) for net, given in zip((module, network), both, strict=True)]
    assert torch.equal(*logits)
    assert torch.equal(*(torch.autograd.grad(out.sum(), given)[0] for out, given in zip(logits, both, strict=True)))


def test_the_sum_of_a_plain_block_is_its_residual(network: ResidualNetwork) -> None:
    with capture(network) as tapes:
        network(torch.ones(1, 3, 8, 8))
    first, second, third = tapes
    assert first.identity is None
    assert third.identity is None
    assert torch.equal(first.sum, first.residual)
    assert torch.equal(first.output, first.sum.relu())
    assert torch.equal(third.output, third.residual)
    assert second.identity is not None
    assert torch.equal(second.sum, second.identity + second.residual)


def test_a_block_that_is_not_run_is_none() -> None:
    module = Mixed()
    module.third = nn.Identity()
    module.unused = PlainBasicBlock(8, 8)
    assert list(blocks_of(find_blocks(module, (3, 8, 8)))) == ["first", "second"]


def test_a_network_that_was_opened_is_opened_again_as_it_is(network: ResidualNetwork) -> None:
    again = find_blocks(network, (3, 8, 8))
    assert again is not network
    assert list(blocks_of(again)) == list(blocks_of(network))
    assert torch.equal(again(torch.ones(1, 3, 8, 8)), network(torch.ones(1, 3, 8, 8)))
