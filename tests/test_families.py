"""The families beside the ResNets: records against the networks themselves, titles, seeded weights, and the stock modules."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import get_model

from resnet_viz.nets.blocks import blocks_of
from resnet_viz.nets.families import timm, torchvision
from resnet_viz.nets.families.__main__ import record_of
from resnet_viz.nets.families.records import read_records, resnet_records, torchvision_records, write_records
from resnet_viz.nets.families.seeded import build_seeded
from resnet_viz.nets.net import WeightsError
from resnet_viz.nets.official import best_weights, weights_file
from resnet_viz.nets.outlines import block_names, layers_are_centred, outline, parts
from resnet_viz.nets.zoo import blueprint, describe, list_models, load
from tests.weights_server import publish, saved

# One of each family, small enough for every run; the others are for `make test-networks`.
SMALL = ("convnext_tiny", "efficientnet_b0", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_y_400mf", "swin_t")
OTHERS = [name for name in torchvision.names() if name not in SMALL]
ALL = [*SMALL, *(pytest.param(name, marks=pytest.mark.networks) for name in OTHERS)]
BLOCKS = {
    "convnext_tiny": 18,
    "efficientnet_b0": 9,
    "efficientnet_v2_s": 35,
    "mnasnet1_0": 10,
    "mobilenet_v2": 10,
    "mobilenet_v3_small": 6,
    "regnet_y_400mf": 16,
    "swin_t": 24,
    "swin_v2_t": 24,
    "vit_b_16": 24,
}


class TestRecords:
    def test_every_residual_classifier_of_torchvision_has_one(self) -> None:
        counts = dict.fromkeys(torchvision.FAMILIES.values(), 0)
        for name in torchvision.names():
            counts[torchvision.family_of(name)] += 1
        assert counts == {
            "ConvNeXt": 4, "EfficientNet": 8, "EfficientNetV2": 3, "MNASNet": 4, "MaxViT": 1, "MobileNetV2": 1,
            "MobileNetV3": 2, "RegNetX": 7, "RegNetY": 8, "Swin": 3, "Swin V2": 3, "ViT": 5,
        }  # fmt: skip

    @pytest.mark.parametrize("name", torchvision.names())
    def test_parts_add_up_to_what_torchvision_publishes(self, name: str) -> None:
        """Parameters exactly; multiply-adds up to 0.4%, which Swin V2 spends on position biases that no image changes."""
        found, meta = torchvision_records()[name].parts, best_weights(name).meta
        assert sum(part.parameters for part in found) == meta["num_params"]
        assert sum(part.multiply_adds for part in found) / 1e9 == pytest.approx(meta["_ops"], abs=0.001, rel=0.004)
        assert found[0].input == (3, torchvision.crop_of(name), torchvision.crop_of(name))
        assert found[-1].output == (1000,)

    @pytest.mark.parametrize("name", BLOCKS)
    def test_blocks_are_as_many_as_the_papers_say(self, name: str) -> None:
        assert len(torchvision_records()[name].blocks) == BLOCKS[name] == describe(name).blocks

    @pytest.mark.parametrize("name", ["mnasnet0_5", *(pytest.param(n, marks=pytest.mark.networks) for n in [*SMALL, *OTHERS])])
    def test_are_what_is_found_in_the_network(self, name: str) -> None:
        assert record_of(blueprint(name)) == torchvision_records()[name]

    @pytest.mark.parametrize("name", resnet_records())
    def test_those_of_resnets_are_what_is_found_in_the_network(self, name: str) -> None:
        assert record_of(blueprint(name)) == resnet_records()[name]

    def test_every_network_of_the_list_has_one(self) -> None:
        listed = {info.name for info in list_models() if not timm.is_name(info.name)}
        assert {*resnet_records(), *torchvision_records()} == listed

    def test_are_read_as_they_were_written(self, tmp_path: Path) -> None:
        file = tmp_path / "records.json"
        some = {name: torchvision_records()[name] for name in SMALL}
        write_records(file, some)
        assert read_records(file) == some


class TestWhatPagesAsk:
    def test_no_network_is_built_for_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("a network was built")

        monkeypatch.setattr(nn.Conv2d, "__init__", refuse)
        for name, found in resnet_records().items():
            assert block_names(name) == found.blocks
            assert parts(name) == found.parts
            assert layers_are_centred(name)
            assert (len(outline(name).labels),) == found.parts[-1].output
            assert (describe(name).blocks, describe(name).params) == (len(found.blocks), found.parameters)
        for name in torchvision.names():
            known = outline(name)
            assert (known.labels[281], known.preprocessing.crop) == ("tabby", torchvision.crop_of(name))
            assert block_names(name) == torchvision_records()[name].blocks
            assert parts(name)[0].name == "stem"
        assert len(list_models()) >= 34 + len(torchvision.names())

    @pytest.mark.parametrize(
        ("name", "title"),
        [
            ("convnext_tiny", "ConvNeXt-Tiny"),
            ("efficientnet_b0", "EfficientNet-B0"),
            ("efficientnet_v2_s", "EfficientNetV2-S"),
            ("maxvit_t", "MaxViT-T"),
            ("mnasnet0_75", "MNASNet 0.75"),
            ("mobilenet_v2", "MobileNetV2"),
            ("mobilenet_v3_large", "MobileNetV3-Large"),
            ("regnet_x_1_6gf", "RegNetX-1.6GF"),
            ("regnet_y_128gf", "RegNetY-128GF"),
            ("swin_v2_b", "Swin V2-B"),
            ("vit_h_14", "ViT-H/14"),
        ],
    )
    def test_titles_are_the_papers(self, name: str, title: str) -> None:
        assert describe(name).title == title

    def test_families_stand_together(self) -> None:
        families = [info.family for info in list_models() if not info.here]
        assert families == sorted(families, key=families.index)
        assert {"ResNet", "ResNeXt", "Wide ResNet", "Swin V2"} <= set(families)


class TestNetworks:
    @pytest.mark.parametrize("name", ALL)
    def test_logits_and_gradients_are_the_stock_modules(self, name: str) -> None:
        net = load(name, weights=None, device="cpu", seed=3)
        size = {"image_size": net.preprocessing.crop} if name.startswith("vit_") else {}
        stock = get_model(name, weights=None, **size).eval()
        copy_numbers(net.module, stock)
        pixels = torch.randn(1, 3, net.preprocessing.crop, net.preprocessing.crop, generator=torch.Generator().manual_seed(1))
        for ours, theirs in zip(result_of(net.module, pixels), result_of(stock, pixels), strict=True):
            assert torch.equal(ours, theirs)
        assert tuple(blocks_of(net.module)) == block_names(name)

    def test_the_seed_decides_whatever_others_draw(self, global_noise: None) -> None:
        del global_noise
        first, again, other = (load("regnet_y_400mf", weights=None, device="cpu", seed=seed) for seed in (1, 1, 2))
        states = [net.module.state_dict() for net in (first, again, other)]
        assert all(torch.equal(values, states[1][name]) for name, values in states[0].items())
        assert not torch.equal(states[0]["fc.weight"], states[2]["fc.weight"])
        assert first.weights.note == "untrained: random weights, seed 1"


class TestOfficial:
    def test_a_file_that_is_here_is_loaded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RESNET_VIZ_WEIGHTS_DIR", str(tmp_path))
        trained = get_model("mobilenet_v3_small", weights=None)
        content = saved(trained.state_dict())
        weights_file(publish(monkeypatch, content)).write_bytes(content)
        net = load("mobilenet_v3_small", device="cpu")
        assert all(torch.equal(values, trained.state_dict()[name]) for name, values in net.module.state_dict().items())
        assert (net.weights.source, net.title) == ("official", "MobileNetV3-Small")
        assert not any(parameter.requires_grad for parameter in net.module.parameters())
        assert not any(layer.training for layer in net.module.modules())

    def test_another_networks_file_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RESNET_VIZ_WEIGHTS_DIR", str(tmp_path))
        content = saved({"fc.weight": torch.zeros(10, 64)})
        weights_file(publish(monkeypatch, content)).write_bytes(content)
        with pytest.raises(WeightsError, match="is damaged or is not the file of ConvNeXt-Tiny"):
            load("convnext_tiny", device="cpu")


class TestSeeded:
    @pytest.mark.parametrize(
        "draw",
        [
            lambda: torch.randn(4),
            lambda: torch.rand(4),
            lambda: torch.empty(4).normal_(),
            lambda: nn.init.trunc_normal_(torch.empty(4)),
            lambda: torch.bernoulli(torch.full((64,), 0.5)),
            lambda: torch.randperm(64),
            lambda: torch.randint(1000, (4,)),
        ],
        ids=["randn", "rand", "normal_", "trunc_normal_", "bernoulli", "randperm", "randint"],
    )
    def test_every_way_to_draw(self, draw: Callable[[], Tensor]) -> None:
        def build() -> nn.Module:
            module = nn.Module()
            module.register_buffer("drawn", draw())
            return module

        before = torch.get_rng_state()
        first, again, other = (build_seeded(build, seed).get_buffer("drawn") for seed in (1, 1, 2))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        assert torch.equal(torch.get_rng_state(), before)

    def test_other_threads_draw_from_their_own(self) -> None:
        torch.manual_seed(5)
        expected = torch.rand(3)
        torch.manual_seed(5)
        found: list[Tensor] = []

        def build() -> nn.Module:
            thread = threading.Thread(target=lambda: found.append(torch.rand(3)))
            thread.start()
            thread.join()
            return nn.Module()

        build_seeded(build, 0)
        assert torch.equal(found[0], expected)


def copy_numbers(module: nn.Module, stock: nn.Module) -> None:
    """Not by `load_state_dict`: MNASNet takes the version of a state dict for that of its architecture."""
    places = stock.state_dict()
    for name, values in module.state_dict().items():
        places[name].copy_(values)


def result_of(module: nn.Module, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """The logits, and the gradient of the sum of their squares at the input."""
    x = pixels.clone().requires_grad_()
    logits = module(x)
    return logits.detach(), torch.autograd.grad(logits.square().sum(), x)[0]
