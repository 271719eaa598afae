"""The places of blocks, by hand on one pixel."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from resnet_viz.nets.blocks import ResidualBlock, blocks_of
from resnet_viz.nets.cifar import CifarResNet
from resnet_viz.nets.layers import PlainBasicBlock, ZeroPad
from resnet_viz.nets.residual_graph import ResidualNetwork, find_blocks


def opened(block: nn.Module, channels: int = 1, size: int = 1) -> ResidualNetwork:
    """Open a network of one block, whose norms pass their input on."""
    for layer in block.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = 0.0
    return find_blocks(nn.Sequential(block).requires_grad_(requires_grad=False), (channels, size, size))


def set_centre(conv: nn.Conv2d, weight: float) -> None:
    """Set a convolution of one channel at its centre, and around it to values that one pixel never uses."""
    conv.weight.fill_(7.0)
    conv.weight[:, :, 1, 1] = weight


def seen_at(block: ResidualBlock, network: nn.Module, x: float) -> dict[str, list[float]]:
    """Return what each place of a block gets when its network gets one pixel."""
    seen: dict[str, list[float]] = {}

    def note(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], object], None]:
        return lambda _, args, __: seen.update({name: [value.item() for value in args]})

    for name, place in block.named_children():
        place.register_forward_hook(note(name))
    network(torch.full((1, 1, 1, 1), x))
    return seen


@pytest.mark.parametrize(
    ("make", "channels", "kind"),
    [
        (lambda: BasicBlock(2, 2), 2, "identity"),
        (lambda: BasicBlock(2, 4, 2, ZeroPad(2, 4, 2)), 2, "zero-pad"),
        (lambda: BasicBlock(2, 4, 1, nn.Conv2d(2, 4, 1)), 2, "projection"),
        (lambda: Bottleneck(4, 1), 4, "identity"),
        (lambda: Bottleneck(2, 1, 1, nn.Conv2d(2, 4, 1)), 2, "projection"),
        (lambda: PlainBasicBlock(2, 2), 2, "none"),
        (lambda: PlainBasicBlock(2, 4, 2), 2, "none"),
    ],
    ids=["basic", "A", "B", "bottleneck", "bottleneck B", "plain", "plain stride 2"],
)
def test_shortcut_kind(make: Callable[[], nn.Module], channels: int, kind: str) -> None:
    (block,) = blocks_of(opened(make(), channels, 4)).values()
    assert block.shortcut_kind == kind
    assert hasattr(block, "shortcut") == (kind != "none")


def test_what_stands_at_each_place() -> None:
    """A hook sees x, the identity, F(x), both summands and the activation's argument at the named places."""
    stock = BasicBlock(1, 1).requires_grad_(requires_grad=False)
    set_centre(stock.conv1, 1.0)
    set_centre(stock.conv2, -3.0)
    network = opened(stock)
    (block,) = blocks_of(network).values()
    expected = {"fork": [2.0], "shortcut": [2.0], "residual": [-6.0], "sum": [2.0, -6.0], "output": [-4.0]}
    assert seen_at(block, network, 2.0) == expected


def test_the_sum_of_a_plain_block_is_its_residual() -> None:
    plain = PlainBasicBlock(1, 1).requires_grad_(requires_grad=False)
    set_centre(plain.conv1, 1.0)
    set_centre(plain.conv2, -3.0)
    network = opened(plain)
    (block,) = blocks_of(network).values()
    assert seen_at(block, network, 2.0) == {"fork": [2.0], "residual": [-6.0], "sum": [-6.0], "output": [-6.0]}


@pytest.mark.parametrize("shortcut", ["A", "plain"])
def test_blocks_of_lists_blocks_in_the_order_of_the_pass(shortcut: str) -> None:
    network = find_blocks(CifarResNet(14, shortcut), (3, 8, 8))  # type: ignore[arg-type]  # an option
    names = ["layer1.0", "layer1.1", "layer2.0", "layer2.1", "layer3.0", "layer3.1"]
    assert list(blocks_of(network)) == names
    assert [block.stage for block in blocks_of(network).values()] == [1, 1, 2, 2, 3, 3]
    met: list[str] = []
    for name, block in blocks_of(network).items():
        block.output.register_forward_hook(lambda *_, name=name: met.append(name))
    network(torch.zeros(1, 3, 8, 8))
    assert met == names


def test_a_block_is_not_called_itself() -> None:
    (block,) = blocks_of(opened(BasicBlock(1, 1))).values()
    with pytest.raises(TypeError, match="block 0 is a part of its network's graph"):
        block(torch.zeros(1, 1, 1, 1))
