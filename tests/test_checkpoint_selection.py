"""The network is found under any wrapper, prefix and head; other contents are reported; an ambiguous file raises a question."""

import argparse
import io
import pickle
import zipfile
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

import resnet_viz as rv
from resnet_viz.nets.checkpoints.loading import read_checkpoint
from resnet_viz.nets.cifar import CifarResNet
from resnet_viz.nets.net import Net

State = dict[str, Tensor]
TITLE = "CIFAR ResNet-8 B"


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@cache
def network(seed: int = 0) -> CifarResNet:
    """A network of option B, whose wiring leaves nothing open, with norms in which nothing is 0 or 1."""
    net = CifarResNet(8, "B", seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                assert layer.running_mean is not None
                assert layer.running_var is not None
                layer.running_mean.normal_(0, 0.2, generator=generator)
                layer.running_var.uniform_(0.5, 1.5, generator=generator)
    return net.eval()


def state(seed: int = 0) -> State:
    return dict(network(seed).state_dict())


def prefixed(prefix: str, seed: int = 0) -> State:
    return {prefix + name: tensor for name, tensor in state(seed).items()}


def head_called(name: str, prefix: str = "") -> State:
    """The head under another name, the rest of the network under a prefix."""
    return {
        (f"{name}{key.removeprefix('fc')}" if key.startswith("fc.") else prefix + key): tensor
        for key, tensor in state().items()
    }


def images() -> Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(5))


def assert_same_outputs(net: Net, seed: int = 0) -> None:
    with torch.no_grad():
        assert torch.equal(net.module(images()), network(seed)(images()))


PREFIXES = (
    "encoder.",
    "resnet18.",
    "features.",
    "cnn.",
    "student.",
    "1.",
    "module.model.encoder.",
    "train_model.",
    "test_net.",
)
WRAPPERS = ("best_model_wts", "model_weights", "state", "teacher", "ema", "0", "train_state.params")
HEADS = ("logits", "out", "final", "cls_head", "classifier.1", "head.fc", "mlp_head")


def wrapper_called(key: str) -> dict[str, Any]:
    return {"epoch": 3, key: state()}


FOUND: dict[str, Callable[[], Any]] = {
    **{f"prefix {prefix}": partial(prefixed, prefix) for prefix in PREFIXES},
    **{f"wrapper {key}": partial(wrapper_called, key) for key in WRAPPERS},
    **{f"head {name}": partial(head_called, name) for name in HEADS},
    "head outside of the prefix": lambda: head_called("head", "backbone."),
    "wrapped nine times": lambda: wrapped(9),
    "a whole model": network,
    "a model in a trainer": lambda: argparse.Namespace(model=nn.DataParallel(network()), args=argparse.Namespace(lr=0.1)),
    "an optimizer beside it": lambda: {
        "model": state(),
        "optimizer": {"state": {i: {"exp_avg": p, "exp_avg_sq": p} for i, p in enumerate(network().parameters())}},
    },
    "metrics beside it": lambda: prefixed("model.") | {"criterion.weight": torch.ones(10), "val_acc.tp": torch.ones(10)},
    "metrics inside of it": lambda: state() | {"criterion.weight": torch.ones(10), "train_metrics.total": torch.tensor(3)},
    "no counters": lambda: {name: tensor for name, tensor in state().items() if "num_batches" not in name},
}


def wrapped(depth: int) -> Any:
    content: Any = state()
    for _ in range(depth):
        content = {"model": content}
    return content


@pytest.mark.parametrize("case", FOUND)
def test_the_network_is_found_wherever_it_is(case: str) -> None:
    assert_same_outputs(rv.load_checkpoint(saved(FOUND[case]()), architecture=TITLE, device="cpu"))


def test_what_is_left_out_is_said() -> None:
    checkpoint = read_checkpoint(saved(prefixed("model.") | {"criterion.weight": torch.ones(10)}))
    assert any("left out: criterion.weight" in note for note in checkpoint.notes)


def test_of_a_network_and_its_average_the_network_is_taken_and_that_is_said() -> None:
    data = saved({"model_ema": state(1), "model": state(0), "epoch": 3})
    checkpoint = read_checkpoint(data)
    assert_same_outputs(checkpoint.net(architecture=TITLE, device="cpu"), 0)
    assert checkpoint.notes[0].startswith("The network was read from model. The file also holds model_ema")
    assert "part='model_ema'" in checkpoint.notes[0]
    assert "taken from model" in checkpoint.net(architecture=TITLE, device="cpu").weights.note
    average = rv.load_checkpoint(data, part="model_ema", architecture=TITLE, device="cpu")
    assert_same_outputs(average, 1)
    assert "taken from model_ema" in average.weights.note


def test_an_average_under_a_prefix_beside_the_network_is_told_from_it() -> None:
    data = saved({"state_dict": prefixed("model.", 0) | prefixed("ema_model.", 1)})
    assert_same_outputs(rv.load_checkpoint(data, architecture=TITLE, device="cpu"), 0)
    assert_same_outputs(rv.load_checkpoint(data, part="state_dict.ema_model", architecture=TITLE, device="cpu"), 1)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (lambda: {"student": state(0), "teacher": state(1)}, ("student", "teacher")),
        (lambda: prefixed("encoder_q.", 0) | prefixed("encoder_k.", 1), ("encoder_q", "encoder_k")),
    ],
)
def test_several_networks_are_asked_about(content: Callable[[], Any], names: tuple[str, str]) -> None:
    data = saved(content())
    with pytest.raises(rv.CheckpointError, match="holds 2 networks") as caught:
        rv.load_checkpoint(data)
    assert caught.value.candidates == names
    assert_same_outputs(rv.load_checkpoint(data, part=names[1], architecture=TITLE, device="cpu"), 1)


def test_a_part_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(rv.CheckpointError, match="has no part 'nothing'") as caught:
        rv.load_checkpoint(saved({"model": state()}), part="nothing")
    assert caught.value.candidates == ("model",)


def test_a_network_that_fits_is_taken_before_a_larger_one_that_does_not() -> None:
    other = {f"block{i}.weight": torch.ones(3, 3) for i in range(500)}
    assert_same_outputs(
        rv.load_checkpoint(saved({"generator": other, "classifier": state()}), architecture=TITLE, device="cpu")
    )


def test_pruned_weights_are_multiplied_by_their_masks() -> None:
    net = CifarResNet(8, "B", seed=2).eval()
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            prune.l1_unstructured(layer, "weight", 0.4)
    with torch.no_grad():
        wanted = net(images())
        checkpoint = read_checkpoint(saved(net.state_dict()))
        assert torch.equal(checkpoint.net(architecture=TITLE, device="cpu").module(images()), wanted)
    assert any("masks" in note for note in checkpoint.notes)


def test_a_head_without_bias_gets_zeros() -> None:
    content = state()
    del content["fc.bias"]
    checkpoint = read_checkpoint(saved(content))
    assert checkpoint.tensors["fc.bias"].tolist() == [0] * 10
    assert any("no bias" in note for note in checkpoint.notes)


def test_biases_of_convolutions_are_folded_into_the_norms() -> None:
    """Against the same layers with their biases left where they are."""
    net = network()
    content = state()
    generator = torch.Generator().manual_seed(1)
    convolutions = {name: layer for name, layer in net.named_modules() if isinstance(layer, nn.Conv2d)}
    for name, convolution in convolutions.items():
        content[f"{name}.bias"] = torch.randn(convolution.out_channels, generator=generator)
    checkpoint = read_checkpoint(saved(content))
    biased = CifarResNet(8, "B", seed=0).eval()
    for layer in biased.modules():
        if isinstance(layer, nn.Conv2d):
            layer.bias = nn.Parameter(torch.empty(layer.out_channels))
    biased.load_state_dict(content)
    with torch.no_grad():
        assert torch.allclose(
            checkpoint.net(architecture=TITLE, device="cpu").module(images()), biased(images()), rtol=1e-4, atol=1e-4
        )
        assert not torch.allclose(biased(images()), net(images()), atol=0.1)
    assert any("biases" in note for note in checkpoint.notes)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "no head": (lambda: {k: v for k, v in state().items() if not k.startswith("fc.")}, "no classification layer"),
    "two heads": (
        lambda: head_called("age") | {"colour.weight": torch.ones(3, 64), "colour.bias": torch.ones(3)},
        r"several layers that read its last stage \(age\.weight, colour\.weight\)",
    ),
    "a head of two layers": (
        lambda: head_called("fc.0") | {"fc.2.weight": torch.ones(10, 10), "fc.2.bias": torch.ones(10)},
        "several layers where a supported network has one",
    ),
    "a layer beside the network": (lambda: prefixed("backbone.") | {"neck.weight": torch.ones(4, 4)}, r"neck\.weight"),
    "a learned scale in a block": (lambda: state() | {"layer1.0.alpha": torch.tensor(0.5)}, r"layer1\.0\.alpha"),
    "a norm beside the network": (lambda: prefixed("backbone.") | {"norm.weight": torch.ones(64)}, r"norm\.weight"),
    "no statistics": (lambda: {k: v for k, v in state().items() if "running" not in k}, "no running statistics"),
    "a mask of another shape": (
        lambda: {k: v for k, v in state().items() if k != "conv1.weight"}
        | {"conv1.weight_orig": torch.ones(16, 3, 3, 3), "conv1.weight_mask": torch.ones(3)},
        "its mask has another shape",
    ),
    "no classes": (lambda: state() | {"fc.weight": torch.ones(0, 64), "fc.bias": torch.ones(0)}, "is empty"),
    "control characters": (lambda: {f"a\x1b[31m\n\u202e{k}": v for k, v in list(state().items())[:12]}, "lacks the tensor"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_by_name(case: str) -> None:
    content, sentence = REFUSED[case]
    with pytest.raises(rv.CheckpointError, match=sentence) as caught:
        rv.load_checkpoint(saved(content()))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_a_pickle_of_arrays_is_read_and_one_of_tensors_says_how_to_save_it() -> None:
    """NumPy's arrays are stored inside a pickle; torch's tensors are stored as separate files of the archive."""
    assert_same_outputs(
        rv.load_checkpoint(pickle.dumps({k: v.numpy() for k, v in state().items()}), architecture=TITLE, device="cpu")
    )
    with pytest.raises(rv.CheckpointError, match=r"written by pickle\.dump: save the network with torch\.save"):
        rv.load_checkpoint(pickle.dumps(state()))


def test_an_archive_that_was_packed_anew_with_compression_is_read() -> None:
    repacked = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved(state()))) as old, zipfile.ZipFile(repacked, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert_same_outputs(rv.load_checkpoint(repacked.getvalue(), architecture=TITLE, device="cpu"))


def test_a_half_precision_network_gives_the_same_numbers_as_its_float32_copy() -> None:
    half = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state().items()}
    checkpoint = read_checkpoint(saved(half))
    assert torch.equal(checkpoint.tensors["conv1.weight"], half["conv1.weight"].float())
    assert checkpoint.tensors["conv1.weight"].dtype == torch.float32
