"""Several blocks removed at once: each row against the network with exactly these branches removed one by one."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from PIL import Image

import resnet_viz as rv
from resnet_viz.engine.wire import decode, encode
from resnet_viz.figures.theme import PLAIN, SUM
from resnet_viz.nets.net import Net
from tests.every_network import NETWORKS, SIZE

MakeImage = Callable[..., Image.Image]
MakeNet = Callable[..., Net]


@pytest.mark.parametrize("shortcut", ["B", "plain"])
def test_every_row_is_an_ablation(shortcut: str, make_cifar: MakeNet, make_image: MakeImage) -> None:
    net, image = make_cifar(shortcut, depth=14), make_image()
    found = rv.deletions(net, image, target=2, sets=4)
    assert found.removable == tuple(name for name in net.blocks if shortcut == "B" or name.endswith(".1") or name == "layer1.0")
    for row in found.rows:
        expected = rv.ablate(net, image, dict.fromkeys(row.removed, 0.0))
        probability = next(p.probability for p in expected.predictions if p.index == 2)
        assert row.probability == pytest.approx(probability, abs=1e-5)
        assert row.prediction == expected.predictions[0].label


@pytest.mark.parametrize("kind", ["sequence first", "folded", "ViT"])
def test_every_row_is_an_ablation_wherever_the_axis_of_images_is(kind: str, make_image: MakeImage) -> None:
    torch.manual_seed(0)
    net = rv.from_module(NETWORKS[kind](), preprocessing=rv.Preprocessing(SIZE, SIZE, (0.5,) * 3, (0.5,) * 3))
    image = make_image(SIZE, SIZE)
    for row in rv.deletions(net, image, target=2, sets=4).rows:
        expected = rv.ablate(net, image, dict.fromkeys(row.removed, 0.0))
        assert row.probability == pytest.approx(next(p.probability for p in expected.predictions if p.index == 2), abs=1e-5)
    names = list(net.blocks)
    steps = rv.refinement(net, image, 2).losses
    for number, loss in enumerate(steps):
        without = rv.ablate(net, image, dict.fromkeys(names[number:], 0.0))
        assert loss == pytest.approx(-math.log(next(p.probability for p in without.predictions if p.index == 2)), abs=1e-4)


def test_sets_differ_and_small_sizes_have_all(make_cifar: MakeNet, make_image: MakeImage) -> None:
    net, image = make_cifar("A", depth=14), make_image()
    found = rv.deletions(net, image, sets=6)
    assert len({row.removed for row in found.rows}) == len(found.rows)
    sizes = [len(row.removed) for row in found.rows]
    assert [sizes.count(size) for size in range(7)] == [min(6, math.comb(6, size)) for size in range(7)]
    assert rv.deletions(net, image, sets=6).rows == found.rows
    assert rv.deletions(net, image, sets=6, seed=1).rows != found.rows
    assert found.mean(0) == found.rows[0].probability
    with pytest.raises(ValueError, match="choose 1 or more"):
        rv.deletions(net, image, sets=0)


def test_figure_table_and_wire(make_cifar: MakeNet, make_image: MakeImage) -> None:
    image = make_image()
    found = [rv.deletions(make_cifar(shortcut), image, target=1, sets=2) for shortcut in ("A", "plain")]
    kind: Any = rv.Deletions
    for each in found:
        again: rv.Deletions = decode(encode(each), kind, 2**22)
        assert again.table().equals(each.table())
    figure = rv.figures.deletion_lines(found)
    assert [trace.line.color for trace in figure.data if trace.mode == "lines"] == [SUM, PLAIN]
    assert list(figure.data[0].x) == [len(row.removed) / 3 for row in found[0].rows]
