"""S9 and S17: a network is a chain of corrections; what it would say after each is what it says without the later ones."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import resnet_viz as rv
from resnet_viz.analyses.logit_lens import Lens, lens
from resnet_viz.engine.wire import decode, encode
from resnet_viz.figures.lessons.chain import angle
from resnet_viz.figures.theme import IDENTITY, PLAIN, RESIDUAL, SUM
from resnet_viz.nets.net import Net

MakeImage = Callable[..., Image.Image]
MakeNet = Callable[..., Net]


def test_s09_the_network_is_a_chain_of_blocks(residual: rv.Inspection) -> None:
    figure = rv.figures.block_map(residual, "ratio", "layer2.1")
    assert set(figure.data[-1].customdata) == {block.name for block in residual.blocks}
    for before, after in zip(residual.blocks, residual.blocks[1:], strict=False):
        if after.shortcut == "identity":
            np.testing.assert_array_equal(after.identity, before.output)


@pytest.mark.parametrize("shortcut", ["A", "B", "plain"])
def test_s17_logits_after_each_block_are_those_without_the_later_branches(
    shortcut: str, make_cifar: MakeNet, make_image: MakeImage, cifar_reference: Any
) -> None:
    net, image = make_cifar(shortcut, depth=14), make_image()
    found = lens(net, image)
    reference = cifar_reference(net.module, shortcut)
    names = list(reference.blocks)
    assert found.places == ("stem", *names)
    for stop, logits in enumerate(found.logits):
        x = reference.stem(net.preprocess(image))
        for number, name in enumerate(names):
            block = reference.block(name, x, x)
            if number < stop or (block.identity is None and block.output.shape != x.shape):
                x = block.output
            elif block.identity is not None:
                x = block.identity.relu()
        np.testing.assert_allclose(logits, reference.head(x)[0].numpy(), atol=1e-5)


def test_s17_the_last_block_says_what_the_network_says(make_imagenet: Callable[[str], Net], make_image: MakeImage) -> None:
    net, image = make_imagenet("resnet50"), make_image(64, 64)
    with torch.no_grad():
        expected = net.module(net.preprocess(image))[0].numpy()
    found = lens(net, image)
    np.testing.assert_allclose(found.logits[-1], expected, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(found.probabilities.sum(1), 1, atol=1e-5)
    assert decode(encode(found), Lens, 2**22).labels == net.labels


def test_s17_the_correction_has_the_size_and_angle_of_f(residual: rv.Inspection) -> None:
    block = residual.blocks[4]
    assert block.identity is not None
    x, f = block.identity.ravel().astype(np.float64), block.residual.ravel().astype(np.float64)
    expected = np.degrees(np.arccos(x @ f / np.linalg.norm(x) / np.linalg.norm(f)))
    assert angle(block) == pytest.approx(expected, abs=1e-3)
    figure = rv.figures.correction(block)
    assert (
        f"{np.linalg.norm(f) / np.linalg.norm(x):.0%} of its norm, at an angle of {expected:.0f}°" in figure.layout.title.text
    )
    arrows = {note.arrowcolor: note for note in figure.layout.annotations if note.showarrow}
    assert set(arrows) == {IDENTITY, RESIDUAL, SUM}
    # Arrows in units of |x|: the third side of the triangle is as long as the sum.
    end = arrows[SUM]
    assert np.hypot(end.x, end.y) == pytest.approx(np.linalg.norm(x + f) / np.linalg.norm(x), rel=1e-4)


def test_a_plain_block_corrects_nothing(plain: rv.Inspection) -> None:
    with pytest.raises(ValueError, match="is plain: it replaces its input"):
        rv.figures.correction(plain.blocks[0])


def made_up(*leaders: int) -> Lens:
    logits = np.zeros((len(leaders), 3), np.float32)
    logits[range(len(leaders)), leaders] = 2
    places = ("stem", *(f"layer1.{number}" for number in range(len(leaders) - 1)))
    return Lens("m", "M", rv.load("resnet20-cifar10", weights=None).weights, ("a<b", "dog", "frog"), places, logits)


@pytest.mark.parametrize(
    ("leaders", "settled", "finding"),
    [
        ((1, 0, 1, 1), "layer1.1", "The final prediction leads from block 1.1 on: dog 79% at the end"),
        ((1, 1), "stem", "The final prediction leads from the start, before the first block: dog 79% at the end"),
        ((1, 2, 0), "layer1.1", "The final prediction leads from block 1.1 on: a<b 79% at the end"),
    ],
)
def test_the_lens_says_from_where_on_the_answer_leads(leaders: tuple[int, ...], settled: str, finding: str) -> None:
    found = made_up(*leaders)
    assert found.settled == settled
    figure = rv.figures.lens_lines(found, "stem")
    assert figure.layout.meta["finding"] == finding
    assert [trace.line.color for trace in figure.data] == [SUM] + [PLAIN] * (len(set(leaders)) - 1)
