"""Heads of one to four classes, and of classes that do not exclude one another: probabilities, targets and sentences."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

import resnet_viz as rv
from resnet_viz.analyses import trust
from resnet_viz.analyses.ablation import sweep
from resnet_viz.analyses.logit_lens import lens
from resnet_viz.analyses.objectives import OBJECTIVES, ObjectiveKind
from resnet_viz.figures.lessons.chain import lens_lines
from resnet_viz.nets.net import Head, Net

MakeImage = Callable[..., Image.Image]
MakeNet = Callable[..., Net]
MakeHead = Callable[..., Net]


@pytest.fixture
def make_head(make_cifar: MakeNet) -> MakeHead:
    """Return `make_head(classes)`, a small network with a head of this many logits."""

    def make(classes: int, head: Head = "softmax") -> Net:
        net = make_cifar("B", depth=8)
        torch.manual_seed(classes)
        net.module.fc = nn.Linear(64, classes)
        return replace(net, labels=tuple(f"class {index}" for index in range(classes)), head=head)

    return make


def logits_of(net: Net, image: Image.Image) -> np.ndarray:
    with torch.no_grad():
        values: np.ndarray = net.module(net.preprocess(image))[0].numpy()
    return values


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


class TestOneLogit:
    def test_the_probability_is_the_sigmoid_and_the_class_has_its_name(
        self, make_head: MakeHead, make_image: MakeImage
    ) -> None:
        net, image = make_head(1), make_image()
        logit = float(logits_of(net, image)[0])
        (prediction,) = rv.inspect(net, image).predictions
        assert (prediction.label, prediction.index) == ("class 0", 0)
        assert prediction.logit == pytest.approx(logit, abs=1e-6)
        assert prediction.probability == pytest.approx(sigmoid(logit), abs=1e-6)
        assert 0.01 < prediction.probability < 0.99

    def test_every_place_that_has_a_probability_has_the_same(self, make_head: MakeHead, make_image: MakeImage) -> None:
        net, image = make_head(1), make_image()
        expected = rv.inspect(net, image).predictions[0].probability
        assert rv.ablate(net, image, {}).predictions[0].probability == pytest.approx(expected, abs=1e-6)
        assert sweep(net, image).probability == pytest.approx(expected, abs=1e-6)
        assert lens(net, image).probabilities[-1, 0] == pytest.approx(expected, abs=1e-6)
        curves = trust.perturbation(net, image, rv.attribute(net, image, "saliency"), 1)
        assert curves.deletion.probabilities[0] == pytest.approx(expected, abs=1e-6)
        block = sweep(net, image).blocks[1]
        assert block.probability == pytest.approx(sigmoid(block.logit), abs=1e-6)

    @pytest.mark.parametrize("objective", ["logit", "log-probability", "cross-entropy"])
    def test_gradients_are_those_of_the_logit_and_of_its_sigmoid(
        self, make_head: MakeHead, make_image: MakeImage, objective: ObjectiveKind
    ) -> None:
        net, image = make_head(1), make_image()
        logit = float(logits_of(net, image)[0])
        found = rv.gradients(net, image, objective=objective)
        log_probability = math.log(sigmoid(logit))
        assert found.value == pytest.approx(
            {"logit": logit, "log-probability": log_probability, "cross-entropy": -log_probability}[objective], abs=1e-5
        )
        # The chain rule: d log sigmoid(z) / dz = 1 - sigmoid(z).
        factor = 1.0 if objective == "logit" else 1 - sigmoid(logit)
        whole = rv.gradients(net, image, 0).parameters["norm"].to_numpy()
        np.testing.assert_allclose(found.parameters["norm"], factor * whole, rtol=1e-4, atol=1e-7)

    def test_a_logit_difference_is_refused_with_a_sentence(self, make_head: MakeHead, make_image: MakeImage) -> None:
        with pytest.raises(
            ValueError, match=r"a logit difference needs two classes, but Test B-8 has only one\. Use the objective 'logit'"
        ):
            rv.gradients(make_head(1), make_image(), objective="logit difference")

    def test_a_softmax_cannot_be_asked_for(self, make_head: MakeHead) -> None:
        assert make_head(1, "softmax").head == "sigmoid"


class TestManyRightClasses:
    def test_each_class_has_its_own_sigmoid(self, make_head: MakeHead, make_image: MakeImage) -> None:
        net, image = make_head(4, "sigmoid"), make_image()
        logits = logits_of(net, image)
        for prediction in rv.inspect(net, image).predictions:
            assert prediction.probability == pytest.approx(sigmoid(logits[prediction.index]), abs=1e-6)
        found = rv.gradients(net, image, 2, "log-probability")
        assert found.value == pytest.approx(math.log(sigmoid(logits[2])), abs=1e-5)

    def test_softmax_is_the_default_of_two_and_more(self, make_head: MakeHead, make_image: MakeImage) -> None:
        net, image = make_head(2), make_image()
        assert net.head == "softmax"
        expected = F.softmax(torch.from_numpy(logits_of(net, image)), 0).tolist()
        for prediction in rv.inspect(net, image).predictions:
            assert prediction.probability == pytest.approx(expected[prediction.index], abs=1e-6)

    def test_the_words_of_the_figure_fit(self, make_head: MakeHead, make_image: MakeImage) -> None:
        several = rv.figures.predictions(rv.inspect(make_head(4, "sigmoid"), make_image())).layout.meta
        assert "100%" not in several["how_to_read"]
        assert "sigmoid" in several["how_to_read"]
        single = rv.inspect(make_head(1), make_image())
        meta = rv.figures.predictions(single).layout.meta
        assert meta["finding"] == f"Test B-8 gives class 0 a probability of {single.predictions[0].probability:.1%}"

    def test_an_unknown_head_gets_a_sentence(self, make_head: MakeHead) -> None:
        with pytest.raises(ValueError, match="head 'tanh' is unknown: choose 'softmax', or 'sigmoid'"):
            make_head(3, "tanh")


@pytest.mark.parametrize("classes", [1, 2, 3, 4])
def test_nothing_asks_for_more_classes_than_there_are(make_head: MakeHead, make_image: MakeImage, classes: int) -> None:
    net, image = make_head(classes), make_image()
    inspected = rv.inspect(net, image)
    assert len(inspected.predictions) == classes
    for target in range(classes):
        assert rv.inspect(net, image, target).target == target
        assert rv.attribute(net, image, "saliency", target).target == target
    for objective in OBJECTIVES[: 3 if classes == 1 else 4]:
        assert math.isfinite(rv.gradients(net, image, objective=objective).value)
    swept = sweep(net, image)
    figures = [
        rv.figures.predictions(inspected),
        rv.figures.block_map(inspected),
        rv.figures.removal_bars([swept]),
        rv.figures.answers([rv.ablate(net, image, {"layer1.0": 0.0})]),
        lens_lines(lens(net, image), "layer1.0"),
        rv.figures.conductance_bars(rv.conductance(net, image, steps=2)),
        rv.figures.gradient_flow(rv.gradients(net, image)),
    ]
    assert all("nan" not in figure.layout.meta["finding"] for figure in figures)
    assert len(figures[0].data[0].x) == classes
    compared = rv.compare(inspected, inspected)
    assert len(compared.classes) == classes
