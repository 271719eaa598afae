"""The switch between a map's exact cells and a smooth map, bound to the URL."""

import streamlit as st

from app import state
from app.state import Selection
from resnet_viz.figures.attribution.overlay import Cells

DRAWN: dict[Cells, str] = {"exact": "Exact cells", "smooth": "Smooth"}
HELP = (
    "Exact cells shows each value of the map as one square. Smooth interpolates bilinearly between the centres of the cells:"
    " easier to see on a photo, but the values in between are not the network's."
)


def cells_of(chosen: Selection, usual: Cells) -> Cells:
    """How maps are drawn: as the link says, or the usual way; draws nothing."""
    return next((name for name in DRAWN if name == chosen.cells), usual)


def pick(chosen: Selection, usual: Cells) -> Cells:
    """Show the switch and return what is chosen."""
    shown = cells_of(chosen, usual)
    st.segmented_control(
        "Map", list(DRAWN), format_func=lambda name: DRAWN[name], required=True, help=HELP, **state.bound("cells", shown)
    )
    return shown
