"""The CIFAR-10 family compared with the paper's table and an independent implementation."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from resnet_viz.nets.blocks import ResidualBlock, blocks_of
from resnet_viz.nets.cifar import CifarResNet
from resnet_viz.nets.costs import count_parameters
from resnet_viz.nets.net import Net
from resnet_viz.nets.residual_graph import find_blocks

OPTIONS = ("A", "B", "C", "plain")


def opened(shortcut: Any) -> dict[str, ResidualBlock]:
    """Find the blocks of a network of 14 layers."""
    return blocks_of(find_blocks(CifarResNet(14, shortcut), (3, 8, 8)))


class TestSize:
    @pytest.mark.parametrize("shortcut", ["A", "plain"])
    @pytest.mark.parametrize(
        ("depth", "params", "paper"),
        [(20, 269_722, "0.27"), (32, 464_154, "0.46"), (44, 658_586, "0.66"), (56, 853_018, "0.85"), (110, 1_727_962, "1.7")],
    )
    def test_parameters_are_those_of_table_6(self, depth: int, params: int, paper: str, shortcut: Any) -> None:
        count = count_parameters(CifarResNet(depth, shortcut))
        assert count == params
        assert f"{count / 1e6:.2g}" == paper

    @pytest.mark.parametrize(
        ("shortcut", "projections"),
        # 1x1 convolutions and two numbers a channel for the batch norm after each.
        [
            ("B", (16 * 32 + 64) + (32 * 64 + 128)),
            ("C", 3 * (16 * 16 + 32) + (16 * 32 + 64) + 2 * (32 * 32 + 64) + (32 * 64 + 128) + 2 * (64 * 64 + 128)),
        ],
    )
    def test_projections_add_their_parameters(self, shortcut: Any, projections: int) -> None:
        assert count_parameters(CifarResNet(20, shortcut)) == 269_722 + projections

    @pytest.mark.parametrize("depth", [8, 14, 20, 56])
    def test_depth_counts_layers_with_weights(self, depth: int) -> None:
        layers = [layer for layer in CifarResNet(depth).modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
        assert len(layers) == depth

    @pytest.mark.parametrize("depth", [-4, 0, 2, 7, 9, 18, 21, 51])
    def test_other_depths_raise(self, depth: int) -> None:
        with pytest.raises(ValueError, match=rf"depth {depth} is not 6n \+ 2"):
            CifarResNet(depth)

    @pytest.mark.parametrize("shortcut", ["D", "a", "", None])
    def test_other_shortcuts_raise(self, shortcut: Any) -> None:
        with pytest.raises(ValueError, match="is unknown: choose 'A', 'B', 'C' or 'plain'"):
            CifarResNet(20, shortcut)


class TestStructure:
    @pytest.mark.parametrize(
        ("shortcut", "kinds"),
        [
            ("A", ["identity", "identity", "zero-pad", "identity", "zero-pad", "identity"]),
            ("B", ["identity", "identity", "projection", "identity", "projection", "identity"]),
            ("C", ["projection"] * 6),
            ("plain", ["none"] * 6),
        ],
    )
    def test_where_each_option_changes_the_identity(self, shortcut: Any, kinds: list[str]) -> None:
        assert [block.shortcut_kind for block in opened(shortcut).values()] == kinds

    def test_parameter_names_are_torchvisions(self) -> None:
        """Torchvision's smallest network without its fourth stage is option B of depth 8."""
        stock = torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1])
        names = [name for name in stock.state_dict() if not name.startswith("layer4")]
        assert list(CifarResNet(8, "B").state_dict()) == names

    @pytest.mark.parametrize("shortcut", OPTIONS)
    def test_every_block_has_every_place(self, shortcut: Any) -> None:
        for name, block in opened(shortcut).items():
            places = dict(block.named_children())
            missing = {"fork", "residual", "sum", "output"} - set(places)
            assert not missing, name
            assert ("shortcut" in places) == (shortcut != "plain"), name

    @pytest.mark.parametrize("shortcut", OPTIONS)
    def test_no_relu_is_shared_or_in_place(self, shortcut: Any) -> None:
        net = find_blocks(CifarResNet(14, shortcut), (3, 8, 8))
        calls = dict.fromkeys((name for name, layer in net.named_modules() if isinstance(layer, nn.ReLU)), 0)
        for name in calls:
            relu = net.get_submodule(name)
            assert isinstance(relu, nn.ReLU)
            assert not relu.inplace, name
            relu.register_forward_hook(lambda *_, name=name: calls.update({name: calls[name] + 1}))
        net(torch.zeros(1, 3, 8, 8))
        # The stem's, and two a block.
        assert list(calls.values()) == [1] * 13

    def test_stages_halve_the_map_and_double_the_channels(self) -> None:
        net = CifarResNet(8)
        shapes: list[tuple[int, ...]] = []
        for stage in (net.layer1, net.layer2, net.layer3):
            stage.register_forward_hook(lambda _, __, output: shapes.append(tuple(output.shape)))
        logits = net(torch.zeros(2, 3, 32, 32))
        assert shapes == [(2, 16, 32, 32), (2, 32, 16, 16), (2, 64, 8, 8)]
        assert logits.shape == (2, 10)

    def test_number_of_classes(self) -> None:
        assert CifarResNet(8, classes=7)(torch.zeros(3, 3, 32, 32)).shape == (3, 7)


class TestForward:
    @pytest.mark.parametrize("size", [(32, 32), (33, 31), (7, 5), (1, 1)], ids=lambda size: f"{size[0]}x{size[1]}")
    @pytest.mark.parametrize("shortcut", OPTIONS)
    def test_logits_are_those_of_the_reference(
        self, shortcut: str, size: tuple[int, int], make_cifar: Callable[..., Net], cifar_reference: Callable[..., Any]
    ) -> None:
        module = make_cifar(shortcut, depth=14).module
        x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
        expected = cifar_reference(module, shortcut).logits(x)
        assert expected.std() > 0.01
        torch.testing.assert_close(module(x), expected, rtol=1e-5, atol=1e-5)


class TestSeed:
    @pytest.mark.usefixtures("global_noise")
    def test_a_seed_gives_one_network_while_other_threads_draw(self) -> None:
        expected = CifarResNet(20, "C", seed=5).state_dict()
        for _ in range(3):
            for name, values in CifarResNet(20, "C", seed=5).state_dict().items():
                assert torch.equal(values, expected[name]), name

    @pytest.mark.parametrize("shortcut", OPTIONS)
    def test_seeds_differ(self, shortcut: Any) -> None:
        first, second = CifarResNet(8, shortcut, seed=0).state_dict(), CifarResNet(8, shortcut, seed=1).state_dict()
        for name, values in first.items():
            if values.ndim == 4 or name.startswith("fc"):
                assert not torch.equal(values, second[name]), name

    def test_the_global_generator_is_left_alone(self) -> None:
        before = torch.get_rng_state()
        CifarResNet(8)
        assert torch.equal(torch.get_rng_state(), before)
