"""Checkpoints of any origin: every naming convention gives the same logits, and every refusal is a sentence."""

import io
import os
import pickle
import re
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

import resnet_viz as rv
from resnet_viz.nets.checkpoints import reading
from resnet_viz.nets.checkpoints.layouts import find_layout
from resnet_viz.nets.checkpoints.loading import read_checkpoint
from resnet_viz.nets.cifar import CifarResNet, ShortcutOption
from resnet_viz.nets.imagenet import ARCHITECTURES
from resnet_viz.nets.layers import ZeroPad
from resnet_viz.nets.preprocessing import Preprocessing

State = dict[str, Tensor]
SAMPLES = Path(__file__).parents[1] / "assets" / "samples"


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@cache
def stock(name: str = "resnet18", classes: int = 7) -> nn.Module:
    torch.manual_seed(0)
    net: nn.Module = torchvision.models.get_model(name, num_classes=classes)
    lived_in(net, torch.randn(4, 3, 64, 64))
    return net


def lived_in(net: nn.Module, images: Tensor) -> None:
    """Give the batch norms non-trivial statistics, as training does; leaves the network in evaluation mode."""
    norms = [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.1)
    with torch.no_grad():
        net.train()(images)
    net.eval()


@cache
def natural_images(size: int) -> Tensor:
    preprocessing = Preprocessing(size, size, (0.49, 0.48, 0.45), (0.25, 0.24, 0.26))
    return torch.cat([preprocessing.tensor(Image.open(path)) for path in sorted(SAMPLES.glob("*.jpg"))])


def trained_cifar(depth: int, shortcut: ShortcutOption, classes: int = 10) -> CifarResNet:
    net = CifarResNet(depth, shortcut, classes, seed=3)
    torch.manual_seed(0)
    lived_in(net, natural_images(32))
    return net


def renamed(state: State, *pairs: tuple[str, str]) -> State:
    found = {}
    for name, tensor in state.items():
        for pattern, replacement in pairs:
            name = re.sub(pattern, replacement, name)  # noqa: PLW2901 - each pattern works on what the last one left
        found[name] = tensor
    return found


def plus_one(pattern: str) -> Callable[[re.Match[str]], str]:
    return lambda match: pattern.format(*(int(group) + 1 for group in match.groups()))


def weiaicunzai(state: State) -> State:
    layers = {"conv1": 0, "bn1": 1, "conv2": 3, "bn2": 4, "conv3": 6, "bn3": 7}
    inside = [(rf"^(layer\d\.\d+)\.{name}\.", rf"\1.residual_function.{place}.") for name, place in layers.items()]
    found = renamed(state, *inside, (r"^conv1\.", "conv1.0."), (r"^bn1\.", "conv1.1."), ("downsample", "shortcut"))
    return {re.sub(r"^layer(\d)", plus_one("conv{}_x"), name): tensor for name, tensor in found.items()}


def huggingface(state: State) -> State:
    inside = [
        (rf"^layer(\d)\.(\d+)\.{kind}{i}\.", rf"layer\1.\2.layer.{i - 1}.{long}.")
        for kind, long in (("conv", "convolution"), ("bn", "normalization"))
        for i in (1, 2, 3)
    ]
    found = renamed(
        state,
        *inside,
        (r"downsample\.0", "shortcut.convolution"),
        (r"downsample\.1", "shortcut.normalization"),
        (r"^conv1\.", "resnet.embedder.embedder.convolution."),
        (r"^bn1\.", "resnet.embedder.embedder.normalization."),
        (r"^fc\.", "classifier.1."),
    )
    return {
        re.sub(r"^layer(\d)\.(\d+)", lambda m: f"resnet.encoder.stages.{int(m[1]) - 1}.layers.{m[2]}", name): tensor
        for name, tensor in found.items()
    }


HABITS: dict[str, Callable[[State], Any]] = {
    "torchvision": lambda state: state,
    "DataParallel": lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
    "compiled": lambda state: {f"_orig_mod.{name}": tensor for name, tensor in state.items()},
    "compiled in parallel": lambda state: {f"_orig_mod.module.{name}": tensor for name, tensor in state.items()},
    "kuangliu": lambda state: {
        "net": renamed(state, (r"^fc\.", "linear."), ("downsample", "shortcut")),
        "acc": 91.0,
        "epoch": 3,
    },
    "weiaicunzai": weiaicunzai,
    "hugging face": huggingface,
    "OpenMMLab": lambda state: {
        "meta": {"epoch": 3},
        "state_dict": renamed(state, (r"^(?=conv|bn|layer)", "backbone."), (r"^fc\.", "head.fc.")),
    },
    "Lightning": lambda state: {
        "state_dict": {f"model.{name}": t for name, t in state.items()},
        "pytorch-lightning_version": "2.4",
    },
    "dropout before the head": lambda state: renamed(state, (r"^fc\.", "fc.1.")),
    "optimiser beside it": lambda state: {
        "model_state_dict": state,
        "optimizer_state_dict": {"state": {0: {"momentum_buffer": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]},
        "best_acc1": torch.tensor(71.0),
    },
    "averaged": lambda state: {"n_averaged": torch.tensor(5)} | {f"module.{name}": tensor for name, tensor in state.items()},
    "only an average": lambda state: {"epoch": 3, "ema": {"module": state}},
    "profiled": lambda state: state | {"total_ops": torch.zeros(1), "layer1.0.conv1.total_params": torch.zeros(1)},
    "half precision": lambda state: {name: t.half() if t.is_floating_point() else t for name, t in state.items()},
    "without counters": lambda state: {name: t for name, t in state.items() if "num_batches" not in name},
}


def shapes(state: State) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}


BOTTLENECKS = ("torchvision", "weiaicunzai", "hugging face")


@pytest.mark.parametrize("habit", HABITS)
def test_every_naming_habit_gives_the_same_logits(habit: str) -> None:
    reference: nn.Module = trained_cifar(8, "B", classes=7)
    net = rv.load_checkpoint(saved(HABITS[habit](reference.state_dict())), architecture="CIFAR ResNet-8 B", device="cpu")
    if habit == "half precision":
        reference = reference.half().float()
    x = natural_images(32)
    with torch.no_grad():
        assert torch.equal(net.module(x), reference(x))
    assert len(net.labels) == 7
    assert net.weights.source == "checkpoint"


@pytest.mark.parametrize(("name", "habit"), [("resnet18", "kuangliu"), *[("resnet50", habit) for habit in BOTTLENECKS]])
def test_stock_networks_give_their_logits_by_any_name(name: str, habit: str) -> None:
    reference = stock(name)
    title = name.replace("resnet", "ResNet-")
    net = rv.load_checkpoint(saved(HABITS[habit](reference.state_dict())), architecture=title, device="cpu")
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(net.module(x), reference(x))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_each_of_the_ten_is_found_by_its_shapes(name: str) -> None:
    with torch.device("meta"):
        state: State = torchvision.models.get_model(name, num_classes=5).state_dict()
        layout = find_layout(shapes(state))
        module = layout.module()
    assert layout.title == ARCHITECTURES[name].title
    assert layout.classes == 5
    assert shapes(module.state_dict()) == shapes(state)


@pytest.mark.parametrize(("option", "name"), [("A", ", zero-pad"), ("plain", ", no shortcut"), ("B", " B"), ("C", " C")])
def test_cifar_networks_of_any_shortcut_are_found(option: ShortcutOption, name: str) -> None:
    reference = trained_cifar(8, option)
    checkpoint = read_checkpoint(save_safetensors(reference.state_dict()))
    found = checkpoint.layout.name(checkpoint.decide().chosen)
    assert found == f"CIFAR ResNet-8{name}"
    x = natural_images(32)
    with torch.no_grad():
        assert torch.equal(checkpoint.net(architecture=found, device="cpu").module(x), reference(x))


def test_zeros_that_stand_last_are_found_and_so_is_the_older_naming() -> None:
    reference = trained_cifar(8, "A")
    for stage in (reference.layer2, reference.layer3):
        assert isinstance(stage[0].downsample, ZeroPad)
        stage[0].downsample.before = 0
    torch.manual_seed(0)
    lived_in(reference, natural_images(32))
    pairs = ((r"^layer(\d)", r"stage_\1"), (r"^conv1\.", "conv_1_3x3."), (r"^bn1\.", "bn_1."), (r"^fc\.", "classifier."))
    inside = ((r"\.conv1\.", ".conv_a."), (r"\.bn1\.", ".bn_a."), (r"\.conv2\.", ".conv_b."), (r"\.bn2\.", ".bn_b."))
    checkpoint = read_checkpoint(saved({"state_dict": renamed(reference.state_dict(), *inside, *pairs)}))
    found = checkpoint.layout.name(checkpoint.decide().chosen)
    assert found == "CIFAR ResNet-8, zero-pad, zeros last"
    x = natural_images(32)
    with torch.no_grad():
        assert torch.equal(checkpoint.net(architecture=found, device="cpu").module(x), reference(x))


def test_blocks_that_count_from_one_are_found() -> None:
    reference = trained_cifar(14, "B")
    state = {
        re.sub(r"^layer(\d)\.(\d+)", lambda m: f"stage{m[1]}.block{int(m[2]) + 1}", name): tensor
        for name, tensor in reference.state_dict().items()
    }
    pairs = (r"^conv1\.", "conv."), (r"^bn1\.", "bn."), (r"downsample\.0", "shortcut.conv"), (r"downsample\.1", "shortcut.bn")
    net = rv.load_checkpoint(saved(renamed(state, *pairs)), architecture="CIFAR ResNet-14 B", device="cpu")
    x = natural_images(32)
    with torch.no_grad():
        assert torch.equal(net.module(x), reference(x))


@pytest.mark.parametrize(("pool", "name"), [(nn.Identity(), "3x3 stem"), (nn.MaxPool2d(3, 2, 1), "3x3 stem, max pool")])
def test_the_small_stem_is_found_with_and_without_its_max_pool(pool: nn.Module, name: str) -> None:
    torch.manual_seed(0)
    reference = torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=10)
    reference.conv1, reference.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), pool
    lived_in(reference, natural_images(32))
    checkpoint = read_checkpoint(saved(renamed(reference.state_dict(), (r"^fc\.", "linear."), ("downsample", "shortcut"))))
    found = checkpoint.layout.name(checkpoint.decide().chosen)
    assert found == f"ResNet-10, {name}"
    net = checkpoint.net(architecture=found, device="cpu")
    assert net.preprocessing.crop == 32
    x = natural_images(32)
    with torch.no_grad():
        assert torch.equal(net.module(x), reference(x))


def test_a_checkpoint_is_inspected_like_any_network(tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(saved(stock().state_dict()))
    plain = Preprocessing(64, 64, (0, 0, 0), (1, 1, 1))
    net = rv.load_checkpoint(path, labels=list("abcdefg"), preprocessing=plain, architecture="ResNet-18")
    result = rv.inspect(net, rv.open_image(SAMPLES / "cat-photo.jpg"))
    assert result.predictions[0].label in "abcdefg"
    assert all(block.maps is not None and block.maps.error == 0 for block in result.blocks)
    assert net.name == read_checkpoint(path).name


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /tmp/resnet_viz_was_here",)


def zip_bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("archive/data/0", bytes(1100 * 2**20))
    return buffer.getvalue()


def script() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), buffer)
    return buffer.getvalue()


def changed(**tensors: Tensor | None) -> bytes:
    """Save a ResNet-18 with tensors changed, or left out if None."""
    state = stock().state_dict() | {name.replace("__", "."): tensor for name, tensor in tensors.items()}
    return saved({name: tensor for name, tensor in state.items() if tensor is not None})


def deep_wrapping() -> bytes:
    content: Any = stock().state_dict()
    for _ in range(60):
        content = {"model": content}
    return saved(content)


REFUSALS: dict[str, tuple[Callable[[], bytes], str]] = {
    "code": (lambda: pickle.dumps(Evil()), "No tensors"),
    "code in an archive": (lambda: saved({"state_dict": Evil()}), "No tensors"),
    "TorchScript": (script, "TorchScript"),
    "zip bomb": (zip_bomb, "unpacks to 1,100 MB"),
    "cut archive": (lambda: changed()[:-1000], "damaged|cut off"),
    "cut safetensors": (lambda: save_safetensors(stock().state_dict())[:-9], "safetensors file is damaged"),
    "text": (lambda: b"epoch 1: loss 0.3\n" * 9, "cannot be read"),
    "nothing": (lambda: b"", "The file is empty: copy it again"),
    "no tensors": (lambda: saved({"epoch": 3}), "No tensors"),
    "a list": (lambda: saved([torch.ones(2)]), "No tensors"),
    "wrapped too deep": (deep_wrapping, "No tensors"),
    "missing": (lambda: changed(layer3__1__bn2__weight=None), r"lacks the tensor layer3\.1\.bn2\.weight"),
    "no stem": (lambda: changed(conv1__weight=None), r"lacks the tensor conv1\.weight"),
    "unexpected": (
        lambda: changed(layer1__0__se__weight=torch.ones(3)),
        r"no supported architecture has \(layer1\.0\.se\.weight\)",
    ),
    "misshapen": (
        lambda: changed(layer2__0__conv2__weight=torch.ones(9, 9, 3, 3)),
        r"layer2\.0\.conv2\.weight.*9×9×3×3.*128×128×3×3",
    ),
    "many channels": (lambda: changed(conv1__weight=torch.ones(64, 6, 7, 7)), "takes images of 6 channels"),
    "flat": (
        lambda: changed(layer1__0__conv1__weight=torch.ones(9)),
        r"layer1\.0\.conv1\.weight \(in torchvision's naming\) has the shape 9",
    ),
    "NaN": (lambda: changed(layer1__1__bn1__bias=torch.full((64,), torch.nan)), r"layer1\.1\.bn1\.bias contains NaN"),
    "infinity": (lambda: changed(fc__bias=torch.full((7,), torch.inf)), r"fc\.bias contains NaN or infinity"),
    "negative variance": (lambda: changed(bn1__running_var=-torch.ones(64)), r"bn1\.running_var contains a negative variance"),
    "whole numbers": (lambda: changed(fc__bias=torch.ones(7, dtype=torch.int8)), r"fc\.bias holds int8"),
    "sparse": (lambda: changed(fc__weight=torch.zeros(7, 512).to_sparse()), r"fc\.weight cannot be used: it is sparse"),
    "two in one": (lambda: changed(linear__weight=torch.ones(7, 512)), r"fc\.weight and linear\.weight would both be"),
    "two stages": (
        lambda: saved({k: v for k, v in stock().state_dict().items() if k[:6] not in ("layer3", "layer4")}),
        "2 stages",
    ),
    "uneven stages": (
        lambda: saved({k: v for k, v in trained_cifar(14, "B").state_dict().items() if not k.startswith("layer3.1")}),
        "2, 2, 1 blocks",
    ),
    "a bottleneck among basic blocks": (
        lambda: saved(trained_cifar(8, "B").state_dict() | {"layer1.0.conv3.weight": torch.ones(64, 16, 1, 1)}),
        "lacks the tensor layer1.0.bn3.weight",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_is_no_checkpoint_gets_one_sentence(case: str) -> None:
    make, sentence = REFUSALS[case]
    with pytest.raises(rv.CheckpointError, match=sentence) as caught:
        rv.load_checkpoint(make())
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert not Path("/tmp/resnet_viz_was_here").exists()  # noqa: S108 - what the hostile pickle would make


def test_a_file_over_the_limit_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "large.pth"
    path.write_bytes(changed())
    monkeypatch.setattr(reading, "LIMIT", 2**20)
    with pytest.raises(rv.CheckpointError, match=r"large\.pth has 4\d MB"):
        rv.load_checkpoint(path)
    with pytest.raises(rv.CheckpointError, match=r"has 4\d MB, more than 1"):
        rv.load_checkpoint(path.read_bytes())


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("nowhere.pth", "There is no checkpoint file at nowhere.pth. Check its name"),
        ("tests/test_net.py/a.pth", "There is no checkpoint file at"),
        ("tests", "tests is a folder. Name the checkpoint file in it"),
        (Path("tests"), "tests is a folder"),
        ("a\0b", "could not be read"),
        (None, "The checkpoint is of the type NoneType: give the path of its file, or its bytes"),
        (nn.ReLU(), "of the type ReLU"),
        (b"", "The file is empty: copy it again, or save"),
    ],
)
def test_what_is_no_file_gets_a_sentence(source: Any, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[1])
    with pytest.raises(rv.CheckpointError, match=sentence):
        rv.load_checkpoint(source)


@pytest.mark.parametrize(
    ("arguments", "kind", "sentence"),
    [
        ({"labels": "abcdefg"}, TypeError, "labels are texts"),
        ({"labels": range(7)}, TypeError, "labels are texts"),
        ({"labels": [None] * 7}, TypeError, "labels are texts"),
        ({"labels": [""] * 7}, ValueError, "the label of class 0 is empty"),
        ({"preprocessing": "x"}, TypeError, "preprocessing is an rv.Preprocessing and not str: pass rv.Preprocessing"),
        ({"part": 1}, TypeError, "part is a text"),
        ({"architecture": 18}, TypeError, "architecture is a text"),
    ],
)
def test_arguments_of_another_type_get_a_sentence(arguments: dict[str, Any], kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        rv.load_checkpoint(changed(), **arguments)


def test_names_of_several_classes_are_kept_and_told() -> None:
    checkpoint = read_checkpoint(changed())
    labels = ["crane", "b", "c", "crane", "e", "f", "g"]
    net = checkpoint.net(labels, architecture=checkpoint.layout.name(checkpoint.layout.usual))
    assert net.labels == tuple(labels)
    assert net.notes[-1].startswith("1 name belongs to several classes (crane)")
    assert repr(net).count("1 name belongs to several classes (crane)") == 1


def test_labels_must_be_one_for_each_class() -> None:
    checkpoint = read_checkpoint(changed())
    with pytest.raises(rv.CheckpointError, match="2 labels do not fit the checkpoint, which has 7 classes"):
        checkpoint.net(["cat", "dog"])


def test_loading_leaves_the_random_state_alone() -> None:
    data = saved(trained_cifar(8, "A").state_dict())
    torch.manual_seed(5)
    before = torch.get_rng_state()
    read_checkpoint(data).decide()
    assert torch.equal(torch.get_rng_state(), before)
