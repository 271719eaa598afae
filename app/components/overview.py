"""The whole network in small above a block map that is wider than the window, and the part of it that is visible."""

from collections.abc import Callable, Sequence

import streamlit as st

from app.components.mounting import component
from app.components.spots import Spot

_mount = component("overview")


def overview(
    chart: str, places: Sequence[Spot], heights: Sequence[float], width: int, chosen: str, on_choose: Callable[[str], None]
) -> None:
    """Show one bar per place of the chart with that key, with the given relative `heights`, if the chart has to scroll.

    `width` is that of the chart in its own coordinates. A click on a bar opens its block and scrolls to it.
    """
    key = f"overview-{chart}"

    def choose() -> None:
        name = st.session_state[key].chosen
        # The names come from the browser, where anybody can change them.
        if name in {place.name for place in places}:
            on_choose(name)

    bars = [
        {
            "name": place.name,
            "label": place.label,
            "left": place.x0 / width,
            "width": (place.x1 - place.x0) / width,
            "height": height,
        }
        for place, height in zip(places, heights, strict=True)
    ]
    _mount(key=key, data={"chart": chart, "bars": bars, "chosen": chosen}, on_chosen_change=choose)
