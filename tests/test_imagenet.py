"""The ten ImageNet networks against torchvision's own."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from resnet_viz.nets.blocks import blocks_of
from resnet_viz.nets.imagenet import ARCHITECTURES, build, skeleton
from resnet_viz.nets.zoo import blueprint

NAMES = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "wide_resnet50_2",
    "wide_resnet101_2",
)


def stock_on_meta(name: str) -> nn.Module:
    with torch.device("meta"):
        stock: nn.Module = torchvision.models.get_model(name, weights=None)
    return stock


def random_state(module: nn.Module, seed: int) -> dict[str, Tensor]:
    """Random weights and statistics of a size that keeps the maps finite through 152 layers, cut from one pool to be quick."""
    generator = torch.Generator().manual_seed(seed)
    pool = torch.randn(1 << 20, generator=generator)
    state = {}
    for name, values in module.state_dict().items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
            continue
        start = int(torch.randint(1 << 19, (), generator=generator))
        noise = pool[start : start + (1 << 19)]
        drawn = noise.repeat(-(-values.numel() // len(noise)))[: values.numel()].view(values.shape)
        if values.ndim == 4:
            drawn = drawn * (2 / values[0].numel()) ** 0.5
        elif name.endswith("running_var"):
            drawn = 1 + drawn.abs()
        elif name.endswith("weight") and values.ndim == 1:
            drawn = 0.5 + 0.1 * drawn
        else:
            drawn = 0.1 * drawn
        state[name] = drawn.contiguous()
    return state


def test_all_of_torchvisions_resnets_are_there() -> None:
    theirs = {name for name in torchvision.models.list_models() if name.startswith(("resnet", "resnext", "wide_resnet"))}
    assert set(ARCHITECTURES) == theirs == set(NAMES)


class TestAgainstTorchvision:
    @pytest.mark.parametrize("name", NAMES)
    def test_weights_load_strictly_and_logits_are_bitwise_equal(self, name: str) -> None:
        stock, ours = stock_on_meta(name).eval(), blueprint(name).module
        state = random_state(stock, seed=len(name))
        stock.load_state_dict(state, strict=True, assign=True)
        ours.load_state_dict(state, strict=True, assign=True)
        x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            expected, logits = stock(x), ours(x)
        assert expected.isfinite().all()
        assert expected.std() > 0.01
        assert not torch.equal(expected[0], expected[1])
        assert torch.equal(logits, expected)

    @pytest.mark.parametrize("name", ["resnet18", "resnet50"])
    @pytest.mark.parametrize("size", [(33, 47), (1, 1)], ids=["33x47", "1x1"])
    def test_odd_sizes_too(self, name: str, size: tuple[int, int]) -> None:
        stock, ours = stock_on_meta(name).eval(), blueprint(name).module
        state = random_state(stock, seed=1)
        stock.load_state_dict(state, assign=True)
        ours.load_state_dict(state, assign=True)
        x = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            assert torch.equal(ours(x), stock(x))

    @pytest.mark.parametrize("name", NAMES)
    def test_parameters_and_blocks_are_counted_as_published(self, name: str) -> None:
        weights = torchvision.models.get_model_weights(name).DEFAULT
        net, arch = blueprint(name).module, ARCHITECTURES[name]
        assert sum(parameter.numel() for parameter in net.parameters()) == weights.meta["num_params"]
        layers = [
            layer
            for layer_name, layer in net.named_modules()
            if isinstance(layer, nn.Conv2d | nn.Linear) and "downsample" not in layer_name
        ]
        assert len(layers) == arch.depth
        stages = [sum(block.startswith(f"layer{stage}.") for block in blocks_of(net)) for stage in (1, 2, 3, 4)]
        assert tuple(stages) == arch.blocks


class TestStructure:
    @pytest.mark.parametrize("name", NAMES)
    def test_every_block_has_every_place(self, name: str) -> None:
        expected = ["fork", "residual", "shortcut", "sum", "output"]
        for block_name, block in blueprint(name).blocks.items():
            assert list(dict(block.named_children())) == expected, block_name

    @pytest.mark.parametrize("name", NAMES)
    def test_no_relu_is_shared_or_in_place(self, name: str) -> None:
        net = blueprint(name).module
        calls = dict.fromkeys((place for place, layer in net.named_modules() if isinstance(layer, nn.ReLU)), 0)
        for place in calls:
            relu = net.get_submodule(place)
            assert isinstance(relu, nn.ReLU)
            assert not relu.inplace, place
            relu.register_forward_hook(lambda *_, place=place: calls.update({place: calls[place] + 1}))
        net(torch.empty(1, 3, 64, 64, device="meta"))
        a_block = 3 if ARCHITECTURES[name].block is torchvision.models.resnet.Bottleneck else 2
        assert list(calls.values()) == [1] * (1 + a_block * sum(ARCHITECTURES[name].blocks))

    @pytest.mark.parametrize("name", ["resnet18", "resnet50"])
    def test_projections_stand_where_shapes_change(self, name: str) -> None:
        kinds = {block_name: block.shortcut_kind for block_name, block in blueprint(name).blocks.items()}
        firsts = {"layer2.0", "layer3.0", "layer4.0"} | ({"layer1.0"} if name == "resnet50" else set())
        assert {block_name for block_name, kind in kinds.items() if kind == "projection"} == firsts
        assert {kind for block_name, kind in kinds.items() if block_name not in firsts} == {"identity"}

    @pytest.mark.parametrize("make", [skeleton, build])
    def test_unknown_names_raise(self, make: Callable[[str], nn.Module]) -> None:
        with pytest.raises(KeyError, match="resnet19"):
            make("resnet19")

    def test_number_of_classes(self) -> None:
        assert build("resnet18", classes=5).eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 5)

    def test_a_skeleton_takes_no_memory(self) -> None:
        net = skeleton("resnet50")
        assert {tensor.device.type for tensor in net.state_dict().values()} == {"meta"}


class TestSeed:
    @pytest.mark.usefixtures("global_noise")
    def test_a_seed_gives_one_network_while_other_threads_draw(self) -> None:
        expected = build("resnet18", seed=5).state_dict()
        for name, values in build("resnet18", seed=5).state_dict().items():
            assert torch.equal(values, expected[name]), name

    def test_seeds_differ(self) -> None:
        first, second = build("resnet18", seed=0).state_dict(), build("resnet18", seed=1).state_dict()
        for name, values in first.items():
            if values.ndim == 4 or name.startswith("fc"):
                assert not torch.equal(values, second[name]), name

    def test_nothing_is_left_unset(self) -> None:
        """Memory that is handed out unset would differ from what torchvision's own start has in its batch norms."""
        ours: dict[str, Any] = build("resnet18").state_dict()
        stock = torchvision.models.resnet18(weights=None).state_dict()
        for name, values in stock.items():
            if ".bn" in name or name.startswith("bn") or "downsample.1" in name:
                assert torch.equal(ours[name], values), name
            else:
                # Both are drawn after equation 15, or uniformly in +-1/sqrt(inputs).
                assert ours[name].std().item() == pytest.approx(values.std().item(), rel=0.1), name

    def test_the_global_generator_is_left_alone(self) -> None:
        before = torch.get_rng_state()
        build("resnet18")
        assert torch.equal(torch.get_rng_state(), before)
