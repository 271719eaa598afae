"""The signal's way through a network against the stock network's own tensors, and against an inspection bit for bit."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

import resnet_viz as rv
from app.views.play_section import stop
from resnet_viz.analyses.inspection import inspect
from resnet_viz.analyses.passage import passage
from resnet_viz.engine.job_types import JOB_TYPES
from resnet_viz.engine.wire import decode, encode
from resnet_viz.figures.block.block_map import BlockFrame
from resnet_viz.nets.net import Net
from tests.every_network import NETWORKS, SIZE


@pytest.mark.parametrize("kind", ["A", "B", "plain"])
def test_the_pictures_are_those_of_an_inspection_bit_for_bit(
    make_cifar: Callable[..., Net], make_image: Callable[..., Image.Image], kind: str
) -> None:
    net, image = make_cifar(kind), make_image()
    inspected, passed = inspect(net, image), passage(net, image)
    assert [block.name for block in passed.blocks] == [block.name for block in inspected.blocks]
    for block, whole in zip(passed.blocks, inspected.blocks, strict=True):
        assert (block.identity is None) == (whole.identity is None) == (kind == "plain")
        for term in ("identity", "residual", "sum", "output"):
            maps = getattr(whole, term)
            if maps is not None:
                assert getattr(block, term).tobytes() == maps.mean(0).tobytes(), (block.name, term)


@pytest.mark.parametrize("kind", ["ViT", "pre-activation", "sequence first", "own"])
def test_the_pictures_of_other_networks_are_those_of_their_inspection(
    make_image: Callable[..., Image.Image], kind: str
) -> None:
    torch.manual_seed(0)
    net = rv.from_module(NETWORKS[kind](), preprocessing=rv.Preprocessing(SIZE, SIZE, (0.5,) * 3, (0.5,) * 3))
    image = make_image(40, 36)
    for block, whole in zip(passage(net, image).blocks, inspect(net, image).blocks, strict=True):
        for term in ("identity", "residual", "sum", "output"):
            assert getattr(block, term).tobytes() == getattr(whole, term).mean(0).tobytes(), (block.name, term)
        shown = stop(whole, BlockFrame(whole.name, 0, 1, 0, 1, 0, 1))
        assert not any("nan" in value for name, value in shown.numbers if name.endswith("zeroes"))
        assert shown.terms[-1].operator == (f"→ {whole.activation} →" if whole.activation else "=")


def test_the_outputs_are_what_hooks_see_on_the_users_own_network(
    make_cifar: Callable[..., Net], make_image: Callable[..., Image.Image]
) -> None:
    net, image = make_cifar("B"), make_image()
    seen: dict[str, np.ndarray] = {}
    handles = [
        block.output.register_forward_hook(lambda _, __, output, name=name: seen.update({name: output[0].mean(0).numpy()}))
        for name, block in net.blocks.items()
    ]
    with torch.no_grad():
        net.module(net.preprocess(image))
    for handle in handles:
        handle.remove()
    for block in passage(net, image).blocks:
        np.testing.assert_allclose(block.output, seen[block.name], atol=1e-6)
        np.testing.assert_allclose(np.maximum(block.output, 0), block.output)


def test_it_can_be_cancelled_after_any_block_and_leaves_no_hook(
    make_cifar: Callable[..., Net], make_image: Callable[..., Image.Image]
) -> None:
    net = make_cifar("A")

    def stop(done: int, _: int) -> None:
        if done == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        passage(net, make_image(), on_block=stop)
    assert not any(module._forward_hooks for module in net.module.modules())


def test_it_goes_over_the_wire_bit_for_bit(make_cifar: Callable[..., Net], make_image: Callable[..., Image.Image]) -> None:
    hint = JOB_TYPES["passage"].answer
    for kind in ("A", "plain"):
        passed = passage(make_cifar(kind), make_image())
        again = decode(encode(passed), hint, 2**24)
        assert encode(again) == encode(passed)
        assert again.nbytes == passed.nbytes > 0
