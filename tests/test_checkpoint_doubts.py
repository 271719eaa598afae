"""Equal tensors, several forward passes: a checkpoint gives its own logits, or is refused with the candidates named."""

import io

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import resnet_viz as rv
from resnet_viz.nets.checkpoints.deciding import Decision
from resnet_viz.nets.checkpoints.loading import read_checkpoint
from tests.checkpoint_networks import SAMPLES, Network, Ways, lived_in, photos

CIFAR = rv.Preprocessing(32, 32, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


WAYS: dict[str, tuple[Ways, bool]] = {
    "bottlenecks": (Ways(), True),
    "stride in the first 1x1 convolution": (Ways(stride_first=True), True),
    "basic blocks": (Ways(), False),
    "stem with padding 2": (Ways(stem_padding=2), False),
    "3x3 stem, stride 2": (Ways(stem_stride=2), False),
    "3x3 stem, max pool": (Ways(pool="max"), False),
    "average pool before the projection": (Ways(shortcut="pooled projection"), False),
    "zero-pad": (Ways(shortcut="pad"), False),
    "zero-pad, zeros last": (Ways(shortcut="pad last"), False),
    "zero-pad, average pool": (Ways(shortcut="pooled pad"), False),
    "no shortcut": (Ways(shortcut="none"), False),
    "stride 1 in the last stage": (Ways(last_stride=1), False),
    "GELU": (Ways(activation=F.gelu), False),
    "ELU": (Ways(activation=F.elu), False),
    "LeakyReLU 0.1": (Ways(activation=lambda x: F.leaky_relu(x, 0.1)), False),
    "LeakyReLU 0.01": (Ways(activation=F.leaky_relu), False),
    "GELU, stride in the first 1x1 convolution": (Ways(activation=F.gelu, stride_first=True), True),
    "epsilon 1e-3": (Ways(epsilon=1e-3), False),
}


@pytest.mark.parametrize("case", WAYS)
def test_a_network_gives_its_own_logits_or_is_asked_about(case: str) -> None:
    ways, bottleneck = WAYS[case]
    reference = lived_in(Network(ways, bottleneck=bottleneck), photos())
    x = photos(count=8)
    expected = reference(x).detach()
    checkpoint = read_checkpoint(saved(reference.state_dict()))
    verdict = checkpoint.decide(CIFAR)
    if verdict.candidates:
        usual = case in ("bottlenecks", "basic blocks")
        # Parts of a name come in the order of the questions.
        parts = set() if usual else set(case.split(", "))
        assert any(set(name.split(", ")[1:]) == parts for name in verdict.candidates)
    else:
        found = checkpoint.net(preprocessing=CIFAR, device="cpu").module(x)
        spread = (expected - expected.mean(1, keepdim=True)).norm()
        assert (found - expected).norm() / spread < 0.05, verdict.sentence


def test_several_unusual_answers_at_once_are_asked_about_with_all_simpler_networks() -> None:
    assert not Decision((0, 0, 0), ()).is_combined
    assert Decision((0, 0, 0), ()).simpler == ()
    assert not Decision((0, 2, 0), ()).is_combined
    assert Decision((0, 2, 0), ()).simpler == ((0, 0, 0),)
    decision = Decision((1, 0, 3), ())
    assert decision.is_combined
    assert decision.simpler == ((1, 0, 0), (0, 0, 3), (0, 0, 0))


@pytest.mark.parametrize("case", [case for case in WAYS if case not in ("bottlenecks", "basic blocks")])
def test_an_architecture_that_is_named_is_taken(case: str) -> None:
    ways, bottleneck = WAYS[case]
    reference = lived_in(Network(ways, bottleneck=bottleneck), photos(count=8))
    net = rv.load_checkpoint(saved(reference.state_dict()), architecture=case, device="cpu")
    x = photos(count=4)
    with torch.no_grad():
        assert torch.allclose(net.module(x), reference(x), rtol=1e-4, atol=1e-4)
    assert "chosen by hand" in net.weights.note


def test_the_shipped_network_on_another_input_scale_keeps_its_shortcuts() -> None:
    """Plain pixels from 0 to 1, with the normalisation folded into the first convolution: the same function."""
    mean, std = torch.tensor(CIFAR.mean), torch.tensor(CIFAR.std)
    state = {k: v.float() if v.is_floating_point() else v for k, v in rv.load("resnet20-cifar10").module.state_dict().items()}
    state["bn1.running_mean"] = state["bn1.running_mean"] + (state["conv1.weight"] * (mean / std)[:, None, None]).sum((1, 2, 3))
    state["conv1.weight"] = state["conv1.weight"] / std[:, None, None]
    plain = rv.Preprocessing(32, 32, (0, 0, 0), (1, 1, 1))
    checkpoint = read_checkpoint(saved(state))
    for preprocessing in (plain, None):
        verdict = checkpoint.decide(preprocessing)
        assert checkpoint.layout.name(verdict.chosen) == "CIFAR ResNet-20, zero-pad"
        assert verdict.preprocessing.mean == (0, 0, 0)
    net = checkpoint.net(preprocessing=plain, architecture="zero-pad", device="cpu")
    image = rv.open_image(SAMPLES / "cifar-cat.jpg")
    assert net.probabilities(net.module(net.preprocess(image)))[0, 3] > 0.99


def test_an_untrained_network_is_read_as_the_usual_one_and_says_so() -> None:
    net = rv.load_checkpoint(saved(Network().state_dict()))
    assert "read as CIFAR ResNet-8 B of 0.5 times the width, the usual network with these tensors" in net.weights.note
    assert "its batch norms saw no image in training" in net.weights.note
    other = rv.load_checkpoint(saved(Network().state_dict()), architecture="GELU")
    assert all(isinstance(block.output, nn.GELU) for block in other.blocks.values())


def test_an_unknown_architecture_is_refused_with_those_that_fit() -> None:
    with pytest.raises(rv.CheckpointError, match="does not fit these tensors") as caught:
        rv.load_checkpoint(saved(Network().state_dict()), architecture="stride in the first 1x1 convolution")
    assert "CIFAR ResNet-8 B of 0.5 times the width, average pool before the projection" in caught.value.candidates


def test_what_was_decided_stands_on_the_network() -> None:
    reference = lived_in(Network(Ways(activation=F.gelu)), photos())
    net = rv.load_checkpoint(saved(reference.state_dict()), preprocessing=CIFAR, device="cpu")
    assert (
        "read as CIFAR ResNet-8 B of 0.5 times the width, GELU, which its batch norms tell from every other network"
        in net.weights.note
    )
    assert all(isinstance(block.output, nn.GELU) for block in net.blocks.values())
