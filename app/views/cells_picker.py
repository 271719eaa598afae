"""The switch between the exact cells of a map and a smooth map, bound to the URL."""

import streamlit as st

from app import state
from app.state import Selection
from resnet_viz.figures.attribution.overlay import Cells

DRAWN: dict[Cells, str] = {"exact": "Exact cells", "smooth": "Smooth"}
HELP = (
    "With exact cells, each value of the map is one square. Smooth maps interpolate bilinearly between the centres of the "
    "cells. They are easier to see on a photo, but the values in between are not computed by the network."
)


def cells_of(chosen: Selection, usual: Cells) -> Cells:
    """How maps are drawn: as the link says, or by default; draws nothing."""
    return next((name for name in DRAWN if name == chosen.cells), usual)


def pick(chosen: Selection, usual: Cells) -> Cells:
    """Draw the switch and return the choice."""
    shown = cells_of(chosen, usual)
    st.segmented_control(
        "Map", list(DRAWN), format_func=lambda name: DRAWN[name], required=True, help=HELP, **state.bound("cells", shown)
    )
    return shown
