"""Grad-CAM of every block over the photo, from the first block to the last, in rows.

A value of a Grad-CAM is a cell's part of the logit, and early blocks have many small cells. On a common scale, tiles are
therefore compared by logits per area, so that the total tint in a tile is its block's Grad-CAM mass.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from PIL import Image

from resnet_viz.analyses.inspection import BlockInspection, Inspection
from resnet_viz.figures.attribution.backdrop import Photo, backdrop
from resnet_viz.figures.attribution.overlay import Cells, tint
from resnet_viz.figures.block.block_equation import Scale
from resnet_viz.figures.block_names import brief
from resnet_viz.figures.data_urls import data_url
from resnet_viz.figures.theme import LIGHT, Theme, finish, short

WIDTH, GAP, TITLE, TOP = 1340, 8, 20, 44
SMALLEST, LARGEST = 100, 220
# Pixels of a tile per pixel of the figure: screens have up to two.
DENSITY = 2


@dataclass(frozen=True)
class _Tile:
    """The position of a block: the left and upper edge of its image, and its side, in pixels."""

    block: BlockInspection
    left: int
    top: int
    side: int


def cam_strip(
    inspection: Inspection,
    selected: str | None = None,
    theme: Theme = LIGHT,
    *,
    scale: Scale = "shared",
    photo: Photo = None,
    cells: Cells = "smooth",
    width: int = WIDTH,
) -> go.Figure:
    """Draw one tile per block, on a common scale or each on its own, with its total in logits above it; click to open a block.

    `photo` is the network's crop as `Preprocessing.sharp` returns it; without it, the network's input is the background. Tiles
    are as large as `width` pixels allow in full rows.
    """
    tiles = list(_tiles(inspection, width))
    across, down = max(tile.left for tile in tiles) + tiles[0].side + GAP, tiles[-1].top + tiles[0].side + GAP
    names = brief([block.name for block in inspection.blocks])
    pictures = _pictures(inspection, tiles, scale, photo, cells)
    fig = go.Figure(_targets(tiles))
    fig.update_layout(
        xaxis={"visible": False, "range": [0, across]},
        yaxis={"visible": False, "range": [down, 0]},
        images=[_layer(tile, picture) for tile, picture in zip(tiles, pictures, strict=True)],
        annotations=[_caption(tile, name, scale, theme) for tile, name in zip(tiles, names, strict=True)],
        shapes=[_frame(tile, theme) for tile in tiles if tile.block.name == selected],
        width=across,
        height=down + TOP,
        margin={"l": 0, "r": 0, "t": TOP, "b": 0},
        clickmode="event+select",
        showlegend=False,
        overwrite=True,
    )
    finding = _finding(inspection)
    spoken = ", ".join(f"{short(block.name)} {block.measures.cam_mass:.3g}" for block in inspection.blocks)
    finish(fig, theme, finding=finding, how_to_read=_reading(scale), alt=f"{finding}. Grad-CAM mass by block: {spoken}.")
    # What a window that is too narrow for a whole row should scroll to.
    focus = next(((tile.left + tile.side / 2) / across for tile in tiles if tile.block.name == selected), 0.0)
    return fig.update_layout(meta=fig.layout.meta | {"focus": focus})


def _tiles(inspection: Inspection, width: int) -> Iterator[_Tile]:
    count = len(inspection.blocks)
    most = max(1, width // (SMALLEST + GAP))
    rows = -(-count // most)
    columns = -(-count // rows)
    side = min(LARGEST, width // columns - GAP)
    for number, block in enumerate(inspection.blocks):
        row, column = divmod(number, columns)
        yield _Tile(block, column * (side + GAP), row * (side + TITLE + GAP) + TITLE, side)


def _pictures(inspection: Inspection, tiles: list[_Tile], scale: Scale, photo: Photo, cells: Cells) -> Iterator[Image.Image]:
    side = DENSITY * tiles[0].side
    grey = backdrop(photo, inspection.seen).picture()
    # The photo's own pixels if it has fewer than a tile: a browser enlarges the tile.
    small = grey.resize((side, side), Image.Resampling.BOX if grey.width > side else Image.Resampling.NEAREST)
    largest = max(_density(tile.block) for tile in tiles) or 1.0
    for tile in tiles:
        limit = largest / tile.block.cam.size if scale == "shared" else float(tile.block.cam.max()) or 1.0
        yield tint(small, tile.block.cam, limit, cells) if tile.block.spatial else small


def _layer(tile: _Tile, picture: Image.Image) -> dict[str, Any]:
    place = {"x": tile.left, "y": tile.top, "sizex": tile.side, "sizey": tile.side, "xref": "x", "yref": "y"}
    return {"source": data_url(picture, "JPEG"), "xanchor": "left", "yanchor": "top", "layer": "below", **place}


def _density(block: BlockInspection) -> float:
    """Return the peak in logits per area, where the whole image has area 1; 0 if positions have no place in the image."""
    if not block.spatial:
        return 0.0
    return float(block.cam.max()) * block.cam.size


def _caption(tile: _Tile, name: str, scale: Scale, theme: Theme) -> dict[str, Any]:
    size = f"sum {tile.block.measures.cam_mass:.2g}" if scale == "shared" else f"peak {tile.block.cam.max():.2g}"
    if not tile.block.spatial:
        size = "no map"
    # The end of a long name tells blocks apart.
    letters = tile.side // 6 - len(size) - 2
    name = name if len(name) <= letters else f"…{name[1 - letters :]}"
    return {
        "x": tile.left,
        "y": tile.top - 3,
        "text": f"<b>{name}</b> {size}",
        "showarrow": False,
        "xanchor": "left",
        "yanchor": "bottom",
        "font": {"size": 11, "color": theme.text},
    }


def _frame(tile: _Tile, theme: Theme) -> dict[str, Any]:
    corners = {"x0": tile.left - 2, "y0": tile.top - 2, "x1": tile.left + tile.side + 1, "y1": tile.top + tile.side + 1}
    return {"type": "rect", **corners, "line": {"color": theme.text, "width": 2.5}}


def _targets(tiles: list[_Tile]) -> go.Scatter:
    """An invisible point on each tile, which receives clicks and shows the hover text."""
    blocks = [tile.block for tile in tiles]
    still = {"marker": {"opacity": 0}}
    return go.Scatter(
        x=[tile.left + tile.side / 2 for tile in tiles],
        y=[tile.top + tile.side / 2 for tile in tiles],
        mode="markers",
        marker={"size": tiles[0].side - 4, "symbol": "square", "opacity": 0},
        selected=still,
        unselected=still,
        customdata=[block.name for block in blocks],
        text=[_hover(block) for block in blocks],
        hovertemplate="%{text}<extra></extra>",
    )


def _hover(block: BlockInspection) -> str:
    """The block, the sum of its cells, and its largest cell."""
    row, column = divmod(int(block.cam.argmax()), block.cam.shape[1])
    return (
        f"block {short(block.name)}, {'×'.join(map(str, block.cam.shape))} cells<br>sum {block.measures.cam_mass:.3g} logits"
        f"<br>largest: row {row}, column {column}, <b>{block.cam.max():.3g}</b>"
    )


def _finding(inspection: Inspection) -> str:
    strongest = max(inspection.blocks, key=lambda block: block.measures.cam_mass)
    if not strongest.measures.cam_mass:
        return f'No block has positive evidence for "{inspection.target_label}"'
    return f'The evidence for "{inspection.target_label}" is strongest after block {short(strongest.name)}'


def _reading(scale: Scale) -> str:
    if scale == "shared":
        return (
            "All blocks on one scale: the stronger the tint, the larger the Grad-CAM. The number above a tile is the sum of its"
            " cells in logits. Click a tile to open its block."
        )
    return (
        "Each block on its own scale, up to the peak that is written above its tile in logits per cell: compare the places, not"
        " the strengths. Click a tile to open its block."
    )
