"""Activations against stock torchvision and against the CIFAR networks written as functions."""

import gc
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from resnet_viz.analyses.activations import activations
from resnet_viz.nets.net import Net


class CancelledError(Exception):
    """The exception of a caller that stops."""


class Broken(nn.Module):
    """A layer that fails."""

    def forward(self, _: Tensor) -> Tensor:
        raise ZeroDivisionError


def assert_same(ours: np.ndarray | None, theirs: Tensor | None, name: str) -> None:
    """Compare bit by bit, on tensors that are not all zeros."""
    if theirs is None:
        assert ours is None, name
        return
    assert ours is not None, name
    assert ours.dtype == np.float32, name
    assert np.abs(ours).max() > 0, name
    np.testing.assert_array_equal(ours, theirs[0].numpy(), strict=True, err_msg=name)


class TestCifar:
    @pytest.mark.parametrize("shortcut", ["A", "B", "C", "plain"])
    def test_four_tensors_a_block(
        self,
        shortcut: str,
        make_cifar: Callable[..., Net],
        make_image: Callable[..., Image.Image],
        cifar_reference: Callable[..., Any],
    ) -> None:
        net = make_cifar(shortcut, depth=14)
        result = activations(net, make_image())
        reference = cifar_reference(net.module, shortcut)
        x = reference.stem(net.preprocess(make_image()))
        assert [block.name for block in result.blocks] == reference.blocks
        for block in result.blocks:
            expected = reference.block(block.name, x, x)
            for name in ("identity", "residual", "sum", "output"):
                assert_same(getattr(block, name), getattr(expected, name), f"{block.name} {name}")
            x = expected.output
        np.testing.assert_allclose(result.logits, reference.head(x)[0], rtol=1e-5, atol=1e-6)


class TestImagenet:
    @pytest.mark.parametrize("name", ["resnet18", "resnet50"])
    def test_four_tensors_a_block(
        self,
        name: str,
        make_imagenet: Callable[[str], Net],
        make_stock: Callable[[Net], nn.Module],
        make_image: Callable[..., Image.Image],
    ) -> None:
        """Torchvision overwrites the residuals with its sums, so each is cloned where it is computed."""
        net = make_imagenet(name)
        stock = make_stock(net)
        kept: dict[str, Tensor] = {}

        def keep(key: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
            return lambda _, __, output: kept.update({key: output.clone()})

        for block_name in net.blocks:
            block: Any = stock.get_submodule(block_name)
            block.register_forward_pre_hook(lambda _, args, key=f"{block_name} identity": kept.update({key: args[0].clone()}))
            last_norm = block.bn2 if name == "resnet18" else block.bn3
            last_norm.register_forward_hook(keep(f"{block_name} residual"))
            if block.downsample is not None:
                block.downsample.register_forward_hook(keep(f"{block_name} identity"))
            block.register_forward_hook(keep(f"{block_name} output"))
        with torch.no_grad():
            logits = stock(net.preprocess(make_image(80, 70)))

        result = activations(net, make_image(80, 70))

        assert [block.name for block in result.blocks] == list(net.blocks)
        assert_same(result.logits, logits, "logits")
        for ours in result.blocks:
            identity, residual = kept[f"{ours.name} identity"], kept[f"{ours.name} residual"]
            assert_same(ours.identity, identity, f"{ours.name} identity")
            assert_same(ours.residual, residual, f"{ours.name} residual")
            assert_same(ours.sum, identity + residual, f"{ours.name} sum")
            assert_same(ours.output, kept[f"{ours.name} output"], f"{ours.name} output")


class TestTidiness:
    def test_on_block_counts_and_finds_no_hook_on_the_shared_module(
        self, make_cifar: Callable[..., Net], make_image: Callable[..., Image.Image], count_hooks: Callable[[nn.Module], int]
    ) -> None:
        net, calls = make_cifar(), []
        activations(net, make_image(), on_block=lambda *at: calls.append((*at, count_hooks(net.module))))
        assert calls == [(1, 3, 0), (2, 3, 0), (3, 3, 0)]
        assert count_hooks(net.module) == 0

    def test_the_twin_is_gone_after_success(
        self, twins: list[weakref.ref[nn.Module]], make_cifar: Callable[..., Net], make_image: Callable[..., Image.Image]
    ) -> None:
        net = make_cifar()
        net.module.get_submodule("layer1.0.conv1").register_forward_hook(lambda *_: None)
        result = activations(net, make_image())
        gc.collect()
        assert [twin() for twin in twins] == [None]
        assert len(result.blocks) == 3

    def test_the_twin_is_gone_after_an_error(
        self, twins: list[weakref.ref[nn.Module]], make_cifar: Callable[..., Net], make_image: Callable[..., Image.Image]
    ) -> None:
        net = make_cifar()
        broken = replace(net, module=net.twin())
        # In training mode, as every new module: a pass on the network itself needs evaluation mode.
        broken.module.get_submodule("layer3.0").add_module("bn2", Broken())
        twins.clear()
        with pytest.raises(ZeroDivisionError):
            activations(broken, make_image())
        gc.collect()
        assert [twin() for twin in twins] == [None]

    def test_the_twin_is_gone_after_a_cancel(
        self, twins: list[weakref.ref[nn.Module]], make_cifar: Callable[..., Net], make_image: Callable[..., Image.Image]
    ) -> None:
        def cancel(*_: int) -> None:
            raise CancelledError

        net = make_cifar()
        net.module.get_submodule("layer1.0.conv1").register_forward_hook(lambda *_: None)
        with pytest.raises(CancelledError):
            activations(net, make_image(), on_block=cancel)
        gc.collect()
        assert [twin() for twin in twins] == [None]
