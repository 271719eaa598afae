"""The photo networks against torchvision's own, which their weights must fit."""

import pytest
import torch
from torch import nn
from torchvision import models

from resnet_viz.nets.photos import IMAGENETTE_LABELS, PHOTO_ARCHITECTURES, photo_network
from resnet_viz.nets.zoo import blueprint


@pytest.mark.parametrize("depth", [18, 34])
def test_weights_fit_torchvisions_own_network_and_give_its_logits(depth: int) -> None:
    net = photo_network(f"resnet{depth}-imagenette", seed=1).eval()
    stock = getattr(models, f"resnet{depth}")(num_classes=11).eval()
    stock.load_state_dict(net.state_dict(), strict=True)
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(net(x), stock(x))


@pytest.mark.parametrize("depth", [18, 34])
def test_the_plain_twin_has_the_same_layers_and_no_shortcut(depth: int) -> None:
    plain, residual = photo_network(f"plain{depth}-imagenette"), photo_network(f"resnet{depth}-imagenette")
    shortcuts = {name for name in residual.state_dict() if ".downsample." in name}
    assert set(plain.state_dict()) == set(residual.state_dict()) - shortcuts
    opened = [blueprint(f"{kind}{depth}-imagenette").blocks for kind in ("plain", "resnet")]
    assert {block.shortcut_kind for block in opened[0].values()} == {"none"}
    assert list(opened[0]) == list(opened[1])


def test_a_plain_block_adds_nothing() -> None:
    net = photo_network("plain18-imagenette", seed=3).eval()
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        y = nn.Sequential(*list(net.children())[:4])(x)
        for name in blueprint("plain18-imagenette").blocks:
            conv1, bn1, conv2, bn2 = (net.get_submodule(f"{name}.{layer}") for layer in ("conv1", "bn1", "conv2", "bn2"))
            y = torch.relu(bn2(conv2(torch.relu(bn1(conv1(y))))))
        logits = net.get_submodule("fc")(y.mean((2, 3)))
        torch.testing.assert_close(net(x), logits)


def test_there_are_eleven_classes_each_once() -> None:
    assert len(set(IMAGENETTE_LABELS)) == 11
    assert set(PHOTO_ARCHITECTURES) == {f"{kind}{depth}-imagenette" for kind in ("resnet", "plain") for depth in (18, 34)}
