"""The options on the attribution page: the methods' own defaults first, and only options that the methods have."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import resnet_viz as rv
from app.state import Selection
from app.views import method_picker as picker

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def inspected(make_cifar: Callable[..., rv.Net], make_image: Callable[..., Image.Image]) -> rv.Inspection:
    return rv.inspect(make_cifar("A", depth=8), make_image())


def chosen(method: str, inspected: rv.Inspection, **asked: str) -> dict[str, Any]:
    """What the page would pass to the method for a link."""
    name, options = picker.chosen_method(inspected, Selection(**({"block": "layer2.0", "method": method} | asked)))
    assert name == method
    return dict(options)


@pytest.mark.parametrize("method", rv.METHODS)
def test_where_a_link_says_nothing_the_methods_own_defaults_are_taken(inspected: rv.Inspection, method: str) -> None:
    usual = rv.METHODS[method].options()
    own = {field.name: getattr(usual, field.name) for field in fields(usual) if field.name != "seed"}
    if "block" in own:
        own["block"] = "layer2.0"
    assert chosen(method, inspected) == own


@pytest.mark.parametrize("wrong", ["x", "-1", "0", "nan", "1e9", "9/1", "1/0"])
def test_what_a_link_says_wrongly_is_the_default(inspected: rv.Inspection, wrong: str) -> None:
    asked = dict.fromkeys(("baseline", "steps", "samples", "noise", "window", "stride", "place"), wrong)
    for method in rv.METHODS:
        assert chosen(method, inspected, **asked) == chosen(method, inspected)


def test_a_stride_is_never_longer_than_its_window(inspected: rv.Inspection) -> None:
    for window in picker.WINDOW.values:
        for stride in ("", *picker.STRIDES):
            found = chosen("occlusion", inspected, window=window, stride=stride)
            assert 0 < found["stride"] <= found["window"] <= 1
            fits = stride and picker.STRIDES[stride] <= found["window"]
            assert found["stride"] == (picker.STRIDES[stride] if fits else found["window"] / 2)


def test_what_is_chosen_is_what_the_method_gets(inspected: rv.Inspection) -> None:
    asked = {"window": "1/3", "stride": "1/8", "noise": "0.4", "samples": "96"}
    assert chosen("occlusion", inspected, **asked) == {"baseline": "black", "window": 1 / 3, "stride": 1 / 8}
    assert chosen("smoothgrad", inspected, **asked) == {"samples": 96, "noise": 0.4}
    assert chosen("gradient_shap", inspected, **asked) == {"baseline": "black", "samples": 96, "noise": 0.4}


def test_a_plain_block_offers_no_shortcut(
    make_cifar: Callable[..., rv.Net], make_image: Callable[..., Image.Image], inspected: rv.Inspection
) -> None:
    plain = rv.inspect(make_cifar("plain", depth=8), make_image())
    assert picker.places(inspected.block("layer2.0")) == ("shortcut", "residual", "output")
    assert picker.places(plain.block("layer2.0")) == ("residual", "output")
    assert chosen("grad_cam", plain, place="shortcut")["place"] == "output"
