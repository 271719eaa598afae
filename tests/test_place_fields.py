"""Receptive fields against the arithmetic of kernels and strides (Araujo et al. 2019, https://doi.org/10.23915/distill.00021)."""

from collections.abc import Callable

import pytest

from resnet_viz.analyses.place_fields import place_fields
from resnet_viz.nets.net import Net


def test_a_stack_of_3x3_convolutions(make_cifar: Callable[..., Net]) -> None:
    """The stem and two convolutions of stride 1 reach 3 pixels to each side."""
    field = place_fields(make_cifar("A", depth=8), "layer1.0")
    assert field.map_size == (32, 32)
    assert field.box(10, 20) == (17, 7, 24, 14)
    assert field.box(0, 31) == (28, 0, 32, 4)
    assert field.cell(10, 20) == (20, 10, 21, 11)


def test_with_strides(make_cifar: Callable[..., Net]) -> None:
    """layer2.0: two 3x3 with a stride of 2 in the first, after a field of 7: 7 + 2 + 2 * 2 = 13 pixels."""
    field = place_fields(make_cifar("B", depth=8), "layer2.0")
    left, top, right, bottom = field.box(8, 8)
    assert (right - left, bottom - top) == (13, 13)
    assert (left + right) / 2 == pytest.approx(16, abs=1)


def test_a_stem_with_a_pool(make_imagenet: Callable[[str], Net]) -> None:
    """7x7 with stride 2, 3x3 pool with stride 2, two 3x3: 7 + 2 * 2 + 2 * 4 + 2 * 4 = 27 pixels."""
    left, top, right, bottom = place_fields(make_imagenet("resnet18"), "layer1.0").box(8, 8)
    assert (right - left, bottom - top) == (27, 27)


def test_late_blocks_see_everything(make_imagenet: Callable[[str], Net]) -> None:
    assert place_fields(make_imagenet("resnet18"), "layer4.1").box(1, 1) == (0, 0, 64, 64)


def test_the_network_stays_as_it_is(make_cifar: Callable[..., Net], count_hooks: Callable[..., int]) -> None:
    net = make_cifar("A")
    before = {name: tensor.clone() for name, tensor in net.module.state_dict().items()}
    place_fields(net, "layer3.0")
    assert all((tensor == before[name]).all() for name, tensor in net.module.state_dict().items())
    assert count_hooks(net.module) == 0


def test_unknown_block(make_cifar: Callable[..., Net]) -> None:
    with pytest.raises(ValueError, match="has no block 'layer9'"):
        place_fields(make_cifar("A"), "layer9")
