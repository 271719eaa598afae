"""Grad-CAM at a block's output, laid over the crop that the network saw; a slider in the figure sets its opacity."""

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.inspection import Inspection
from resnet_viz.figures.attribution.overlay import VEIL, enlarge
from resnet_viz.figures.pictures import data_url
from resnet_viz.figures.theme import ATTRIBUTION, LIGHT, Theme, finish, short

OPACITIES = (0, 20, 40, 60, 80, 100)
DEFAULT_OPACITY = 60
LARGEST_SIDE = 112


def cam_overlay(inspection: Inspection, block: str, theme: Theme = LIGHT) -> go.Figure:
    """Draw the crop and the block's Grad-CAM over it, interpolated bilinearly; KeyError for an unknown block."""
    inspected = inspection.block(block)
    side = inspection.seen.shape[0]
    cells = min(side, LARGEST_SIDE)
    cam = enlarge(inspected.cam, (cells, cells))
    step = side / cells
    peak = float(inspected.cam.max())
    rows, columns = inspected.cam.shape
    fig = go.Figure(go.Image(source=data_url(Image.fromarray(inspection.seen)), hoverinfo="skip"))
    fig.add_trace(
        go.Heatmap(
            z=cam,
            x0=(step - 1) / 2,
            dx=step,
            y0=(step - 1) / 2,
            dy=step,
            zmin=0,
            zmax=peak or 1.0,
            colorscale=VEIL,
            opacity=DEFAULT_OPACITY / 100,
            colorbar={"thickness": 10, "outlinewidth": 0, "title": {"text": "Grad-CAM"}},
            hovertemplate="x %{x:.0f}, y %{y:.0f}<br>Grad-CAM %{z:.4f}<extra></extra>",
        )
    )
    fig.update_layout(
        xaxis={"visible": False, "constrain": "domain", "range": [-0.5, side - 0.5], "fixedrange": True},
        yaxis={"visible": False, "scaleanchor": "x", "constrain": "domain", "range": [side - 0.5, -0.5], "fixedrange": True},
        width=470,
        height=530,
        margin={"l": 0, "r": 0, "t": 44, "b": 0},
        dragmode=False,
        sliders=[_slider(theme)],
        overwrite=True,
    )
    place = _place(inspected.cam)
    label = inspection.target_label
    finding = f"At block {short(block)} nothing speaks for {label}"
    if peak > 0:
        finding = f"At block {short(block)} the evidence for {label} is strongest {place}"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"The darker, the more the features there raise the logit of {label}. The slider sets the opacity.",
        alt=f"{finding}. Grad-CAM of {rows} by {columns} cells over the {side} pixel crop, peak {peak:.3g}.",
    )


def _slider(theme: Theme) -> dict[str, object]:
    steps = [{"method": "restyle", "args": [{"opacity": opacity / 100}, [1]], "label": f"{opacity}%"} for opacity in OPACITIES]
    return {
        "active": OPACITIES.index(DEFAULT_OPACITY),
        "currentvalue": {"prefix": "overlay ", "font": {"size": 12}},
        "pad": {"t": 14, "b": 8},
        "len": 0.6,
        "x": 0.2,
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
