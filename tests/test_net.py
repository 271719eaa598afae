"""Net: twins, devices, classes and the origin of weights."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError

import pytest
import torch
from PIL import Image
from torch import nn

from resnet_viz.nets.net import Net, WeightsOrigin, pick_device


@pytest.fixture
def net(make_cifar: Callable[..., Net]) -> Net:
    return make_cifar("B")


class TestClassIndex:
    @pytest.mark.parametrize(("target", "index"), [(0, 0), (9, 9), ("airplane", 0), ("cat", 3), ("truck", 9)])
    def test_by_index_and_by_label(self, target: int | str, index: int, net: Net) -> None:
        assert net.class_index(target) == index

    @pytest.mark.parametrize("target", [-1, 10, 1000])
    def test_out_of_range(self, target: int, net: Net) -> None:
        with pytest.raises(ValueError, match=f"target {target} is outside Test B-8's classes: choose 0 to 9"):
            net.class_index(target)

    @pytest.mark.parametrize("target", ["Cat", "", "zebra"])
    def test_unknown_label(self, target: str, net: Net) -> None:
        with pytest.raises(ValueError, match=f"has no class {target!r}; it has airplane, automobile"):
            net.class_index(target)


class TestPickDevice:
    @pytest.mark.parametrize(
        ("cuda", "mps", "expected"),
        [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
    )
    def test_auto_takes_the_fastest_there_is(
        self, *, cuda: bool, mps: bool, expected: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        assert pick_device("auto") == pick_device() == torch.device(expected)
        assert pick_device("cpu") == torch.device("cpu")

    @pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
    def test_a_device_that_is_not_there(self, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
        with pytest.raises(ValueError, match=f"there is no {device.split(':', maxsplit=1)[0]} device on this machine"):
            pick_device(device)

    @pytest.mark.parametrize("device", ["gpu", "", "meta"])
    def test_what_is_no_device_to_compute_on(self, device: str) -> None:
        with pytest.raises(ValueError, match="choose device='auto' or 'cpu'"):
            pick_device(device)

    def test_a_device_given_as_such(self) -> None:
        assert pick_device(torch.device("cpu")) == torch.device("cpu")


class TestNet:
    def test_blocks_come_first_to_last(self, net: Net) -> None:
        assert list(net.blocks) == ["layer1.0", "layer2.0", "layer3.0"]
        assert [block.name for block in net.blocks.values()] == list(net.blocks)

    def test_a_frugal_twin_overwrites_what_nobody_looks_at_and_computes_the_same(
        self, net: Net, make_image: Callable[..., Image.Image]
    ) -> None:
        frugal, x = net.frugal_twin(), net.preprocess(make_image())
        # The stem's ReLU, and two of every block: between the convolutions, and behind the sum.
        assert sum(layer.inplace for layer in frugal.modules() if isinstance(layer, nn.ReLU)) == 1 + 2 * len(net.blocks)
        assert not any(layer.inplace for layer in net.module.modules() if isinstance(layer, nn.ReLU))
        with torch.inference_mode():
            assert torch.equal(frugal(x), net.module(x))

    def test_preprocess_makes_a_batch_of_one(self, net: Net, make_image: Callable[..., Image.Image]) -> None:
        x = net.preprocess(make_image(50, 40))
        assert (x.shape, x.dtype, x.device) == ((1, 3, 32, 32), torch.float32, net.device)

    def test_is_frozen(self, net: Net) -> None:
        with pytest.raises(FrozenInstanceError):
            net.name = "other"  # type: ignore[misc]

    @pytest.mark.parametrize(
        ("source", "trained"), [("shipped", True), ("official", True), ("checkpoint", True), ("untrained", False)]
    )
    def test_only_random_weights_are_untrained(self, source: str, *, trained: bool) -> None:
        assert WeightsOrigin(source, "").trained is trained  # type: ignore[arg-type]
