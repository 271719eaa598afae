"""Checkpoints of residual networks of torchvision and timm that are no ResNets: opened with their own logits, or named."""

import io
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision.models import get_model

import resnet_viz as rv
from resnet_viz.nets.checkpoints.loading import read_checkpoint
from resnet_viz.nets.families import signatures
from resnet_viz.nets.families.signatures import find_signed, signature

State = dict[str, Tensor]


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@cache
def regnet() -> nn.Module:
    torch.manual_seed(0)
    return get_model("regnet_y_400mf", num_classes=5).eval()


def state() -> State:
    return dict(regnet().state_dict())


WRAPPINGS: dict[str, Callable[[], Any]] = {
    "alone": state,
    "DataParallel": lambda: {f"module.{name}": tensor for name, tensor in state().items()},
    "Lightning": lambda: {
        "state_dict": {f"model.net.{name}": tensor for name, tensor in state().items()} | {"criterion.weight": torch.ones(5)},
        "epoch": 3,
    },
    "a whole model": regnet,
}


@pytest.mark.parametrize("case", WRAPPINGS)
def test_a_regnet_gives_its_own_logits(case: str) -> None:
    net = rv.load_checkpoint(saved(WRAPPINGS[case]()), device="cpu")
    assert net.title == "RegNetY-400MF"
    assert "read as RegNetY-400MF, which has the same names and shapes" in net.weights.note
    x = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(net.module(x), regnet()(x))
    assert len(net.blocks) == 16
    assert net.labels == tuple(f"class {index}" for index in range(5))


def test_networks_with_the_same_tensors_are_asked_about() -> None:
    """TensorFlow's EfficientNets pad differently and have another epsilon than timm's own."""
    content = timm.create_model("efficientnet_b0", num_classes=4).state_dict()
    checkpoint = read_checkpoint(saved(content))
    candidates = checkpoint.decide().candidates
    assert {"timm/efficientnet_b0", "timm/tf_efficientnet_b0"} <= set(candidates)
    with pytest.raises(rv.CheckpointError, match="networks whose forward passes differ") as caught:
        checkpoint.net()
    assert caught.value.candidates == candidates
    with pytest.raises(rv.CheckpointError, match="does not fit these tensors"):
        checkpoint.net(architecture="resnet50")
    net = checkpoint.net(architecture="timm/tf_efficientnet_b0", device="cpu")
    reference = timm.create_model("tf_efficientnet_b0", num_classes=4).eval()
    reference.load_state_dict(content)
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(net.module(x), reference(x), atol=1e-5)


def test_what_is_known_and_cannot_be_opened_is_named() -> None:
    backbone = {name: tensor for name, tensor in state().items() if not name.startswith("fc.")}
    with pytest.raises(rv.CheckpointError, match=r"those of RegNetY-400MF without its classification layer \(fc\)"):
        rv.load_checkpoint(saved(backbone))
    beside = {f"encoder.{name}": tensor for name, tensor in state().items()} | {"neck.weight": torch.ones(3, 3)}
    with pytest.raises(rv.CheckpointError, match=r"holds a RegNetY-400MF and beside it .*\(neck\.weight\)"):
        rv.load_checkpoint(saved(beside))


def test_what_the_file_says_of_its_architecture_stands_in_the_refusal() -> None:
    content = {"arch": "my_own_net", "state_dict": {f"layer.{index}.weight": torch.ones(3, 3) for index in range(20)}}
    with pytest.raises(rv.CheckpointError, match=r"rv\.from_module\(model\).* states that it is my_own_net"):
        rv.load_checkpoint(saved(content))


def test_a_signature_is_of_all_names_and_shapes_but_the_heads() -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in state().items()}
    assert find_signed(shapes) is not None
    assert find_signed(shapes | {"fc.weight": (77, 440), "fc.bias": (77,)}) == find_signed(shapes)
    assert find_signed(shapes | {"stem.0.weight": (32, 1, 3, 3)}) is None
    assert find_signed({name: shape for name, shape in shapes.items() if name != "stem.1.bias"}) is None
    assert signature({"a.weight": (2, 3), "fc.bias": (1,)}, "fc") == signature({"a.weight": (2, 3)}, "fc")
    assert signature({"a.weight": (2, 3)}, "fc") != signature({"a.weight": (3, 2)}, "fc")


def test_the_index_is_small_and_names_what_rv_load_takes() -> None:
    assert signatures.SIGNATURES.stat().st_size < 120_000
    names = {name for index in signatures._signatures().values() for each in index.values() for name in each}
    assert {"regnet_y_400mf", "convnext_tiny", "efficientnet_b0", "timm/resnet50d", "timm/regnety_004"} <= names
