"""Grad-CAM at a block's output, laid over the grey photo; a slider in the figure sets its opacity."""

import numpy as np
import plotly.graph_objects as go

from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.inspection import Inspection
from resnet_viz.figures.attribution.backdrop import Photo, backdrop
from resnet_viz.figures.attribution.overlay import COUNTED, HOVER, VEIL, Cells, heatmap, map_axes
from resnet_viz.figures.cells import STACKED
from resnet_viz.figures.cells import cells as make_cells
from resnet_viz.figures.theme import ATTRIBUTION, LIGHT, Theme, finish, short

OPACITIES = (0, 20, 40, 60, 80, 100)
DEFAULT_OPACITY = 100
WIDTH, BAR, TOP, SLIDER = 660, 84, 44, 64


def cam_overlay(
    inspection: Inspection,
    block: str,
    theme: Theme = LIGHT,
    *,
    photo: Photo = None,
    cells: Cells = "smooth",
    width: int = WIDTH,
) -> go.Figure:
    """Draw the block's Grad-CAM over the photo; KeyError for an unknown block.

    `photo` is the network's crop as `Preprocessing.sharp` returns it; without it, the network's input is the background.
    """
    inspected = inspection.block(block)
    drawn = inspected.cam if inspected.spatial else np.zeros((1, 1), np.float32)
    rows, columns = drawn.shape
    peak = float(drawn.max())
    narrow = width < STACKED
    side = width if narrow else width - BAR
    bar = {"thickness": 10, "outlinewidth": 0, "exponentformat": "power", "title": {"text": "logits<br>per cell"}}
    (cell,) = make_cells((1,))
    style = {"colorscale": VEIL, "zmin": 0, "zmax": peak or 1.0, "opacity": DEFAULT_OPACITY / 100, "showscale": not narrow}
    fig = go.Figure(heatmap(drawn, cell, cells, hover=f"{HOVER} logits", colorbar=bar, **style))
    fig.update_layout(
        **map_axes(cell, rows, columns),
        images=[backdrop(photo, inspection.seen).layer(cell, rows, columns)],
        width=width,
        height=TOP + side + SLIDER,
        margin={"l": 0, "r": 0 if narrow else BAR, "t": TOP, "b": SLIDER},
        sliders=[_slider(theme)],
        overwrite=True,
    )
    label = inspection.target_label
    finding = f'After block {short(block)}, no location has positive evidence for "{label}"'
    if peak > 0:
        finding = f'After block {short(block)}, the evidence for "{label}" is strongest {_place(drawn)}'
    if not inspected.spatial:
        finding = f"Block {short(block)} has no map over the photo, because {inspected.note}"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"The stronger the tint, the more the features there raise the logit of {label}. {COUNTED}",
        alt=f"{finding}. Grad-CAM of {rows} by {columns} cells over the photo, peak {peak:.3g}.",
    )


def _slider(theme: Theme) -> dict[str, object]:
    steps = [{"method": "restyle", "args": [{"opacity": opacity / 100}, [0]], "label": f"{opacity}%"} for opacity in OPACITIES]
    return {
        "active": OPACITIES.index(DEFAULT_OPACITY),
        "currentvalue": {"prefix": "opacity ", "font": {"size": 12}},
        "pad": {"t": 14, "b": 8},
        "len": 0.98,
        "x": 0.01,
        "steps": steps,
        "bgcolor": theme.line,
        "activebgcolor": ATTRIBUTION,
        "bordercolor": theme.line,
        "tickcolor": theme.line,
        "font": {"color": theme.muted},
    }


def _place(cam: Array) -> str:
    row, column = np.unravel_index(int(cam.argmax()), cam.shape)
    vertical = ("at the top", "in the middle", "at the bottom")[min(2, int(3 * (row + 0.5) / cam.shape[0]))]
    horizontal = ("left", "", "right")[min(2, int(3 * (column + 0.5) / cam.shape[1]))]
    return f"{vertical} {horizontal}".strip()
