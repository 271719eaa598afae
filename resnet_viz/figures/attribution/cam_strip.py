"""Grad-CAM of every block over the crop, from the first block to the last, in rows by stage.

A value of a Grad-CAM is a cell's part of the logit, and the cells of an early block are many and small: on one scale tiles are
compared by logits per area, so that what is tinted in a tile adds up to its block's Grad-CAM mass.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from PIL import Image, ImageOps

from resnet_viz.analyses.inspection import BlockInspection, Inspection
from resnet_viz.figures.attribution.overlay import tint
from resnet_viz.figures.block.block_equation import Scale
from resnet_viz.figures.pictures import data_url
from resnet_viz.figures.theme import LIGHT, Theme, finish, short

TILE, GAP, TITLE, TOP = 92, 6, 20, 44
MOST_COLUMNS = 11


@dataclass(frozen=True)
class _Tile:
    """A block's place on the sheet: the left and upper edge of its picture, in pixels."""

    block: BlockInspection
    left: int
    top: int


def cam_strip(
    inspection: Inspection, selected: str | None = None, theme: Theme = LIGHT, *, scale: Scale = "shared"
) -> go.Figure:
    """Draw a tile a block, on one scale or each on its own, with its size above it in logits; click to open a block."""
    tiles = list(_tiles(inspection))
    width, height = max(tile.left for tile in tiles) + TILE + GAP, tiles[-1].top + TILE + GAP
    sheet = _sheet(inspection, tiles, (width, height), scale)
    fig = go.Figure(_targets(tiles))
    fig.add_layout_image(source=data_url(sheet), x=0, y=0, sizex=width, sizey=height, xref="x", yref="y", layer="below")
    fig.update_layout(
        xaxis={"visible": False, "range": [0, width], "fixedrange": True},
        yaxis={"visible": False, "range": [height, 0], "fixedrange": True},
        annotations=[_caption(tile, scale, theme) for tile in tiles],
        shapes=[_frame(tile, theme) for tile in tiles if tile.block.name == selected],
        width=width,
        height=height + TOP,
        margin={"l": 0, "r": 0, "t": TOP, "b": 0},
        dragmode=False,
        clickmode="event+select",
        showlegend=False,
        overwrite=True,
    )
    finding = _finding(inspection)
    spoken = ", ".join(f"{short(block.name)} {block.measures.cam_mass:.3g}" for block in inspection.blocks)
    finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"{_reading(scale)} Early blocks see edges, late ones whole things.",
        alt=f"{finding}. Grad-CAM mass by block: {spoken}.",
    )
    # Where a window too narrow for a whole row should look.
    focus = next(((tile.left + TILE / 2) / width for tile in tiles if tile.block.name == selected), 0.0)
    return fig.update_layout(meta=fig.layout.meta | {"focus": focus})


def _tiles(inspection: Inspection) -> Iterator[_Tile]:
    for number, block in enumerate(inspection.blocks):
        row, column = divmod(number, MOST_COLUMNS)
        yield _Tile(block, column * (TILE + GAP), row * (TILE + TITLE + GAP) + TITLE)


def _sheet(inspection: Inspection, tiles: list[_Tile], size: tuple[int, int], scale: Scale) -> Image.Image:
    """All tiles on one transparent picture."""
    sheet = Image.new("RGBA", size)
    crop = ImageOps.fit(Image.fromarray(inspection.seen), (TILE, TILE), Image.Resampling.BILINEAR)
    largest = max(_density(tile.block) for tile in tiles) or 1.0
    for tile in tiles:
        limit = largest / tile.block.cam.size if scale == "shared" else float(tile.block.cam.max()) or 1.0
        sheet.paste(tint(crop, tile.block.cam, limit), (tile.left, tile.top))
    return sheet


def _density(block: BlockInspection) -> float:
    """Return the peak in logits per area, the whole picture's being 1."""
    return float(block.cam.max()) * block.cam.size


def _caption(tile: _Tile, scale: Scale, theme: Theme) -> dict[str, Any]:
    size = f"sum {tile.block.measures.cam_mass:.2g}" if scale == "shared" else f"peak {tile.block.cam.max():.2g}"
    return {
        "x": tile.left,
        "y": tile.top - 3,
        "text": f"<b>{short(tile.block.name)}</b> {size}",
        "showarrow": False,
        "xanchor": "left",
        "yanchor": "bottom",
        "font": {"size": 11, "color": theme.text},
    }


def _frame(tile: _Tile, theme: Theme) -> dict[str, Any]:
    corners = {"x0": tile.left - 2, "y0": tile.top - 2, "x1": tile.left + TILE + 1, "y1": tile.top + TILE + 1}
    return {"type": "rect", **corners, "line": {"color": theme.text, "width": 2.5}}


def _targets(tiles: list[_Tile]) -> go.Scatter:
    """An invisible point on each tile, which answers the mouse."""
    blocks = [tile.block for tile in tiles]
    still = {"marker": {"opacity": 0}}
    return go.Scatter(
        x=[tile.left + TILE / 2 for tile in tiles],
        y=[tile.top + TILE / 2 for tile in tiles],
        mode="markers",
        marker={"size": TILE - 4, "symbol": "square", "opacity": 0},
        selected=still,
        unselected=still,
        customdata=[block.name for block in blocks],
        text=[f"block {short(block.name)}<br>Grad-CAM mass {block.measures.cam_mass:.3g}" for block in blocks],
        hovertemplate="%{text}<extra></extra>",
    )


def _finding(inspection: Inspection) -> str:
    strongest = max(inspection.blocks, key=lambda block: block.measures.cam_mass)
    if not strongest.measures.cam_mass:
        return f"After no block anything speaks for {inspection.target_label}"
    return f"The evidence for {inspection.target_label} is strongest after block {short(strongest.name)}"


def _reading(scale: Scale) -> str:
    if scale == "shared":
        return "One scale: all the tint of a tile is its block's Grad-CAM, summed above it in logits, so that blocks compare."
    return "Each tile is darkest at its own peak, given above it in logits a cell: where, but not how much beside the others."
