"""Receptive fields: the theoretical one by the textbook's recursion, the effective one against gradients taken one by one."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import resnet_viz as rv
from resnet_viz.analyses.receptive_field import effective_width
from resnet_viz.analyses.theoretical_field import theoretical_widths
from resnet_viz.engine.wire import decode, encode
from resnet_viz.figures.theme import IDENTITY, RESIDUAL
from resnet_viz.nets.blocks import blocks_of
from resnet_viz.nets.net import Net
from tests.own_networks import Blocks, Functional, PreActivation

MakeImage = Callable[..., Image.Image]
MakeNet = Callable[..., Net]


def widths_by_hand(layers: list[tuple[int, int]]) -> list[int]:
    """Add (kernel - 1) times the product of all strides before for each layer."""
    width, step, found = 1, 1, []
    for kernel, stride in layers:
        width += (kernel - 1) * step
        step *= stride
        found.append(width)
    return found


@pytest.mark.parametrize("shortcut", ["A", "B", "plain"])
def test_the_theoretical_width_follows_from_kernels_and_strides(shortcut: str, make_cifar: MakeNet) -> None:
    net = make_cifar(shortcut, depth=14)
    layers = [(3, 1)]
    for stage in (1, 2, 3):
        layers += [(3, 1 if stage == 1 else 2), (3, 1), (3, 1), (3, 1)]
    assert theoretical_widths(net, shortcuts_alone=False) == tuple(widths_by_hand(layers)[2::2])
    # A projection of one pixel and every second pixel widen nothing: what is left is the stem's.
    expected = 0 if shortcut == "plain" else 3
    assert set(theoretical_widths(net, shortcuts_alone=True)) == {expected}


def test_resnet_18_has_the_width_that_is_known_of_it(make_imagenet: Callable[[str], Net]) -> None:
    """Araujo et al. 2019, Computing Receptive Fields of Convolutional Neural Networks, https://distill.pub/2019/computing-rf."""
    net = make_imagenet("resnet18")
    assert theoretical_widths(net, shortcuts_alone=False)[-1] == 435
    # The stem: 7x7 with stride 2, then a pool of 3x3.
    assert set(theoretical_widths(net, shortcuts_alone=True)) == {widths_by_hand([(7, 2), (3, 2)])[-1]}


def test_weights_and_their_owner_are_left_alone(make_cifar: MakeNet, make_image: MakeImage) -> None:
    net, image = make_cifar("B"), make_image()
    with torch.no_grad():
        before = net.module(net.preprocess(image))
    rv.receptive_fields(net, image, probes=1)
    with torch.no_grad():
        assert torch.equal(net.module(net.preprocess(image)), before)
    assert net.precision == torch.float32


class Everywhere(nn.Module):
    """A block whose branch is weighted by the mean of the whole image, as squeeze and excitation is."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv(x)
        return x + out * torch.sigmoid(self.gate(out.mean((2, 3), keepdim=True)))


def test_networks_of_ones_own_and_what_sees_everything(make_image: MakeImage) -> None:
    torch.manual_seed(0)
    preprocessing = rv.Preprocessing(24, 24, (0.5,) * 3, (0.5,) * 3)
    net = rv.from_module(Blocks(Functional("F.relu"), PreActivation(), Everywhere()), preprocessing=preprocessing)
    assert theoretical_widths(net, shortcuts_alone=False) == (7, 11, math.inf)
    # The pre-activation's shortcut has no layer here, the gate is on the branch.
    assert theoretical_widths(net, shortcuts_alone=True) == (3, 3, 3)
    found = rv.receptive_fields(net, make_image(24, 24), probes=1)
    assert "whole image" in rv.figures.field_widths(found, found.blocks[0].name).layout.meta["finding"]


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_the_map_is_the_root_mean_square_over_channels(shortcut: str, make_cifar: MakeNet, make_image: MakeImage) -> None:
    net, image = make_cifar(shortcut), make_image()
    found = rv.receptive_fields(net, image, probes=400)
    x = net.preprocess(image).requires_grad_()
    outputs: list[Tensor] = []
    twin = net.twin()
    blocks_of(twin)["layer2.0"].output.register_forward_hook(lambda _, __, output: outputs.append(output))
    twin(x)
    total = torch.zeros(32, 32)
    for channel in outputs[0][0, :, 8, 8]:
        total += torch.autograd.grad(channel, x, retain_graph=True)[0][0].square().sum(0)
    expected = (total / 32).sqrt().numpy()
    seen = found.block("layer2.0").map
    # Four hundred probes estimate a mean square; outside the theoretical field there is nothing at all.
    np.testing.assert_allclose(seen[expected > expected.max() / 3], expected[expected > expected.max() / 3], rtol=0.25)
    np.testing.assert_array_equal(seen == 0, expected == 0)


def test_along_the_shortcuts_alone_the_stem_is_seen(make_cifar: MakeNet, make_image: MakeImage) -> None:
    net, image = make_cifar("A"), make_image()
    found = rv.receptive_fields(net, image, probes=3)
    for block in found.blocks:
        rows, columns = np.nonzero(block.shortcut_map)
        assert rows.max() - rows.min() + 1 <= 3
        assert columns.max() - columns.min() + 1 <= 3
        assert block.shortcut_effective <= block.effective <= block.theoretical
    plain = rv.receptive_fields(make_cifar("plain"), image, probes=1)
    assert [block.shortcut_effective for block in plain.blocks] == [0, 0, 0]
    assert not plain.blocks[-1].shortcut_map.any()


def test_the_effective_width_counts_pixels() -> None:
    seen = np.zeros((9, 9), np.float32)
    seen[2:5, 2:5] = 0.05
    seen[3, 3] = 1
    assert effective_width(seen) == 3
    seen[seen < 1] *= 0.8
    assert effective_width(seen) == 1
    assert effective_width(np.zeros((4, 4), np.float32)) == 0


def test_figures_and_the_wire(make_cifar: MakeNet, make_image: MakeImage) -> None:
    found = rv.receptive_fields(make_cifar("A"), make_image(), probes=1)
    kind: Any = rv.ReceptiveFields
    again: rv.ReceptiveFields = decode(encode(found), kind, 2**22)
    assert again.table().equals(found.table())
    maps = rv.figures.field_maps(found, "layer2.0")
    assert [trace.colorscale[-1][1][:8] for trace in maps.data] == ["rgba(230", "rgba(0,1"]
    assert maps.data[0].z.max() == 1
    # The dashed squares are as wide as the theoretical fields: 21 pixels of all paths, 3 of the shortcuts.
    squares = [shape.x1 - shape.x0 for shape in maps.layout.shapes]
    assert squares == [found.block("layer2.0").theoretical, 3]
    lines = rv.figures.field_widths(found, "layer2.0")
    assert [trace.line.color for trace in lines.data] == [RESIDUAL, RESIDUAL, IDENTITY, IDENTITY]
    with pytest.raises(ValueError, match=r"has no block 'layer9\.9'"):
        rv.figures.field_maps(found, "layer9.9")
    with pytest.raises(ValueError, match="choose 1 or more"):
        rv.receptive_fields(make_cifar("A"), make_image(), probes=0)
