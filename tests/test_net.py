"""Net: twins, devices, classes and the origin of weights."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import resnet_viz as rv
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

    @pytest.mark.parametrize("target", [1.0, None, ["cat"]])
    def test_neither_a_label_nor_an_index(self, target: Any, net: Net) -> None:
        with pytest.raises(TypeError, match="target is the label or the index of a class"):
            net.class_index(target)

    def test_a_label_that_several_classes_have(self, net: Net) -> None:
        named = replace(net, labels=("crane", *net.labels[1:9], "crane"))
        assert (named.class_index(9), named.class_index("cat")) == (9, 3)
        assert "1 name belongs to several classes (crane)" in repr(named)
        with pytest.raises(ValueError, match="has several classes named 'crane': choose one by its index, 0 and 9"):
            named.class_index("crane")


class TestLabels:
    @pytest.mark.parametrize(("labels", "kind"), [("abcdefghij", TypeError), (range(10), TypeError), ([""] * 10, ValueError)])
    def test_are_checked_wherever_the_network_comes_from(self, labels: Any, kind: type[Exception], net: Net) -> None:
        with pytest.raises(kind):
            replace(net, labels=labels)
        with pytest.raises(kind):
            rv.from_module(nn.Sequential(), labels=labels)


NO_NETWORKS: dict[str, tuple[Any, str]] = {
    "name": ("resnet50", "open it with rv.load\\('resnet50'\\)"),
    "path": (Path("mine.pth"), "rv.load_checkpoint\\('mine.pth'\\) if it is a file"),
    "module": (nn.ReLU(), "the network is a module, ReLU: open it with rv.from_module"),
    "image": (Image.new("RGB", (9, 9)), "the network comes first .* this is of the type Image"),
    "nothing": (None, "this is of the type NoneType"),
}
NO_IMAGES: dict[str, tuple[Any, str]] = {
    "path": ("cat.jpg", "open it with rv.open_image\\('cat.jpg'\\)"),
    "bytes": (b"bytes", "open it with rv.open_image"),
    "array": (np.zeros((9, 9, 3), np.uint8), "PIL.Image.fromarray"),
    "tensor": (torch.zeros(3, 9, 9), "to_pil_image"),
    "nothing": (None, "this is of the type NoneType"),
}
ANALYSES: dict[str, Callable[..., Any]] = {
    name: getattr(rv, name)
    for name in (
        "inspect", "activations", "attribute", "gradients", "conductance", "ablation_sweep", "deletions", "receptive_fields",
        "block_cams",
    )
} | {"ablate": lambda net, image: rv.ablate(net, image, {})}  # fmt: skip


class TestWrongArguments:
    @pytest.mark.parametrize("given", NO_NETWORKS)
    @pytest.mark.parametrize("analysis", [*ANALYSES, "accuracy"])
    def test_what_is_no_network_is_told_how_to_open_it(self, analysis: str, given: str) -> None:
        value, sentence = NO_NETWORKS[given]
        with pytest.raises(TypeError, match=sentence):
            (ANALYSES | {"accuracy": rv.accuracy})[analysis](value, Image.new("RGB", (32, 32)))

    @pytest.mark.parametrize("given", NO_IMAGES)
    @pytest.mark.parametrize("analysis", [*ANALYSES, "preprocess", "seen", "sharp"])
    def test_what_is_no_image_is_told_how_to_open_it(self, analysis: str, given: str, net: Net) -> None:
        value, sentence = NO_IMAGES[given]
        others = {
            "preprocess": Net.preprocess,
            "seen": lambda of, image: of.preprocessing.seen(image),
            "sharp": lambda of, image: of.preprocessing.sharp(image),
        }
        with pytest.raises(TypeError, match=sentence):
            (ANALYSES | others)[analysis](net, value)

    @pytest.mark.parametrize("name", [None, 18, Path("resnet18"), nn.ReLU()])
    def test_what_is_no_name_of_a_network(self, name: Any) -> None:
        with pytest.raises(TypeError, match=r"the name of a network is a text, .* rv\.list_models"):
            rv.load(name)


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
