"""Places on a chart as buttons for the keyboard, and the frame around the chosen one, which moves at once.

A chart without the selection in it stays the same for every selection, so it is neither sent nor drawn again.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import streamlit as st

from app.components.mounting import component

_mount = component("spots")


@dataclass(frozen=True)
class Spot:
    """A rectangle in the chart's own coordinates; `name` is the `customdata` of the chart's points in it."""

    name: str
    label: str
    x0: float
    x1: float
    y0: float
    y1: float


@dataclass(frozen=True)
class Tiles:
    """Tiles in rows, called by their numbers from 0: so many, `columns` in a row, `width` by `height` with a gap of `gap`."""

    count: int
    columns: int
    width: int
    height: int
    gap: int
    label: str


def spots(chart: str, about: str, places: Sequence[Spot] | Tiles, chosen: str, on_choose: Callable[[str], None]) -> None:
    """Lay them over the chart of that key, in whose container this is called; `about` says what they are, such as "Blocks".

    A click on the chart, or a key on a button, gives the place's name to `on_choose`.
    """
    key = f"spots-{chart}"
    laid_out = {"tiles": asdict(places)} if isinstance(places, Tiles) else {"places": [asdict(place) for place in places]}
    names = set(map(str, range(places.count))) if isinstance(places, Tiles) else {place.name for place in places}

    def choose() -> None:
        name = st.session_state[key].chosen
        # Names come from the browser, where anybody can change them.
        if name in names:
            on_choose(name)

    _mount(key=key, data={"chart": chart, "about": about, "chosen": chosen, **laid_out}, on_chosen_change=choose)
