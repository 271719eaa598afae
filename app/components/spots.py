"""Places on a chart as buttons for the keyboard, and the frame around the chosen one, which moves at once.

A chart that does not show what is chosen stays what it is when something else is chosen: nothing of it is sent or drawn again.
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


def spots(
    chart: str, about: str, places: Sequence[Spot], chosen: str, on_choose: Callable[[str], None], columns: int = 1
) -> None:
    """Lay them over the chart of that key, in whose container this is called; `about` says what they are, such as "Blocks".

    A click on the chart, or a key on a button, gives the place's name to `on_choose`. The keys up and down pass over so many
    `columns` of places.
    """
    key = f"spots-{chart}"

    def choose() -> None:
        name = st.session_state[key].chosen
        # Names come from the browser, where anybody can change them.
        if name in {place.name for place in places}:
            on_choose(name)

    _mount(
        key=key,
        data={
            "chart": chart,
            "about": about,
            "places": [asdict(place) for place in places],
            "chosen": chosen,
            "columns": columns,
        },
        on_chosen_change=choose,
    )
