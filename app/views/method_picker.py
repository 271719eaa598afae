"""The method of an attribution and its options, bound to the URL; an option that a link does not name has its default."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any, Generic, TypeVar

import streamlit as st

import resnet_viz as rv
from app import state
from app.state import Selection
from resnet_viz.analyses.baselines import BASELINES, Baseline
from resnet_viz.figures.attribution.attribution_map import PLACES
from resnet_viz.figures.theme import short

Value = TypeVar("Value")


@dataclass(frozen=True)
class Choice(Generic[Value]):
    """The values of an option by their text in the URL, and the text of the default."""

    label: str
    values: Mapping[str, Value]
    usual: str
    name: Callable[[str], str] = str
    explanation: str | None = None

    def text(self, wanted: str) -> str:
        """The wanted text if it is one of the values, else the default."""
        return wanted if wanted in self.values else self.usual


def _side(text: str) -> str:
    return f"{text} of the side"


BASELINE: Choice[Baseline] = Choice("Baseline", {baseline: baseline for baseline in BASELINES}, "black")
STEPS = Choice("Steps", {str(steps): steps for steps in (16, 32, 64, 128, 256, 512)}, "32")
SAMPLES = Choice("Samples", {str(samples): samples for samples in (8, 16, 24, 48, 96)}, "24")
NOISES = {str(noise): noise for noise in (0.02, 0.05, 0.09, 0.15, 0.25, 0.4)}
NOISE_HELP = "Standard deviation of the noise, as a share of the range of the image's values."
WINDOW = Choice(
    "Window",
    {f"1/{part}": 1 / part for part in (16, 12, 8, 6, 4, 3)},
    "1/6",
    _side,
    "Side of the covered window, as a share of the image's side. A smaller window finds smaller objects.",
)
# Half of each window and more; with a longer stride than the window, some pixels would never be covered.
STRIDES = {f"1/{part}": 1 / part for part in (32, 24, 16, 12, 8, 6, 4, 3)}
STRIDE_HELP = "Distance that the window moves each time, at most its own side. Half the distance takes four times as long."


def chosen_method(result: rv.Inspection, chosen: Selection) -> tuple[str, dict[str, Any]]:
    """The chosen method, and its options as `rv.attribute` takes them; draws nothing."""
    name = chosen.method if chosen.method in rv.METHODS else "integrated_gradients"
    choices = _choices(name, result, chosen)
    return name, {field: choice.values[choice.text(getattr(chosen, field))] for field, choice in choices.items()}


def pick(result: rv.Inspection, chosen: Selection) -> None:
    """The picker of the method and its options."""
    name, _ = chosen_method(result, chosen)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Method",
            list(rv.METHODS),
            format_func=lambda name: rv.METHODS[name].title,
            width=260,
            help=f"{rv.METHODS[name].sentence} {rv.METHODS[name].source}",
            **state.bound("method", name),
        )
        for field, choice in _choices(name, result, chosen).items():
            ask(field, choice, chosen)


def ask(field: str, choice: Choice[Value], chosen: Selection) -> Value:
    """Draw an option's picker and return the choice."""
    text = choice.text(getattr(chosen, field))
    st.selectbox(
        choice.label,
        list(choice.values),
        format_func=choice.name,
        width=190,
        help=choice.explanation,
        **state.bound(field, text),
    )
    return choice.values[text]


def places(block: rv.BlockInspection) -> tuple[str, ...]:
    """The places of a block for Grad-CAM, in the order of the forward pass."""
    return tuple(place for place in PLACES if place != "shortcut" or block.shortcut != "none")


def _choices(name: str, result: rv.Inspection, chosen: Selection) -> dict[str, Choice[Any]]:
    """The options of a method, in the order on screen."""
    usual = rv.METHODS[name].options()
    every: dict[str, Choice[Any]] = {
        "baseline": BASELINE,
        "steps": STEPS,
        "samples": SAMPLES,
        "noise": Choice("Noise", NOISES, str(getattr(usual, "noise", "")), lambda text: f"{float(text):.0%}", NOISE_HELP),
        "window": WINDOW,
        "stride": _stride(WINDOW.text(chosen.window)),
        "block": Choice("At block", {block.name: block.name for block in result.blocks}, result.blocks[-1].name, short),
        "place": Choice("Place", {place: place for place in places(result.block(chosen.block))}, "output", PLACES.__getitem__),
    }
    known = {field.name for field in fields(usual)}
    return {field: choice for field, choice in every.items() if field in known}


def _stride(window: str) -> Choice[float]:
    """Strides up to the window; the default is half of it."""
    fitting = {text: stride for text, stride in STRIDES.items() if Fraction(text) <= Fraction(window)}
    return Choice("Stride", fitting, str(Fraction(window) / 2), _side, STRIDE_HELP)
