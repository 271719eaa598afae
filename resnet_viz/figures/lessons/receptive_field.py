"""What the centre of a block output sees of the image, drawn over the photo, and its width by depth.

Orange is with the branches, blue along the shortcuts alone.
"""

import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.receptive_field import BlockField, ReceptiveFields
from resnet_viz.figures.attribution.backdrop import Backdrop
from resnet_viz.figures.attribution.overlay import heatmap, map_axes
from resnet_viz.figures.cells import cells
from resnet_viz.figures.log_axis import log_axis, mark_level
from resnet_viz.figures.theme import IDENTITY, LIGHT, RESIDUAL, Theme, finish, short, translucent

MAPS_WIDTH, WIDTH, HEIGHT, TOP = 620, 560, 380, 60
DIGITS = 3


def field_maps(fields: ReceptiveFields, name: str, photo: Backdrop | None = None, theme: Theme = LIGHT) -> go.Figure:
    """Draw the gradient at the centre of the output of block `name` over the photo: all paths left, the shortcuts alone right.

    Each map has its own scale. The dashed square is the theoretical receptive field, if it lies inside the image.
    """
    block, side = fields.block(name), fields.side
    both = cells([1, 1], gap=0.04)
    fig = go.Figure()
    shapes, images, notes = [], [], []
    for cell, (title, values, width, colour) in zip(both, _views(block), strict=True):
        largest = float(values.max()) or 1.0
        scale = [(0, translucent(colour, 0)), (1, translucent(colour, 0.9))]
        drawn = np.round(values / largest, DIGITS)
        fig.add_trace(
            heatmap(
                drawn,
                cell,
                "exact",
                colorscale=scale,
                zmin=0,
                zmax=1,
                showscale=False,
                hover="row %{y}, column %{x}<br>%{z:.1%} of the largest",
            )
        )
        fig.update_layout(map_axes(cell, side, side), overwrite=True)
        notes.append(cell.title(title, theme))
        images += [photo.layer(cell, side, side)] if photo else []
        shapes += _square(values, width, cell.references, theme)
    fig.update_layout(
        images=images,
        shapes=shapes,
        annotations=notes,
        width=MAPS_WIDTH,
        height=(MAPS_WIDTH - 24) // 2 + TOP,
        margin={"l": 0, "r": 0, "t": TOP, "b": 0},
        overwrite=True,
    )
    finding = f"Block {short(name)} sees {_pixels(block.effective)} pixels across, {_along(block)}"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="The stronger the tint, the more a pixel changes the centre of the block's output. Each map has a scale of"
        " its own. Dashed: theoretical receptive field, where it is smaller than the image.",
        alt=f"{finding}. Two maps of {side} by {side} pixels over the photo.",
    )


def field_widths(fields: ReceptiveFields, selected: str, theme: Theme = LIGHT) -> go.Figure:
    """Draw the widths by depth on a logarithmic axis: theoretical and effective, all paths and the shortcuts alone."""
    names = [short(block.name) for block in fields.blocks]
    lines: tuple[tuple[str, Sequence[float], str, str], ...] = (
        ("theoretical", [block.theoretical for block in fields.blocks], RESIDUAL, "dot"),
        ("effective", [block.effective for block in fields.blocks], RESIDUAL, "solid"),
        ("theoretical, shortcuts alone", [block.shortcut_theoretical for block in fields.blocks], IDENTITY, "dot"),
        ("effective, shortcuts alone", [block.shortcut_effective for block in fields.blocks], IDENTITY, "solid"),
    )
    fig = go.Figure()
    for name, values, colour, dash in lines:
        fig.add_trace(
            go.Scatter(
                x=names,
                y=[value if 0 < value < math.inf else None for value in values],
                mode="lines+markers",
                name=name,
                line={"color": colour, "width": 3, "dash": dash},
                marker={"size": 7, "symbol": "circle" if dash == "solid" else "square"},
                hovertemplate=f"block %{{x}}<br>{name}: %{{y:.0f}} pixels<extra></extra>",
            )
        )
    mark_level(fig, fields.side, "image", theme)
    fig.add_vline(x=names.index(short(selected)), line={"color": theme.text, "width": 1, "dash": "dash"})
    known = [value for _, values, _, _ in lines for value in values]
    fig.update_layout(
        xaxis={"type": "category", "title": "block", "showgrid": False, "showline": True, "tickangle": 0, "nticks": 14},
        yaxis={**log_axis([*known, fields.side]), "title": {"text": "width (pixels)", "standoff": 12}},
        width=WIDTH,
        height=HEIGHT,
        margin={"l": 0, "r": 8, "t": 84, "b": 0},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        overwrite=True,
    )
    finding = _finding(fields)
    spoken = ", ".join(f"{short(block.name)} {_pixels(block.effective)}" for block in fields.blocks)
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="Effective: side of a square of as many pixels as have over 4.55% of the largest gradient, on this image.",
        alt=f"{finding}. Effective width by block in pixels: {spoken}.",
    )


def _views(block: BlockField) -> tuple[tuple[str, Array, float, str], ...]:
    return (
        ("all paths", block.map, block.theoretical, RESIDUAL),
        ("shortcuts alone", block.shortcut_map, block.shortcut_theoretical, IDENTITY),
    )


def _square(values: Array, width: float, references: dict[str, str], theme: Theme) -> list[dict[str, object]]:
    """The theoretical field around its centre; None if it does not lie inside the image."""
    rows, columns = (np.flatnonzero(values.any(axis)) for axis in (1, 0))
    if not len(rows) or not 0 < width < len(values):
        return []
    x, y = (columns[0] + columns[-1]) / 2, (rows[0] + rows[-1]) / 2
    half = width / 2
    line = {"color": theme.text, "width": 1.5, "dash": "dash"}
    return [{"type": "rect", "x0": x - half, "x1": x + half, "y0": y - half, "y1": y + half, "line": line, **references}]


def _pixels(width: float) -> str:
    return f"{width:.0f}"


def _along(block: BlockField) -> str:
    if not block.shortcut_effective:
        return "and has no shortcuts"
    return f"along the shortcuts alone {_pixels(block.shortcut_effective)}"


def _finding(fields: ReceptiveFields) -> str:
    last = fields.blocks[-1]
    if math.isnan(last.theoretical):
        return f"The last block sees {_pixels(last.effective)} pixels across"
    if math.isinf(last.theoretical):
        return f"The last block can see the whole image and sees {_pixels(last.effective)} pixels across"
    seen = f"sees {_pixels(last.effective)} of this image's {fields.side}"
    return f"The last block can see {last.theoretical:.0f} pixels across and {seen}"
