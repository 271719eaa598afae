"""Checkpoints as people have them, a case for each kind: opened with their own logits."""

import argparse
import datetime as dt
import io
import pickle
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn
from torchvision.models import resnet as torchvision_resnet

import resnet_viz as rv
from resnet_viz.nets.checkpoints.loading import read_checkpoint
from tests.checkpoint_networks import Network, Ways, lived_in

State = dict[str, Tensor]
SMALL = "CIFAR ResNet-8 B of 0.5 times the width"


def saved(content: object, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


@cache
def noise(channels: int = 3, size: int = 32) -> Tensor:
    return torch.randn(4, channels, size, size, generator=torch.Generator().manual_seed(1))


@cache
def small() -> nn.Module:
    return lived_in(Network(), noise())


def state() -> State:
    return dict(small().state_dict())


def renamed(content: State, *pairs: tuple[str, str]) -> State:
    found = {}
    for name, tensor in content.items():
        for pattern, replacement in pairs:
            name = re.sub(pattern, replacement, name)  # noqa: PLW2901 - each pattern works on what the last one left
        found[name] = tensor
    return found


def flat_blocks(content: State) -> State:
    return renamed(content, (r"^layer(\d)\.0\.", lambda m: f"blocks.{int(m[1]) - 1}."))  # type: ignore[arg-type]


def assert_same(data: bytes, reference: nn.Module, architecture: str, x: Tensor | None = None) -> rv.Net:
    net = rv.load_checkpoint(data, architecture=architecture, device="cpu")
    x = noise() if x is None else x
    with torch.no_grad():
        assert torch.allclose(net.module(x), reference(x), rtol=1e-4, atol=1e-4)
    return net


# What the layers of an ordinary network are called, in public code and beyond it.
NAMES: dict[str, Callable[[State], State]] = {
    "underscores": lambda s: renamed(
        s, (r"\.conv(\d)", r".conv_\1"), (r"\.bn(\d)", r".batch_norm_\1"), (r"^layer(\d)", r"stage_\1"), (r"^conv1", "conv_1")
    ),
    "layers of 2n": lambda s: renamed(s, (r"^layer(\d)", r"layers_2n.\1"), (r"^fc", "fc_out"), (r"^conv1", "conv_in")),
    "sequences": lambda s: renamed(
        s,
        (r"\.conv(\d)\.", r".conv_bn_relu\1.0."),
        (r"\.bn(\d)\.", r".conv_bn_relu\1.1."),
        (r"downsample", "down_sampler"),
        (r"^layer", "group"),
    ),
    "flat blocks": flat_blocks,
    "identity_downsample": lambda s: renamed(s, (r"\.downsample\.", ".identity_downsample."), (r"\.bn(\d)", r".norm\1")),
    "skip": lambda s: renamed(s, (r"\.downsample\.0", ".skip"), (r"\.downsample\.1", ".skip_bn"), (r"^layer(\d)\.0", r"b\1")),
    "numbers alone": lambda s: renamed(
        s,
        (r"^conv1", "0"),
        (r"^bn1", "1"),
        (r"^layer(\d)", lambda m: str(int(m[1]) + 3)),  # type: ignore[arg-type]
        (r"^fc", "9"),
    ),
}


@pytest.mark.parametrize("case", NAMES)
@pytest.mark.parametrize("save", [saved, save_safetensors])
def test_a_network_is_found_whatever_its_layers_are_called(case: str, save: Callable[[State], bytes]) -> None:
    content = {name: tensor for name, tensor in NAMES[case](state()).items() if "num_batches" not in name}
    assert_same(save(content), small(), SMALL)


def head(*layers: nn.Module) -> nn.Module:
    net = lived_in(Network(), noise())
    net.fc = nn.Sequential(*layers)
    for layer in layers:
        if isinstance(layer, nn.BatchNorm1d):
            layer.momentum = 1.0
    with torch.no_grad():
        net.fc.train()(torch.randn(8, 32, generator=torch.Generator().manual_seed(3)))
    return net.eval()


HEADS: dict[str, Callable[[], nn.Module]] = {
    "two layers": lambda: head(nn.Linear(32, 12), nn.ReLU(), nn.Dropout(), nn.Linear(12, 5)),
    "a norm between": lambda: head(nn.Linear(32, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 5)),
    "a norm first": lambda: head(nn.BatchNorm1d(32), nn.Dropout(), nn.Linear(32, 5)),
    "without a bias": lambda: head(nn.Linear(32, 12), nn.ReLU(), nn.Linear(12, 5, bias=False)),
}


@pytest.mark.parametrize("name", ["fc", "projection_head", "head"])
@pytest.mark.parametrize("case", HEADS)
def test_heads_of_several_layers_are_opened(case: str, name: str) -> None:
    reference = HEADS[case]()
    net = assert_same(saved(renamed(dict(reference.state_dict()), (r"^fc\.", f"{name}."))), reference, SMALL)
    assert any("head has several layers" in note for note in net.notes)


def test_a_network_without_a_head_shows_its_blocks_and_says_why_it_has_no_classes() -> None:
    content = {name: tensor for name, tensor in state().items() if not name.startswith("fc")}
    net = rv.load_checkpoint(saved(content), architecture=SMALL, device="cpu")
    assert net.labels[:2] == ("channel 0", "channel 1")
    assert any("has no classification layer" in note for note in net.notes)
    result = rv.inspect(net, rv.open_image("assets/samples/cifar-cat.jpg"), target=3)
    assert len(result.blocks) == 3


def test_children_of_a_network_in_a_sequence_are_the_network() -> None:
    reference = lived_in(torchvision_resnet.ResNet(torchvision_resnet.BasicBlock, [1, 1, 1, 1]), noise(size=64))
    backbone = nn.Sequential(*list(reference.children())[:-1])
    net = rv.load_checkpoint(saved(backbone.state_dict()), architecture="ResNet-10", device="cpu")
    with torch.no_grad():
        assert torch.allclose(net.module(noise(size=64)), backbone(noise(size=64)).flatten(1), atol=1e-4)


def test_stems_of_several_layers_and_pooled_shortcuts_are_opened() -> None:
    """ResNet-D of timm: a stem of three convolutions, an average pool before every projection."""
    torch.manual_seed(0)
    block: Any = timm.models.resnet.Bottleneck
    reference = timm.models.resnet.ResNet(block, (1, 1, 1, 1), num_classes=5, stem_type="deep", stem_width=32, avg_down=True)
    lived_in(reference, noise(size=64))
    name = "ResNet-14, deep stem, average pool before the projection"
    assert_same(saved(reference.state_dict()), reference, name, noise(size=64))


def test_a_network_of_grey_images_turns_colour_grey() -> None:
    reference = lived_in(Network(channels=1), noise(1))
    net = rv.load_checkpoint(saved(reference.state_dict()), architecture=SMALL, device="cpu")
    grey = noise(1).expand(-1, 3, -1, -1)
    with torch.no_grad():
        assert torch.allclose(net.module(grey), reference(noise(1)), rtol=1e-4, atol=1e-4)
    assert net.preprocessing.mean[0] == net.preprocessing.mean[2]


@pytest.mark.parametrize("channels", [2, 4, 6, 13])
def test_images_of_more_channels_are_refused_with_a_sentence(channels: int) -> None:
    with pytest.raises(rv.CheckpointError, match=f"takes images of {channels} channels"):
        rv.load_checkpoint(saved(Network(channels=channels).state_dict()))


@pytest.mark.parametrize(("width", "title"), [(32, " of 2 times the width"), (64, " of 4 times the width"), (16, "")])
def test_other_widths_are_opened(width: int, title: str) -> None:
    reference = lived_in(Network(width=width), noise())
    assert_same(saved(reference.state_dict()), reference, f"CIFAR ResNet-8 B{title}")


def test_bottlenecks_of_cifar_are_opened() -> None:
    reference = lived_in(Network(Ways(), bottleneck=True), noise())
    title = read_checkpoint(saved(reference.state_dict())).layout.title
    assert title.startswith("CIFAR ResNet-11 of bottlenecks")
    assert_same(saved(reference.state_dict()), reference, title)


class Foreign:
    """A class that the reader has never heard of."""

    def __init__(self) -> None:
        self.path, self.when = Path("a"), dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


BESIDE: dict[str, Callable[[], bytes]] = {
    "objects": lambda: saved(
        {
            "model": state(),
            "args": argparse.Namespace(lr=np.float64(0.1), out=Path("runs")),
            "best": np.float32(0.9),
            "curve": np.arange(3),
            "other": Foreign(),
            "optimizer": torch.optim.SGD(small().parameters(), 0.1),
        }
    ),
    "a whole module": lambda: saved(small()),
    "protocol 4": lambda: saved(state(), pickle_protocol=4),
    "protocol 5": lambda: saved(state(), pickle_protocol=5),
    "before 1.6": lambda: saved(state(), _use_new_zipfile_serialization=False),
    "arrays": lambda: pickle.dumps({name: tensor.numpy() for name, tensor in state().items()}),
}


@pytest.mark.parametrize("case", BESIDE)
def test_what_stands_beside_the_tensors_keeps_nobody_out(case: str) -> None:
    assert_same(BESIDE[case](), small(), SMALL)


def test_a_loss_beside_the_network_is_ignored_and_that_is_said() -> None:
    net = assert_same(saved({"state_dict": state() | {"criterion.weight": torch.ones(5)}}), small(), SMALL)
    assert any("criterion.weight" in note for note in net.notes)


def test_of_a_network_and_its_average_the_net_says_which_it_is() -> None:
    net = assert_same(saved({"model": state(), "model_ema": lived_in(Network(), noise(), 3).state_dict()}), small(), SMALL)
    assert any("was read from model" in note and "part='model_ema'" in note for note in net.notes)


class PreActivation(nn.Module):
    """The block of public pre-activation and Wide ResNets: a projection reads what the first activation returns."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(outputs), nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False)) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn1(x).relu()
        identity = x if self.shortcut is None else self.shortcut(out)
        return self.conv2(self.bn2(self.conv1(out)).relu()) + identity


class Padded(PreActivation):
    """Zeros for the channels that its input does not have, in place of a projection."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(inputs, outputs, stride)
        self.shortcut, self.stride, self.extra = None, stride, outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        margin = (0, 0, 0, 0, self.extra // 2, self.extra - self.extra // 2)
        identity = nn.functional.pad(x[:, :, :: self.stride, :: self.stride], margin)
        return self.conv2(self.bn2(self.conv1(self.bn1(x).relu())).relu()) + identity


class Wide(nn.Module):
    """A Wide ResNet of two blocks a stage, with or without the norm at its end."""

    def __init__(self, *, last_norm: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
        for stage, (inputs, outputs) in enumerate(((8, 16), (16, 32), (32, 64)), 1):
            blocks = PreActivation(inputs, outputs, 1 if stage == 1 else 2), PreActivation(outputs, outputs, 1)
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.bn = nn.BatchNorm2d(64) if last_norm else None
        self.linear = nn.Linear(64, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        for stage in (1, 2, 3):
            x = self.get_submodule(f"layer{stage}")(x)
        if self.bn is not None:
            x = self.bn(x).relu()
        return self.linear(x.mean((2, 3)))


WIDE: dict[str, Callable[[State], State]] = {
    "as written": lambda s: s,
    "blocks and layers": lambda s: renamed(
        s,
        (r"^layer(\d)\.(\d)", r"block\1.layer.\2"),
        (r"\.shortcut\.0", ".convShortcut"),
        (r"^bn\.", "bn1."),
        (r"^linear", "fc"),
    ),
    "unknown names": lambda s: renamed(
        s,
        (r"^layer(\d)\.(\d)", lambda m: f"body.{2 * int(m[1]) + int(m[2]) - 2}"),  # type: ignore[arg-type]
        (r"\.conv(\d)", r".c\1"),
        (r"\.bn(\d)", r".n\1"),
        (r"\.shortcut\.0", ".pass"),
        (r"^bn\.", "final."),
        (r"^conv1", "enter"),
        (r"^linear", "decide"),
    ),
    "paths in sequences": lambda s: renamed(
        s,
        (r"^layer(\d)\.(\d)", r"group\1.unit\2"),
        (r"\.bn1", ".path.0"),
        (r"\.conv1", ".path.2"),
        (r"\.bn2", ".path.3"),
        (r"\.conv2", ".path.5"),
        (r"\.shortcut\.0", ".skip"),
        (r"^conv1", "enter"),
    ),
}


@pytest.mark.parametrize("case", WIDE)
@pytest.mark.parametrize("last_norm", [True, False])
def test_wide_and_pre_activation_networks_are_opened(case: str, last_norm: bool) -> None:  # noqa: FBT001 - a parameter
    reference = lived_in(Wide(last_norm=last_norm), noise())
    data = saved(WIDE[case](dict(reference.state_dict())))
    title = read_checkpoint(data).layout.title
    assert "with pre-activation" in title
    net = assert_same(data, reference, title)
    result = rv.inspect(net, rv.open_image("assets/samples/cifar-cat.jpg"))
    assert all(block.maps is not None and block.maps.error == 0 for block in result.blocks)


class Squeezed(nn.Module):
    """Squeeze and excitation as a module of linear layers, behind the last norm of a block."""

    def __init__(self, norm: nn.Module, channels: int) -> None:
        super().__init__()
        self.norm, self.fc = (
            norm,
            nn.Sequential(nn.Linear(channels, 4, bias=False), nn.ReLU(), nn.Linear(4, channels, bias=False)),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        return x * self.fc(x.mean((2, 3))).sigmoid()[:, :, None, None]


def test_squeeze_and_excitation_is_opened() -> None:
    reference = Network()
    for stage, channels in enumerate((8, 16, 32), 1):
        block = reference.get_submodule(f"layer{stage}.0")
        block.bn2 = Squeezed(block.get_submodule("bn2"), channels)
    lived_in(reference, noise())
    content = renamed(dict(reference.state_dict()), (r"\.bn2\.norm\.", ".bn2."), (r"\.bn2\.fc\.", ".se.fc."))
    title = read_checkpoint(saved(content)).layout.title
    assert "with squeeze and excitation" in title
    assert_same(saved(content), reference, title)


class SqueezedByConvolutions(nn.Module):
    """Squeeze and excitation as 1x1 convolutions with biases, behind the last norm of a block."""

    def __init__(self, norm: nn.Module, channels: int) -> None:
        super().__init__()
        self.norm, self.down, self.up = norm, nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        return x * self.up(self.down(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


@pytest.mark.parametrize("make", [Squeezed, SqueezedByConvolutions])
@pytest.mark.parametrize("save", [saved, save_safetensors])
def test_squeeze_and_excitation_under_unknown_names_is_opened(make: type[nn.Module], save: Callable[[State], bytes]) -> None:
    reference = Network(bottleneck=True)
    for stage, channels in enumerate((32, 64, 128), 1):
        block = reference.get_submodule(f"layer{stage}.0")
        block.bn3 = make(block.get_submodule("bn3"), channels)
    lived_in(reference, noise())
    content = renamed(
        dict(reference.state_dict()),
        (r"^layer(\d)\.0", r"units.\1"),
        (r"\.bn3\.(fc|down|up)\.", r".attention.\1."),
        (r"\.bn3\.norm\.", ".n3."),
        (r"\.bn(\d)", r".n\1"),
        (r"\.conv(\d)", r".c\1"),
        (r"downsample\.0", "skip"),
        (r"downsample\.1", "skip_norm"),
        (r"^conv1", "enter"),
        (r"^bn1", "enter_norm"),
    )
    data = save({name: tensor for name, tensor in content.items() if "num_batches" not in name})
    title = read_checkpoint(data).layout.title
    assert "of bottlenecks with squeeze and excitation" in title
    assert_same(data, reference, title)


def test_pre_activation_with_zeros_for_channels_is_not_taken_for_the_usual_order() -> None:
    """Without projections there are as many norms as convolutions, and only where they stand tells which belongs to which."""
    reference = Wide(last_norm=True)
    for stage in (1, 2, 3):
        stage_module = reference.get_submodule(f"layer{stage}")
        assert isinstance(stage_module, nn.Sequential)
        stage_module[0] = Padded(8 * 2 ** (stage - 1), 8 * 2**stage, 1 if stage == 1 else 2)
    lived_in(reference, noise())
    content = WIDE["unknown names"](dict(reference.state_dict()))
    title = read_checkpoint(saved(content)).layout.title
    assert "with pre-activation" in title
    assert_same(saved(content), reference, f"{title}, zero-pad, padding of the block's input")


def with_norms(make: Callable[[int], nn.Module]) -> nn.Module:
    reference = lived_in(Network(), noise())
    for module in list(reference.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, make(child.num_features))
    return reference.eval()


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "GroupNorm of 4 groups": lambda channels: nn.GroupNorm(4, channels),
    "GroupNorm of 1 group": lambda channels: nn.GroupNorm(1, channels),
    "norms without running statistics": lambda channels: nn.BatchNorm2d(channels, track_running_stats=False),
}


@pytest.mark.parametrize("case", NORMS)
def test_other_norms_are_opened_once_their_kind_is_said(case: str) -> None:
    reference = with_norms(NORMS[case])
    with pytest.raises(rv.CheckpointError, match="no statistics of training images") as caught:
        rv.load_checkpoint(saved(reference.state_dict()))
    assert any(name.endswith(case) for name in caught.value.candidates)
    assert_same(saved(reference.state_dict()), reference, case, noise()[:1])
