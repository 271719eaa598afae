"""The two sides of a comparison if nobody has chosen: the network of the other pages, or a pair with trained weights."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import resnet_viz as rv
from app.state import Selection
from app.views import compare_pair as pair
from resnet_viz.nets.zoo import DEFAULT_MODEL

ROOT = Path(__file__).parents[1]
CATALOGUE = {info.name: replace(info, here=False) for info in rv.list_models()}


def models(*here: str) -> dict[str, rv.ModelInfo]:
    return {name: replace(info, here=name in here) for name, info in CATALOGUE.items()}


def cifar(*names: str) -> dict[str, rv.ModelInfo]:
    return models(*(f"{name}-cifar10" for name in names))


@pytest.mark.parametrize(
    ("here", "wanted"),
    [
        (("plain56", "resnet56", "plain20", "resnet20", "plain110", "resnet110"), ("plain56-cifar10", "resnet56-cifar10")),
        (("plain20", "resnet20", "plain110", "resnet110"), ("plain110-cifar10", "resnet110-cifar10")),
        (("plain20", "resnet20b", "resnet20", "resnet56"), ("plain20-cifar10", "resnet20-cifar10")),
        (("plain20", "resnet20c", "resnet20b"), ("plain20-cifar10", "resnet20b-cifar10")),
        (("resnet20", "plain56"), None),
        (("resnet20",), None),
        ((), None),
    ],
)
def test_the_suggested_pair_is_56_layers_or_the_deepest(here: tuple[str, ...], wanted: tuple[str, str] | None) -> None:
    assert pair.suggested_pair(cifar(*here)) == wanted


def test_the_pair_is_of_one_task() -> None:
    info = replace(CATALOGUE["plain20-cifar10"], depth=18, here=True)
    assert pair.suggested_pair({"resnet18": replace(CATALOGUE["resnet18"], here=True), info.name: info}) is None


class TestCompleted:
    def test_a_pair_on_one_picture_where_it_is_here(self) -> None:
        chosen = pair.completed(Selection(), cifar("plain56", "resnet56", "resnet20"))
        assert (chosen.left, chosen.right, chosen.right_image) == ("plain56-cifar10", "resnet56-cifar10", "")
        assert (chosen.left_weights, chosen.right_weights) == ("", "")
        assert pair.mode_of(chosen) == "networks"

    def test_one_network_on_two_pictures_where_there_is_none(self) -> None:
        chosen = pair.completed(Selection(), cifar("resnet20"))
        assert chosen.left == chosen.right == DEFAULT_MODEL
        assert chosen.right_image not in ("", chosen.image)
        assert pair.mode_of(chosen) == "pictures"

    @pytest.mark.parametrize(
        ("model", "here", "wanted"),
        [
            ("resnet20-cifar10", ("plain56", "resnet56", "plain20", "resnet20"), "plain20-cifar10"),
            ("plain20-cifar10", ("plain56", "resnet56", "plain20", "resnet20"), "resnet20-cifar10"),
            ("resnet20-cifar10", ("plain56", "resnet56", "resnet20"), "plain56-cifar10"),
        ],
    )
    def test_the_network_of_the_other_pages_is_one_side(self, model: str, here: tuple[str, ...], wanted: str) -> None:
        chosen = pair.completed(Selection(model=model), cifar(*here))
        assert (chosen.left, chosen.right, chosen.right_image) == (model, wanted, "")

    def test_random_weights_come_along(self) -> None:
        chosen = pair.completed(Selection(model="resnet50", weights="none"), cifar("plain56", "resnet56"))
        assert (chosen.left, chosen.left_weights, chosen.right, chosen.right_weights) == (
            "resnet50",
            "none",
            "resnet50",
            "none",
        )
        assert chosen.right_image not in ("", chosen.image)

    def test_what_was_chosen_stays(self) -> None:
        asked = Selection(left="resnet50", right="resnet50", image="cifar-dog")
        assert pair.completed(asked, cifar("plain56", "resnet56")) == asked

    @pytest.mark.parametrize(
        ("left", "right", "wanted"),
        [
            ("resnet50", "", ("resnet50", "resnet56-cifar10")),
            ("", "resnet50", ("plain56-cifar10", "resnet50")),
            ("resnet56-cifar10", "", ("resnet56-cifar10", "plain56-cifar10")),
            ("", "plain56-cifar10", ("resnet56-cifar10", "plain56-cifar10")),
        ],
    )
    def test_one_side_chosen_gets_another_beside_it(self, left: str, right: str, wanted: tuple[str, str]) -> None:
        chosen = pair.completed(Selection(left=left, right=right), cifar("plain56", "resnet56"))
        assert (chosen.left, chosen.right) == wanted

    def test_a_second_picture_alone_means_one_network(self) -> None:
        chosen = pair.completed(Selection(right_image="cifar-ship"), cifar("plain56", "resnet56"))
        assert chosen.left == chosen.right
        assert chosen.right_image == "cifar-ship"


class TestModes:
    def test_to_two_pictures_and_back(self) -> None:
        here = cifar("plain20", "resnet20")
        networks = pair.completed(Selection(), here)
        pictures = pair.in_mode(networks, "pictures", here)
        assert pair.mode_of(pictures) == "pictures"
        assert pictures.left == pictures.right == "resnet20-cifar10"
        assert pair.in_mode(pictures, "networks", here) == networks

    def test_without_a_pair_any_second_network_with_weights(self) -> None:
        here = cifar("resnet20", "resnet20b")
        chosen = pair.in_mode(pair.completed(Selection(left="resnet20-cifar10"), here), "networks", here)
        assert {chosen.left, chosen.right} == {"resnet20-cifar10", "resnet20b-cifar10"}

    def test_without_a_second_network_the_same_one_and_no_random_weights(self) -> None:
        here = cifar("resnet20")
        chosen = pair.in_mode(pair.completed(Selection(left="resnet20-cifar10"), here), "networks", here)
        assert chosen.left == chosen.right == "resnet20-cifar10"
        assert (chosen.left_weights, chosen.right_weights, chosen.right_image) == ("", "", "")

    def test_both_may_differ(self) -> None:
        chosen = Selection(left="resnet20-cifar10", right="resnet56-cifar10", right_image="cifar-dog")
        assert pair.mode_of(chosen) == "both"
        weights = Selection(left="resnet50", right="resnet50", right_weights="none", right_image="cifar-dog")
        assert pair.mode_of(weights) == "both"


def test_swapping_twice_changes_nothing() -> None:
    chosen = Selection(left="a", right="b", right_weights="none", image="cifar-cat", right_image="cifar-dog")
    turned = pair.swapped(chosen)
    assert (turned.left, turned.right, turned.left_weights, turned.image) == ("b", "a", "none", "cifar-dog")
    assert pair.swapped(turned) == chosen


def test_swapping_networks_keeps_the_one_picture() -> None:
    turned = pair.swapped(Selection(left="a", right="b", image="cifar-cat"))
    assert (turned.left, turned.image, turned.right_image) == ("b", "cifar-cat", "")


def test_the_other_picture_is_a_sample() -> None:
    samples = {row["id"] for row in json.loads((ROOT / "assets" / "samples" / "samples.json").read_text())}
    assert samples.issuperset(pair.OTHER_SAMPLES)
    assert pair.another_sample(pair.OTHER_SAMPLES[0]) != pair.OTHER_SAMPLES[0]
