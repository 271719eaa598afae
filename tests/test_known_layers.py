"""Which networks have a ResNet's layers by torchvision's names."""

from collections.abc import Callable
from io import BytesIO

import pytest
import torch
import torchvision
from torch import nn

import resnet_viz as rv
from resnet_viz.nets.known_layers import has_known_layers, layers_of, require_known_layers
from resnet_viz.nets.net import Net
from tests.own_networks import Blocks, Functional

CIFAR = rv.Preprocessing(32, 32, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def of_a_file(module: nn.Module) -> Net:
    """Open a network from its tensors alone."""
    data = BytesIO()
    torch.save(module.state_dict(), data)
    return rv.load_checkpoint(data.getvalue(), preprocessing=CIFAR, architecture="", device="cpu")


@pytest.mark.parametrize("shortcut", ["A", "plain"])
def test_the_catalogue_and_torchvisions_own_class_have_them(shortcut: str, make_cifar: Callable[..., Net]) -> None:
    net = make_cifar(shortcut)
    own = rv.from_module(torchvision.models.resnet18(num_classes=3), preprocessing=CIFAR)
    for each in (net, own):
        assert has_known_layers(each.module)
        require_known_layers(each.title, each.module)
    layers = layers_of(net.module, net.blocks["layer2.0"])
    assert layers.get_parameter("conv1.weight").shape == (32, 16, 3, 3)


def test_a_checkpoint_of_a_resnet_has_them(make_cifar: Callable[..., Net]) -> None:
    net = of_a_file(make_cifar("B").module)
    assert has_known_layers(net.module)
    assert layers_of(net.module, net.blocks["layer2.0"]).get_parameter("conv1.weight").shape == (32, 16, 3, 3)


def test_another_network_gets_a_sentence() -> None:
    net = rv.from_module(Blocks(Functional("F.relu")), preprocessing=CIFAR, name="Mine")
    assert not has_known_layers(net.module)
    with pytest.raises(ValueError, match="the layers of Mine have other names: take a ResNet from the list"):
        require_known_layers(net.title, net.module)
