"""New weights from a seed."""

import pytest
import torch
from torch import nn

from resnet_viz.nets.initialisation import initialise


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
