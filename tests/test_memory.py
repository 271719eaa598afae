"""The memory of an inspection is estimated before it starts, and a refusal names the size that fits."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import resnet_viz as rv
from resnet_viz.nets.memory import FACTOR, SHARE, check_memory, free_bytes, inspection_bytes

GIGABYTE = 10**9


def seen_at(net: rv.Net, side: int) -> rv.Net:
    return replace(net, preprocessing=replace(net.preprocessing, resize=side, crop=side))


def test_the_estimate_grows_with_the_pixels_and_costs_no_memory(make_cifar: Callable[..., Any]) -> None:
    net = make_cifar()
    small, large = inspection_bytes(seen_at(net, 32)), inspection_bytes(seen_at(net, 1024))
    assert large / small == pytest.approx(32**2, rel=0.02)


def test_the_estimate_counts_what_the_backward_pass_keeps(make_cifar: Callable[..., Any]) -> None:
    # Depth 8: three blocks and a stem. Each convolution and batch norm keeps its input, each ReLU its output; by hand the maps
    # of 16 channels at 32x32, 32 at 16x16 and 64 at 8x8 are 64, 32 and 16 KB.
    kb = inspection_bytes(make_cifar()) / FACTOR / 1024
    # Stem 2, blocks 4 each at the least, and at most twice that with the shortcuts' padding and statistics.
    assert 64 * 6 + 32 * 4 + 16 * 4 <= kb + 64 <= 2 * (64 * 6 + 32 * 4 + 16 * 4)


def test_what_does_not_fit_is_refused_with_a_size_that_does(make_cifar: Callable[..., Any]) -> None:
    net = seen_at(make_cifar(), 1024)
    free = inspection_bytes(net) / SHARE / 4
    with pytest.raises(rv.CheckpointError, match=r"1024×1024 pixels takes about .* GB of memory") as caught:
        check_memory(net, int(free))
    found = re.search(r"at most (\d+) pixels", str(caught.value))
    assert found is not None
    assert 448 <= int(found[1]) <= 512
    check_memory(seen_at(net, int(found[1])), int(free))


def test_where_no_size_fits_the_sentence_says_so(make_cifar: Callable[..., Any]) -> None:
    with pytest.raises(rv.CheckpointError, match="smaller network"):
        check_memory(make_cifar(), 1000)


def test_usual_networks_fit_on_this_machine(make_cifar: Callable[..., Any]) -> None:
    net = make_cifar()
    assert free_bytes(net.device) > GIGABYTE / 10
    check_memory(net)
