"""Blocks and shortcuts, by hand on a pixel or a few."""

from collections.abc import Callable
from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn

from resnet_viz.nets.blocks import BasicBlock, Bottleneck, PlainBlock, ResidualBlock, ZeroPad, blocks_of, initialise
from resnet_viz.nets.cifar import CifarResNet

Block = TypeVar("Block", bound=ResidualBlock)


def one_pixel(*channels: float) -> Tensor:
    return torch.tensor(channels).view(1, -1, 1, 1)


def without_norms(block: Block) -> Block:
    """Make every batch norm pass its input on."""
    for layer in block.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = 0.0
    return block.eval().requires_grad_(requires_grad=False)


def set_centre(conv: nn.Module, rows: list[list[float]]) -> None:
    """Set a convolution to the matrix `rows` (out, in) at its centre, and around it to values that one pixel never uses."""
    assert isinstance(conv, nn.Conv2d)
    conv.weight.fill_(7.0)
    middle = conv.kernel_size[0] // 2
    conv.weight[:, :, middle, middle] = torch.tensor(rows)


class TestZeroPad:
    def test_keeps_every_second_pixel_between_zero_channels(self) -> None:
        x = torch.arange(1.0, 33.0).view(1, 2, 4, 4)
        zeros = [[0.0, 0.0], [0.0, 0.0]]
        expected = [zeros, zeros, [[1.0, 3.0], [9.0, 11.0]], [[17.0, 19.0], [25.0, 27.0]], zeros, zeros]
        assert ZeroPad(2, 6, 2)(x)[0].tolist() == expected

    def test_an_odd_number_of_zero_channels_has_the_larger_half_behind(self) -> None:
        assert ZeroPad(2, 5, 1)(one_pixel(3.0, 4.0)).flatten().tolist() == [0.0, 3.0, 4.0, 0.0, 0.0]

    @pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 2), (2, 3), (5, 4), (7, 9)])
    @pytest.mark.parametrize("stride", [1, 2, 3])
    def test_has_the_size_of_the_branch_beside_it(self, height: int, width: int, stride: int) -> None:
        x = torch.ones(2, 3, height, width)
        assert ZeroPad(3, 4, stride)(x).shape == nn.Conv2d(3, 4, 3, stride, padding=1)(x).shape

    def test_cannot_shrink(self) -> None:
        with pytest.raises(ValueError, match="cannot turn 32 channels into 16"):
            ZeroPad(32, 16, 1)


class TestEquations:
    """relu(x + F(x)) with numbers for mental arithmetic."""

    @pytest.mark.parametrize(
        ("x", "output"),
        # The first convolution triples, then ReLU, the second takes a quarter and turns the sign: F(2) = -1.5, F(-2) = 0.
        [(2.0, 0.5), (-2.0, 0.0)],
        ids=["positive", "negative"],
    )
    def test_basic_block_subtracts_where_its_residual_is_negative(self, x: float, output: float) -> None:
        block = without_norms(BasicBlock(1, 1))
        set_centre(block.conv1, [[3.0]])
        set_centre(block.conv2, [[-0.25]])
        assert block(one_pixel(x)).item() == output

    def test_basic_block_adds_its_residual(self) -> None:
        block = without_norms(BasicBlock(2, 2))
        set_centre(block.conv1, [[1.0, 1.0], [1.0, -1.0]])
        set_centre(block.conv2, [[1.0, 2.0], [-1.0, 0.0]])
        # x = (2, 5): hidden relu(7, -3) = (7, 0), F = (7, -7), x + F = (9, -2).
        assert block(one_pixel(2.0, 5.0)).flatten().tolist() == [9.0, 0.0]

    def test_plain_block_leaves_x_out(self) -> None:
        block = without_norms(PlainBlock(2, 2))
        set_centre(block.conv1, [[1.0, 1.0], [1.0, -1.0]])
        set_centre(block.conv2, [[1.0, 2.0], [-1.0, 0.0]])
        assert block(one_pixel(2.0, 5.0)).flatten().tolist() == [7.0, 0.0]

    def test_bottleneck_has_a_relu_after_its_first_two_convolutions(self) -> None:
        block = without_norms(Bottleneck(4, 1))
        set_centre(block.conv1, [[1.0, 0.0, 0.0, -1.0]])
        set_centre(block.conv2, [[-2.0]])
        set_centre(block.conv3, [[1.0], [2.0], [-3.0], [0.0]])
        # x = (5, 1, 1, 4): 1 -> -2 -> ReLU 0: nothing comes through.
        assert block(one_pixel(5.0, 1.0, 1.0, 4.0)).flatten().tolist() == [5.0, 1.0, 1.0, 4.0]
        set_centre(block.conv2, [[2.0]])
        # 1 -> 2 -> F = (2, 4, -6, 0).
        assert block(one_pixel(5.0, 1.0, 1.0, 4.0)).flatten().tolist() == [7.0, 5.0, 0.0, 4.0]

    def test_projection_stands_between_x_and_the_sum(self) -> None:
        projection = nn.Conv2d(1, 2, 1, bias=False)
        block = without_norms(BasicBlock(1, 2, downsample=projection))
        set_centre(projection, [[10.0], [-10.0]])
        set_centre(block.conv1, [[1.0], [0.0]])
        set_centre(block.conv2, [[1.0, 0.0], [30.0, 0.0]])
        # x = 1: projected (10, -10), F = (1, 30).
        assert block(one_pixel(1.0)).flatten().tolist() == [11.0, 20.0]

    def test_the_common_part_is_no_block(self) -> None:
        with pytest.raises(TypeError, match="ResidualBlock cannot compute F"):
            ResidualBlock().branch(one_pixel(1.0))


class TestPlaces:
    @pytest.mark.parametrize(
        ("make", "kind"),
        [
            (lambda: BasicBlock(2, 2), "identity"),
            (lambda: BasicBlock(2, 4, 2, ZeroPad(2, 4, 2)), "zero-pad"),
            (lambda: BasicBlock(2, 4, 1, nn.Conv2d(2, 4, 1)), "projection"),
            (lambda: Bottleneck(4, 1), "identity"),
            (lambda: Bottleneck(2, 1, 1, nn.Conv2d(2, 4, 1)), "projection"),
            (lambda: PlainBlock(2, 2), "none"),
            (lambda: PlainBlock(2, 4, 2), "none"),
        ],
        ids=["basic", "A", "B", "bottleneck", "bottleneck B", "plain", "plain stride 2"],
    )
    def test_shortcut_kind(self, make: Callable[[], ResidualBlock], kind: str) -> None:
        assert make().shortcut_kind == kind

    def test_what_stands_at_each_place(self) -> None:
        """In a residual block, a hook sees x, the identity, F(x), both summands and the ReLU's argument at the named places."""
        block = without_norms(BasicBlock(1, 1))
        set_centre(block.conv1, [[1.0]])
        set_centre(block.conv2, [[-3.0]])
        seen: dict[str, list[float]] = {}

        def note(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], object], None]:
            return lambda _, args, __: seen.update({name: [value.item() for value in args]})

        for name in ("fork", "shortcut", "residual", "sum", "relu"):
            block.get_submodule(name).register_forward_hook(note(name))
        block(one_pixel(2.0))
        assert seen == {"fork": [2.0], "shortcut": [2.0], "residual": [-6.0], "sum": [2.0, -6.0], "relu": [-4.0]}

    def test_blocks_of_lists_blocks_alone_in_the_order_of_the_pass(self) -> None:
        net = CifarResNet(14)
        names = ["layer1.0", "layer1.1", "layer2.0", "layer2.1", "layer3.0", "layer3.1"]
        assert list(blocks_of(net)) == names
        met: list[nn.Module] = []
        for block in blocks_of(net).values():
            block.register_forward_hook(lambda module, _, __: met.append(module))
        net(torch.zeros(1, 3, 8, 8))
        assert met == [net.get_submodule(name) for name in names]


class Layers(nn.Module):
    """One of each kind that has weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(32, 64, 3, bias=False)
        self.norm = nn.BatchNorm2d(64)
        self.linear = nn.Linear(64, 500)


class TestInitialise:
    def test_convolutions_have_the_deviation_of_equation_15(self) -> None:
        net = Layers()
        initialise(net, 0)
        weight = net.conv.weight
        # 18,432 draws: the deviation's standard error is 0.5%.
        assert weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.025)
        assert abs(weight.mean().item()) < 0.002

    def test_batch_norms_start_at_one_and_zero(self) -> None:
        net = Layers()
        net.norm.train()(torch.rand(2, 64, 3, 3))
        nn.init.normal_(net.norm.weight)
        nn.init.normal_(net.norm.bias)
        initialise(net, 0)
        state = {name: values.unique().tolist() for name, values in net.norm.state_dict().items()}
        assert state == {"weight": [1], "bias": [0], "running_mean": [0], "running_var": [1], "num_batches_tracked": [0]}

    def test_linear_layers_fill_the_range(self) -> None:
        net = Layers()
        initialise(net, 0)
        for values in (net.linear.weight, net.linear.bias):
            assert values.abs().max().item() <= 1 / 8
            assert values.max().item() > 0.99 / 8
            assert values.min().item() < -0.99 / 8

    def test_a_seed_gives_one_network(self) -> None:
        first, second, other = Layers(), Layers(), Layers()
        initialise(first, 3)
        initialise(second, 3)
        initialise(other, 4)
        for name, values in first.state_dict().items():
            assert torch.equal(values, second.state_dict()[name]), name
        assert not torch.equal(first.conv.weight, other.conv.weight)
        assert not torch.equal(first.linear.weight, other.linear.weight)

    def test_the_global_generator_is_left_alone(self) -> None:
        net = Layers()
        before = torch.get_rng_state()
        initialise(net, 3)
        assert torch.equal(torch.get_rng_state(), before)
