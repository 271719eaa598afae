"""Places on a chart as buttons for the keyboard, and a frame around the chosen place, which moves immediately.

The chart itself does not contain the selection. It is therefore the same for every selection, and is not sent or drawn again.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import streamlit as st

from app.components.mounting import component

_mount = component("spots")


@dataclass(frozen=True)
class Spot:
    """A rectangle in the coordinates of the chart; `name` is the `customdata` of the points of the chart in it."""

    name: str
    label: str
    x0: float
    x1: float
    y0: float
    y1: float


@dataclass(frozen=True)
class Tiles:
    """A number of tiles, numbered from 0, with `columns` per row, each `width` by `height` with gaps of `gap`."""

    count: int
    columns: int
    width: int
    height: int
    gap: int
    label: str


def spots(chart: str, about: str, places: Sequence[Spot] | Tiles, chosen: str, on_choose: Callable[[str], None]) -> None:
    """Lay the places over the chart with that key, inside its container; `about` describes them, for example "Blocks".

    A click on the chart or a key press on a button calls `on_choose` with the name of the place.
    """
    key = f"spots-{chart}"
    laid_out = {"tiles": asdict(places)} if isinstance(places, Tiles) else {"places": [asdict(place) for place in places]}
    names = set(map(str, range(places.count))) if isinstance(places, Tiles) else {place.name for place in places}

    def choose() -> None:
        name = st.session_state[key].chosen
        # The names come from the browser, where anybody can change them.
        if name in names:
            on_choose(name)

    _mount(key=key, data={"chart": chart, "about": about, "chosen": chosen, **laid_out}, on_chosen_change=choose)
