"""Positive attribution for a class over the grey photo: vermillion, stronger for larger values."""

from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from resnet_viz.analyses.activations import Array
from resnet_viz.figures.cells import Cell
from resnet_viz.figures.theme import ATTRIBUTION, rgb, translucent

# How the cells of a map are drawn: each as a square of one colour, or with bilinear interpolation between their centres.
Cells = Literal["exact", "smooth"]

# At full strength the photo still shows through.
MOST = 0.9
VEIL = [(0, translucent(ATTRIBUTION, 0)), (1, translucent(ATTRIBUTION, MOST))]
HOVER = "row %{y}, column %{x}<br><b>%{z:.4~g}</b>"
COUNTED = "Point at a cell for its value; rows and columns count from 0 at the top left."


def tint(grey: Image.Image, values: Array, limit: float, cells: Cells = "smooth") -> Image.Image:
    """Lay values (H, W) over a grey image of any size, enlarged to it: 0 and below stay grey, `limit` has the full tint."""
    ground = np.asarray(grey, np.float32)[..., None]
    strength = enlarge(np.clip(values / limit, 0, 1), grey.size, cells)[..., None] * MOST
    return Image.fromarray((ground * (1 - strength) + rgb(ATTRIBUTION).astype(np.float32) * strength).round().astype(np.uint8))


def enlarge(values: Array, size: tuple[int, int], cells: Cells = "smooth") -> Array:
    """Resize (H, W) to a size in pixels, width first: bilinearly, or with every cell as a rectangle of one colour."""
    way = Image.Resampling.BILINEAR if cells == "smooth" else Image.Resampling.NEAREST
    enlarged: Array = np.asarray(Image.fromarray(values).resize(size, way))
    return enlarged


def heatmap(values: Any, cell: Cell, cells: Cells, *, hover: str = HOVER, **style: Any) -> go.Heatmap:  # noqa: ANN401 - numbers of any type
    """A map with axes that count its cells from 0, for the hover text; Plotly interpolates between the cells' centres."""
    smooth = "best" if cells == "smooth" else False
    return go.Heatmap(z=values, zsmooth=smooth, hovertemplate=f"{hover}<extra></extra>", **style, **cell.axes)


def map_axes(cell: Cell, rows: int, columns: int) -> dict[str, dict[str, Any]]:
    """The axes of a map without ticks: the first row at the top, every cell a square."""
    still = {"visible": False, "constrain": "domain"}
    x = {**still, "range": [-0.5, columns - 0.5], "constraintoward": "left"}
    y = {**still, "range": [rows - 0.5, -0.5], "scaleanchor": f"x{cell.number}", "scaleratio": columns / rows}
    return cell.layout(x, {**y, "constraintoward": "top"})
