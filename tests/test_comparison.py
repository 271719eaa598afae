"""Two inspections side by side: pairs, differences and sentences on numbers a person can check, and on real networks."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import resnet_viz as rv
from resnet_viz.analyses.comparison import BlockPair, ClassDifference, compare, pair_blocks
from resnet_viz.analyses.comparison_words import sentences
from resnet_viz.nets.net import WeightsOrigin

TRAINED = WeightsOrigin("shipped", "trained in a test")
NAMES = ("layer1.0", "layer2.0", "layer3.0")
SAME = rv.Measures(4, 2, 5, 4, 0.5, 0.25, 1, 0.5, 1, 1, 2, 0.5, 0.5, 10, 100, 1000)
PLAIN = replace(
    SAME,
    identity_norm=math.nan,
    ratio=math.nan,
    cosine=math.nan,
    grad_identity_norm=math.nan,
    shortcut_share=math.nan,
    residual_share=math.nan,
)


def inspection(
    title: str = "ResNet-8",
    blocks: Mapping[str, rv.Measures] | None = None,
    shares: tuple[float, float, float] = (0.7, 0.2, 0.1),
    labels: tuple[str, str, str] = ("cat", "dog", "ship"),
) -> rv.Inspection:
    """An inspection without maps: measures block by block, and the probabilities of three classes."""
    found = sorted(
        (rv.Prediction(label, index, 0.0, share) for index, (label, share) in enumerate(zip(labels, shares, strict=True))),
        key=lambda p: -p.probability,
    )
    given = blocks or dict.fromkeys(NAMES, SAME)
    made = tuple(
        rv.BlockInspection(
            name, number, "none" if math.isnan(m.ratio) else "identity", (16, 8, 8), m, np.zeros((8, 8), np.float32), None
        )
        for number, (name, m) in enumerate(given.items(), start=1)
    )
    seen = np.zeros((32, 32, 3), np.uint8)
    return rv.Inspection(title.lower(), title, TRAINED, "cpu", seen, found[0].index, tuple(found), made)


class TestPairs:
    def test_the_same_names_are_paired_by_name(self) -> None:
        assert pair_blocks(NAMES, NAMES) == tuple(BlockPair(name, name, name) for name in NAMES)

    def test_different_depths_are_paired_by_relative_depth(self) -> None:
        deep, shallow = [f"layer1.{i}" for i in range(6)], ["layer1.0", "layer1.1"]
        assert [pair.right for pair in pair_blocks(deep, shallow)] == ["layer1.0"] * 3 + ["layer1.1"] * 3
        assert [pair.name for pair in pair_blocks(deep, shallow)] == deep

    def test_depths_that_do_not_divide(self) -> None:
        # Blocks of three stand at 1/6, 3/6 and 5/6; the other side's first block ends at 1/2.
        assert [pair.right for pair in pair_blocks(["a", "b", "c"], ["x", "y"])] == ["x", "y", "y"]

    @pytest.mark.parametrize(("left", "right"), [("abcdefg", "xyz"), ("abc", "xyz"), ("ab", "ab")])
    def test_swapping_the_sides_swaps_every_pair(self, left: str, right: str) -> None:
        there = pair_blocks(tuple(left), tuple(right))
        assert pair_blocks(tuple(right), tuple(left)) == tuple(BlockPair(p.name, p.right, p.left) for p in there)
        assert {p.left for p in there} == set(left)
        assert {p.right for p in there} == set(right)
        assert len({p.name for p in there}) == len(there)

    def test_resnet_20_beside_resnet_56(self) -> None:
        small, large = ([f"layer{stage}.{i}" for stage in (1, 2, 3) for i in range(n)] for n in (3, 9))
        for pair in pair_blocks(small, large):
            assert pair.left.split(".")[0] == pair.right.split(".")[0]
            assert int(pair.left.split(".")[1]) == int(pair.right.split(".")[1]) // 3

    def test_an_unknown_pair_is_named(self) -> None:
        with pytest.raises(KeyError, match=r"layer9.*layer1\.0, layer2\.0, layer3\.0"):
            compare(inspection(), inspection()).pair("layer9.0")


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("given", ["cat.jpg", None, 3])
def test_what_is_no_inspection_is_refused(side: str, given: Any, residual: rv.Inspection) -> None:
    with pytest.raises(TypeError, match=f"the {side} side is of the type {type(given).__name__} and not an inspection"):
        rv.compare(**{"left": residual, "right": residual} | {side: given})


class TestTable:
    def test_both_values_and_right_minus_left(self) -> None:
        right = {name: replace(SAME, ratio=0.5 + i, cut=0.5 - i / 4) for i, name in enumerate(NAMES)}
        table = compare(inspection(), inspection("ResNet-9", right)).table()
        assert table.index.tolist() == table["left_block"].tolist() == table["right_block"].tolist() == list(NAMES)
        assert table["ratio_left"].tolist() == [0.5, 0.5, 0.5]
        assert table["ratio_right"].tolist() == [0.5, 1.5, 2.5]
        assert table["ratio_difference"].tolist() == [0, 1, 2]
        assert table["cut_difference"].tolist() == [0, -0.25, -0.5]

    def test_a_plain_side_leaves_out_what_it_has_not(self) -> None:
        columns = set(compare(inspection(), inspection("Plain-8", dict.fromkeys(NAMES, PLAIN))).table().columns)
        assert {"response_std_difference", "cut_left", "cam_mass_right"} <= columns
        assert not {name for name in columns if name.startswith(("identity_norm", "ratio", "cosine", "shortcut_share"))}

    def test_the_same_on_both_sides_gives_zero(self) -> None:
        result = compare(inspection(), inspection())
        assert (result.table().filter(like="_difference").to_numpy() == 0).all()
        assert {entry.difference for entry in result.classes} == {0}
        assert result.largest == ()


class TestClasses:
    def test_largest_difference_first(self) -> None:
        result = compare(inspection(shares=(0.7, 0.2, 0.1)), inspection(shares=(0.25, 0.6, 0.15)))
        assert [entry.label for entry in result.classes] == ["cat", "dog", "ship"]
        assert result.classes[0] == ClassDifference("cat", 0, 0.7, 0.25)
        assert [entry.difference for entry in result.classes] == pytest.approx([-0.45, 0.4, 0.05])

    def test_networks_that_know_different_classes_share_none(self) -> None:
        assert compare(inspection(), inspection(labels=("tabby", "dog", "ship"))).classes == ()


class TestLargest:
    def test_of_each_measure_the_block_that_differs_most_beside_its_span(self) -> None:
        right = {
            "layer1.0": replace(SAME, cosine=-0.75),  # 1 of a span of 2
            "layer2.0": replace(SAME, ratio=2.0),  # 1.5 of the largest ratio, 2
            "layer3.0": replace(SAME, cut=0.9, response_std=1.25),  # 0.4 of 1, and 0.25 of 1.25
        }
        found = compare(inspection(), inspection("ResNet-9", right)).largest
        assert [(entry.measure, entry.pair.name) for entry in found] == [
            ("ratio", "layer2.0"),
            ("cosine", "layer1.0"),
            ("cut", "layer3.0"),
        ]
        assert [entry.difference for entry in found] == pytest.approx([1.5, -1, 0.4])

    def test_evidence_for_different_classes_is_not_compared(self) -> None:
        more = dict.fromkeys(NAMES, replace(SAME, cam_mass=40))
        same = compare(inspection(), inspection("ResNet-9", more))
        other = compare(inspection(), inspection("ResNet-9", more, shares=(0.1, 0.8, 0.1)))
        assert [entry.measure for entry in same.largest] == ["cam_mass"]
        assert other.largest == ()


class TestWords:
    def test_sides_are_named_by_network_or_by_picture(self) -> None:
        networks = compare(inspection("Plain-8"), inspection("ResNet-8"))
        pictures = compare(inspection(), replace(inspection(), seen=np.ones((32, 32, 3), np.uint8)))
        neither = compare(inspection(), inspection())
        weights = compare(inspection(), replace(inspection(), weights=WeightsOrigin("untrained", "random")))
        assert (networks.left_name, networks.right_name) == ("Plain-8", "ResNet-8")
        assert (pictures.left_name, pictures.right_name) == ("the left image", "the right image")
        assert (neither.left_name, neither.right_name) == ("the left side", "the right side")
        assert (weights.left_name, weights.right_name) == ("ResNet-8", "untrained ResNet-8")

    def test_predictions_that_differ(self) -> None:
        result = compare(inspection("Plain-8", shares=(0.3, 0.6, 0.1)), inspection("ResNet-8"))
        assert sentences(result)[:2] == (
            "The prediction is dog for Plain-8 (60.0%), cat for ResNet-8 (70.0%)",
            "The probability of cat differs most: 30.0% for Plain-8, 70.0% for ResNet-8",
        )

    def test_nothing_differs(self) -> None:
        assert sentences(compare(inspection(), inspection())) == (
            "The prediction is cat on both sides: 70.0% for the left side, 70.0% for the right side",
            "No measure of any block differs",
        )

    def test_a_block_that_differs(self) -> None:
        right = dict.fromkeys(NAMES, SAME) | {"layer2.0": replace(SAME, cut=0.75)}
        last = sentences(compare(inspection(), inspection("ResNet-9", right)))[-1]
        assert last == "At block 2.0, the ReLU zeroes 50% of the entries for ResNet-8, 75% for ResNet-9"

    def test_blocks_at_the_same_depth_are_both_named(self) -> None:
        deep = {f"layer1.{i}": SAME for i in range(5)} | {"layer1.5": replace(SAME, ratio=2.0)}
        last = sentences(compare(inspection("ResNet-14", deep), inspection()))[-1]
        told = "F is 2.00 times as large as x in block 1.5 of ResNet-14, 0.50 times in block 3.0 of ResNet-8"
        assert last == f"At equal depth, {told}"

    @pytest.mark.parametrize(
        ("truth", "verdict"),
        [
            ("cat", "ResNet-8 is correct, Plain-8 is not"),
            ("dog", "Plain-8 is correct, ResNet-8 is not"),
            ("ship", "neither prediction is correct"),
        ],
    )
    def test_who_is_right(self, truth: str, verdict: str) -> None:
        result = compare(inspection("Plain-8", shares=(0.3, 0.6, 0.1)), inspection("ResNet-8"))
        assert f"The class of the image is {truth}: {verdict}" in sentences(result, truth)

    def test_both_are_right(self) -> None:
        assert "The class of the image is cat: both predictions are correct" in sentences(
            compare(inspection(), inspection()), "cat"
        )

    def test_a_class_that_one_side_does_not_know_is_not_judged(self) -> None:
        result = compare(inspection(), inspection(labels=("tabby", "dog", "ship")))
        assert "The two networks have different classes, so their probabilities are not compared" in sentences(result)
        assert not [sentence for sentence in sentences(result, "cat") if "class of the image" in sentence]


@pytest.mark.parametrize(
    ("left", "right"), [(("plain", 14), ("A", 14)), (("B", 14), ("A", 8))], ids=["depth alike", "depth not"]
)
def test_real_networks_swap_and_agree_with_their_own_tables(
    make_cifar: Callable[..., rv.Net], make_image: Callable[..., Image.Image], left: Any, right: Any
) -> None:
    mine, theirs = (rv.inspect(make_cifar(kind, depth), make_image(40, 40)) for kind, depth in (left, right))
    there, back = rv.compare(mine, theirs), rv.compare(theirs, mine)
    table, turned = there.table(), back.table()
    for name in map(str, table.filter(like="_difference")):
        pd.testing.assert_series_equal(table[name], -turned[name])
        measure = name.removesuffix("_difference")
        for side, own in (("left", mine), ("right", theirs)):
            values = own.table().loc[table[f"{side}_block"], measure].to_numpy()
            np.testing.assert_array_equal(table[f"{measure}_{side}"], values)
    assert len(table) == max(len(mine.blocks), len(theirs.blocks))
    assert [e.difference for e in there.classes] == [-e.difference for e in back.classes]
    assert [e.difference for e in there.largest] == [-e.difference for e in back.largest]


def test_one_picture_twice_gives_zero(make_cifar: Callable[..., rv.Net], make_image: Callable[..., Image.Image]) -> None:
    net, image = make_cifar("A", 14), make_image(40, 40)
    result = rv.compare(rv.inspect(net, image), rv.inspect(net, image))
    assert not result.table().filter(like="_difference").to_numpy().any()
    assert result.largest == ()
