"""Gradients compared with autograd on independent functions, and objectives by hand."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from resnet_viz.analyses.cams import block_cams
from resnet_viz.analyses.gradients import gradients
from resnet_viz.analyses.inspection import inspect
from resnet_viz.analyses.objectives import OBJECTIVES, Objective, ObjectiveKind
from resnet_viz.nets.net import Net

MakeImage = Callable[..., Image.Image]


@pytest.fixture(scope="module", params=["A", "B", "C", "plain"])
def net(request: pytest.FixtureRequest, make_cifar: Callable[..., Net]) -> Net:
    return make_cifar(request.param, depth=14)


def test_objectives_by_hand() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0]])
    total = math.exp(1) + math.exp(3) + math.exp(2)
    assert Objective("logit", 2)(logits).item() == 2
    assert Objective("logit difference", 1, 0)(logits).item() == 2
    assert Objective("log-probability", 1)(logits).item() == pytest.approx(3 - math.log(total))
    assert Objective("cross-entropy", 1)(logits).item() == pytest.approx(math.log(total) - 3)


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_parameters_have_autograds_gradients(net: Net, make_image: MakeImage, kind: ObjectiveKind) -> None:
    image = make_image()
    found = gradients(net, image, 3, kind, versus=5 if kind == "logit difference" else None)
    state = {name: p.detach().clone().requires_grad_() for name, p in net.module.named_parameters()}
    logits = torch.func.functional_call(net.module, state, (net.preprocess(image),))
    value = {
        "logit": logits[0, 3],
        "log-probability": logits.log_softmax(1)[0, 3],
        "cross-entropy": F.cross_entropy(logits, torch.tensor([3])),
        "logit difference": logits[0, 3] - logits[0, 5],
    }[kind]
    expected = [g.norm().item() for g in torch.autograd.grad(value, list(state.values()))]
    assert found.value == pytest.approx(value.item(), abs=1e-6)
    np.testing.assert_allclose(found.parameters["norm"], expected, rtol=1e-4, atol=1e-6)
    assert found.parameters["size"].sum() == sum(p.numel() for p in state.values())
    assert set(found.parameters["block"]) == {"stem", "head", *net.blocks}


def test_the_two_parts_are_inspections_and_add_up_exactly(net: Net, make_image: MakeImage) -> None:
    image = make_image()
    found, inspected = gradients(net, image), inspect(net, image)
    for ours, theirs in zip(found.blocks, inspected.blocks, strict=True):
        assert ours.error == 0
        assert ours.branch == pytest.approx(float(np.linalg.norm(theirs.grad_residual)), rel=1e-5)
        assert ours.total == pytest.approx(float(np.linalg.norm(theirs.grad_input)), rel=1e-5)
        if theirs.grad_identity is None:
            assert math.isnan(ours.share)
            continue
        first, second = theirs.grad_identity.ravel(), theirs.grad_residual.ravel()
        assert ours.shortcut == pytest.approx(float(np.linalg.norm(first)), rel=1e-5)
        cosine = float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))
        assert ours.angle == pytest.approx(math.degrees(math.acos(cosine)), abs=0.05)
        assert ours.share == pytest.approx(theirs.measures.shortcut_share, rel=1e-5)


def test_the_networks_own_parameters_stay_frozen(net: Net, make_image: MakeImage) -> None:
    gradients(net, make_image())
    assert not any(p.requires_grad for p in net.module.parameters())
    assert all(p.grad is None for p in net.module.parameters())


def test_every_block_cam_is_inspections(net: Net, make_image: MakeImage) -> None:
    image = make_image()
    cams, inspected = block_cams(net, image, 4), inspect(net, image, 4)
    assert list(cams) == [block.name for block in inspected.blocks]
    for block in inspected.blocks:
        np.testing.assert_allclose(cams[block.name], block.cam, atol=1e-6)
    np.testing.assert_array_equal(
        block_cams(net, image)["layer1.0"], block_cams(net, image, inspect(net, image).target)["layer1.0"]
    )


def test_the_other_class_of_a_difference_is_the_likeliest_other_one(net: Net, make_image: MakeImage) -> None:
    image = make_image()
    best, second = (p.index for p in inspect(net, image).predictions[:2])
    assert gradients(net, image, objective="logit difference").objective == Objective("logit difference", best, second)
    assert gradients(net, image, second, "logit difference").objective == Objective("logit difference", second, best)


def test_another_class_without_a_difference_is_refused(net: Net, make_image: MakeImage) -> None:
    with pytest.raises(ValueError, match=r"versus=1 is the other class of a logit difference, and the objective is 'logit'\."):
        gradients(net, make_image(), versus=1)


@pytest.mark.parametrize("arguments", [("logits", 1), ("logit difference", 1), ("logit difference", 1, 1)])
def test_what_has_no_meaning_gets_a_sentence(arguments: tuple[ObjectiveKind, int]) -> None:
    with pytest.raises(ValueError, match=r"unknown|two classes"):
        Objective(*arguments)
