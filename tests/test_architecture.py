"""The parts of a network: shapes and words by hand, costs against torch's counter, our own and torchvision's published ones."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from resnet_viz.nets.architecture import Part, architecture
from resnet_viz.nets.costs import count_parameters, multiply_adds
from resnet_viz.nets.imagenet import ARCHITECTURES
from resnet_viz.nets.net import Net
from resnet_viz.nets.published import published
from resnet_viz.nets.zoo import blueprint, load

MakeCifar = Callable[..., Net]


def flops(net: Net) -> int:
    """Count with torch's counter as it is, over the whole network."""
    size = net.preprocessing.crop
    with FlopCounterMode(display=False) as counter:
        net.module(torch.empty(1, 3, size, size, device=net.device))
    total: int = counter.get_total_flops()
    return total


class TestByHand:
    def test_a_cifar_network(self, make_cifar: MakeCifar) -> None:
        stem, first, second, third, head = architecture(make_cifar("A", 8))
        assert stem == Part("stem", None, None, (3, 32, 32), (16, 32, 32), "3×3 16", 432 + 32, 432 * 32**2)
        assert first == Part(
            "layer1.0", 1, "identity", (16, 32, 32), (16, 32, 32), "3×3 16, 3×3 16", 2 * (2304 + 32), 2 * 2304 * 32**2
        )
        assert second == Part(
            "layer2.0",
            2,
            "zero-pad",
            (16, 32, 32),
            (32, 16, 16),
            "3×3 32 stride 2, 3×3 32",
            4608 + 9216 + 2 * 64,
            (4608 + 9216) * 16**2,
        )
        assert (third.name, third.output, third.multiply_adds) == ("layer3.0", (64, 8, 8), (18432 + 36864) * 8**2)
        assert head == Part("head", None, None, (64, 8, 8), (10,), "global average pooling, linear 10", 650, 640)

    @pytest.mark.parametrize(("option", "kinds"), [("B", "identity projection projection"), ("plain", "none none none")])
    def test_shortcuts(self, option: str, kinds: str, make_cifar: MakeCifar) -> None:
        assert " ".join(str(part.shortcut) for part in architecture(make_cifar(option))[1:-1]) == kinds

    def test_a_projection_is_counted_and_is_no_layer_of_the_branch(self, make_cifar: MakeCifar) -> None:
        padded, projected = architecture(make_cifar("A"))[2], architecture(make_cifar("B"))[2]
        assert projected.layers == padded.layers
        assert projected.parameters - padded.parameters == 16 * 32 + 2 * 32
        assert projected.multiply_adds - padded.multiply_adds == 16 * 32 * 16**2

    @pytest.mark.parametrize(
        ("name", "part", "layers"),
        [
            ("resnet50", "stem", "7×7 64 stride 2, max pool 3×3 stride 2"),
            ("resnet50", "layer2.0", "1×1 128, 3×3 128 stride 2, 1×1 512"),
            ("resnext50_32x4d", "layer1.1", "1×1 128, 3×3 128 groups 32, 1×1 256"),
            ("wide_resnet50_2", "layer4.2", "1×1 1024, 3×3 1024, 1×1 2048"),
            ("resnet18", "head", "global average pooling, linear 1000"),
        ],
    )
    def test_words(self, name: str, part: str, layers: str) -> None:
        assert {each.name: each.layers for each in architecture(blueprint(name))}[part] == layers


class TestTotals:
    @pytest.mark.parametrize("option", ["A", "B", "C", "plain"])
    def test_of_cifar_networks(self, option: Any, make_cifar: MakeCifar) -> None:
        self.check(make_cifar(option, 14))

    @pytest.mark.parametrize("name", ARCHITECTURES)
    def test_of_imagenet_networks(self, name: str) -> None:
        """Torchvision publishes the multiply-adds in thousands of millions, to three decimals."""
        total = self.check(blueprint(name))
        assert total == pytest.approx(published(name).multiply_adds, abs=0.5e6)

    @staticmethod
    def check(net: Net) -> int:
        parts = architecture(net)
        assert [part.name for part in parts] == ["stem", *net.blocks, "head"]
        assert sum(part.parameters for part in parts) == count_parameters(net.module)
        total = sum(part.multiply_adds for part in parts)
        assert 2 * total == flops(net)
        for part in parts[1:-1]:
            layers = net.module.get_submodule(part.name)
            assert part.multiply_adds == multiply_adds(layers, *part.input[1:])
            assert part.parameters == count_parameters(layers)
        return total

    def test_follow_the_size_that_the_network_sees(self, make_imagenet: Callable[[str], Net]) -> None:
        small, whole = (
            sum(p.multiply_adds for p in architecture(n)) for n in (make_imagenet("resnet18"), blueprint("resnet18"))
        )
        assert small == pytest.approx(whole * (64 / 224) ** 2, rel=0.01)


class TestLeavesAlone:
    def test_the_network(self, make_cifar: MakeCifar, count_hooks: Callable[[nn.Module], int]) -> None:
        net = make_cifar("B")
        before = {name: tensor.clone() for name, tensor in net.module.state_dict().items()}
        architecture(net)
        assert count_hooks(net.module) == 0
        assert net.device.type == "cpu"
        assert all(torch.equal(tensor, before[name]) for name, tensor in net.module.state_dict().items())

    def test_other_networks_that_run_at_the_same_time(self, make_cifar: MakeCifar, monkeypatch: pytest.MonkeyPatch) -> None:
        """Torch's own module tracker would hook the modules of every thread."""
        hooked: list[object] = []
        for place in ("register_module_forward_pre_hook", "register_module_forward_hook"):
            monkeypatch.setattr(f"torch.utils.module_tracker.{place}", hooked.append)
        architecture(make_cifar("A"))
        assert hooked == []

    def test_counts_are_the_same_while_others_compute(self, make_cifar: MakeCifar) -> None:
        net, other = make_cifar("A"), make_cifar("B", 14)
        expected, stop = architecture(net), threading.Event()

        def compute() -> None:
            while not stop.is_set():
                other.module(torch.zeros(1, 3, 32, 32))

        thread = threading.Thread(target=compute)
        thread.start()
        try:
            assert all(architecture(net) == expected for _ in range(5))
        finally:
            stop.set()
            thread.join()


class TestBlueprint:
    @pytest.mark.parametrize("name", ["resnet20-cifar10", "plain56-cifar10", "resnet50"])
    def test_is_the_network_without_its_weights(self, name: str) -> None:
        drawn, loaded = blueprint(name), load(name, weights=None, device="cpu")
        assert all(tensor.is_meta for tensor in drawn.module.state_dict().values())
        shapes = [{key: t.shape for key, t in net.module.state_dict().items()} for net in (drawn, loaded)]
        assert shapes[0] == shapes[1]
        assert (drawn.title, drawn.labels, drawn.preprocessing) == (loaded.title, loaded.labels, loaded.preprocessing)
        assert not drawn.weights.trained
        assert architecture(drawn) == architecture(loaded)

    def test_of_an_unknown_name(self) -> None:
        with pytest.raises(ValueError, match="there is no model 'resnet19'"):
            blueprint("resnet19")


def test_published_figures_are_torchvisions() -> None:
    figures = published("resnet50")
    # https://docs.pytorch.org/vision/stable/models/generated/torchvision.models.resnet50.html
    assert figures.weights == "IMAGENET1K_V2"
    assert (figures.top1, figures.top5) == pytest.approx((0.80858, 0.95434))
    assert figures.multiply_adds == pytest.approx(4.089e9)
    assert figures.recipe.startswith("https://github.com/pytorch/vision/")
