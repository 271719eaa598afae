"""S10: fewer blocks, and blocks in another order, against He et al. by hand; what is shipped against the model cards."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import resnet_viz as rv
from resnet_viz.analyses.ablation import sweep
from resnet_viz.figures.theme import PLAIN, SUM
from resnet_viz.lessons import fewer_blocks
from resnet_viz.lessons.fewer_blocks import Measured, Recorded
from resnet_viz.nets.net import Net, WeightsError
from resnet_viz.nets.zoo import read_card

MakeNet = Callable[..., Net]


@pytest.fixture(scope="module")
def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (6, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return images, torch.randint(0, 10, (6,), generator=generator)


@pytest.mark.parametrize("shortcut", ["A", "plain"])
def test_s10_every_plan_is_the_network_run_by_hand(
    shortcut: str, make_cifar: MakeNet, cifar_reference: Any, pictures: tuple[torch.Tensor, torch.Tensor]
) -> None:
    net, (images, labels) = make_cifar(shortcut, depth=14), pictures
    reference = cifar_reference(net.module, shortcut)
    x = torch.cat([net.preprocess(Image.fromarray(image.permute(1, 2, 0).numpy())) for image in images])
    rows = fewer_blocks.measure(net, images, labels)
    removed = [row for row in rows if row.change == "removed"]
    # Four blocks hand on the shape that they get; both of stage 1 can change places.
    assert len(removed) == 16
    assert sorted(row.names for row in rows if row.change == "shuffled") == sorted(
        [tuple(net.blocks), ("layer1.1", "layer1.0", *list(net.blocks)[2:])]
    )
    for row in rows:
        plan = [name for name in net.blocks if name not in row.names] if row.change == "removed" else row.names
        y = reference.stem(x)
        for name in plan:
            y = reference.block(name, y, y).output
        right = (reference.head(y).argmax(1) == labels).float().mean().item()
        assert row.accuracy == pytest.approx(right), row


def test_s10_a_residual_network_is_hurt_less_than_its_plain_twin() -> None:
    residual, plain = fewer_blocks.read("resnet20-cifar10"), fewer_blocks.read("plain20-cifar10")
    assert residual.mean("removed", 1) > plain.mean("removed", 1) + 0.3
    for record in (residual, plain):
        card = read_card(record.model)["test_accuracy"]
        # Two thousand of the ten thousand images: three standard errors.
        assert record.intact == pytest.approx(card, abs=3 * (card * (1 - card) / record.pictures) ** 0.5)
        unmoved = [row.accuracy for row in record.shuffled if row.amount == 1]
        assert unmoved == [record.intact]
        assert record.movable == 7


def test_s10_the_sweep_and_one_branch_at_a_time_agree_on_a_trained_network() -> None:
    net = rv.load("resnet20-cifar10", device="cpu")
    image = rv.open_image(Path(__file__).parents[2] / "assets" / "samples" / "cifar-cat.jpg")
    found = sweep(net, image)
    for number, block in enumerate(found.blocks):
        np.testing.assert_allclose(found.logits[number], rv.ablate(net, image, {block.name: 0.0}).logits, atol=1e-5)


def test_where_there_are_too_many_plans_some_are_drawn_the_same_ones_each_time(make_cifar: MakeNet) -> None:
    net = make_cifar(depth=56)
    removals, orders = fewer_blocks.removal_plans(net), fewer_blocks.order_plans(net)
    assert removals == fewer_blocks.removal_plans(net)
    assert orders == fewer_blocks.order_plans(net)
    assert len(set(removals)) == len(removals) <= fewer_blocks.MOST_PLANS
    assert len(orders) <= fewer_blocks.MOST_PLANS
    assert tuple(net.blocks) in removals
    assert tuple(net.blocks) in orders
    for plan in removals + orders:
        assert [name for name in plan if name in ("layer2.0", "layer3.0")] == ["layer2.0", "layer3.0"]
    stages = [name.split(".")[0] for name in net.blocks]
    assert all([name.split(".")[0] for name in order] == stages for order in orders)


@pytest.mark.parametrize(("order", "tau"), [("abcd", 1.0), ("dcba", -1.0), ("bacd", 4 / 6)])
def test_kendalls_tau_by_hand(order: str, tau: float) -> None:
    assert fewer_blocks.kendall_tau(tuple("abcd"), tuple(order)) == pytest.approx(tau)


def test_recordings_are_written_read_and_damaged(tmp_path: Path) -> None:
    rows = (
        Measured("removed", 0, (), 0.9),
        *(Measured("removed", 1, pair[:1], 0.5) for pair in combinations(("layer1.0", "layer1.1"), 2)),
        Measured("shuffled", 1, ("layer1.0", "layer1.1"), 0.9),
    )
    fewer_blocks.write("m", 10, rows, tmp_path)
    record = fewer_blocks.read("m", tmp_path)
    assert (record.pictures, record.intact, record.mean("removed", 1)) == (10, 0.9, 0.5)
    assert record.removed + record.shuffled == rows
    assert fewer_blocks.recorded_models(tmp_path) == ("m",)
    with pytest.raises(WeightsError, match="was not measured"):
        fewer_blocks.read("other", tmp_path)
    (tmp_path / "fewer-blocks-m.csv").write_text("nonsense\n1\n")
    with pytest.raises(WeightsError, match="is damaged"):
        fewer_blocks.read("m", tmp_path)


def test_figures_say_what_was_lost(make_cifar: MakeNet, make_image: Callable[..., Image.Image]) -> None:
    sweeps = [sweep(make_cifar(shortcut), make_image()) for shortcut in ("A", "plain")]
    figure = rv.figures.removal_bars(sweeps)
    assert [trace.marker.color for trace in figure.data] == [SUM, PLAIN]
    assert [len(trace.x) for trace in figure.data] == [3, 1]
    assert [note.text for note in figure.layout.annotations] == ["stays", "stays"]
    # In the middle of where the second of two bars would be, the two taking 70% of a block's place.
    assert [note.x for note in figure.layout.annotations] == pytest.approx([1.175, 2.175])
    kept = sum(block.prediction == sweeps[0].prediction for block in sweeps[0].blocks)
    assert figure.layout.meta["finding"].startswith(f"Test A-8 still predicts {sweeps[0].prediction} in {kept} of 3 cases")
    record = Recorded("m", 10, (Measured("removed", 0, (), 0.9), Measured("removed", 1, ("layer1.0",), 0.4)), ())
    lines = rv.figures.accuracy_lines([record], ["M"], "removed")
    assert lines.layout.meta["finding"] == "M: 90% accuracy, 40% with one block removed"
    answers = rv.figures.answers([rv.ablate(make_cifar(), make_image(), {"layer1.0": 0.0})])
    best = rv.ablate(make_cifar(), make_image(), {"layer1.0": 0.0}).predictions[0]
    assert answers.layout.meta["finding"] == f"Test A-8 predicts {best.label}"
    assert answers.data[0].x[0] == pytest.approx(100 * best.probability)
