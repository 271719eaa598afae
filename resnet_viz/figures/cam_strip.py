"""Grad-CAM of every block over the crop, from the first block to the last, in rows by stage."""

import numpy as np
import plotly.graph_objects as go
from PIL import Image, ImageOps

from resnet_viz.analyses.inspection import BlockInspection, Inspection
from resnet_viz.figures.pictures import data_url
from resnet_viz.figures.theme import ATTRIBUTION, LIGHT, Theme, finish, short

TILE, GAP, TITLE = 92, 6, 20
MOST_COLUMNS = 11


def cam_strip(inspection: Inspection, selected: str | None = None, theme: Theme = LIGHT) -> go.Figure:
    """Draw a tile a block, each darkest at its own peak, whose value in logits stands under it; click to open a block."""
    columns = min(MOST_COLUMNS, len(inspection.blocks))
    rows = -(-len(inspection.blocks) // columns)
    width, height = columns * (TILE + GAP), rows * (TILE + TITLE + GAP)
    sheet = Image.new("RGBA", (width, height))
    crop = ImageOps.fit(Image.fromarray(inspection.seen), (TILE, TILE), Image.Resampling.BILINEAR)
    fig, corners = go.Figure(), []
    for number, block in enumerate(inspection.blocks):
        row, column = divmod(number, columns)
        corners.append((column * (TILE + GAP), row * (TILE + TITLE + GAP) + TITLE))
        sheet.paste(_tile(crop, block), corners[-1])
        fig.add_annotation(
            x=corners[-1][0], y=corners[-1][1] - 3, text=f"<b>{short(block.name)}</b> peak {block.cam.max():.2g}",
            showarrow=False, xanchor="left", yanchor="bottom", font={"size": 11, "color": theme.text},
        )  # fmt: skip
    fig.add_layout_image(source=data_url(sheet), x=0, y=0, sizex=width, sizey=height, xref="x", yref="y", layer="below")
    for block, (x, y) in zip(inspection.blocks, corners, strict=True):
        if block.name == selected:
            fig.add_shape(
                type="rect", x0=x - 2, y0=y - 2, x1=x + TILE + 1, y1=y + TILE + 1, line={"color": theme.text, "width": 2.5}
            )
    still = {"marker": {"opacity": 0}}
    fig.add_trace(
        go.Scatter(
            x=[x + TILE / 2 for x, _ in corners],
            y=[y + TILE / 2 for _, y in corners],
            mode="markers",
            marker={"size": TILE - 4, "symbol": "square", "opacity": 0},
            selected=still,
            unselected=still,
            customdata=[block.name for block in inspection.blocks],
            text=[f"block {short(block.name)}<br>Grad-CAM mass {block.measures.cam_mass:.3g}" for block in inspection.blocks],
            hovertemplate="%{text}<extra></extra>",
        )
    )
    fig.update_xaxes(visible=False, range=[0, width], fixedrange=True)
    fig.update_yaxes(visible=False, range=[height, 0], fixedrange=True)
    margin = {"l": 0, "r": 0, "t": 44, "b": 0}
    fig.update_layout(
        width=width, height=height + 44, margin=margin, dragmode=False, clickmode="event+select", showlegend=False
    )
    masses = [(block.measures.cam_mass, short(block.name)) for block in inspection.blocks]
    finding = f"The evidence for {inspection.target_label} is strongest after block {max(masses)[1]}"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="Each tile is darkest at its own peak. Early blocks see edges, late ones whole things.",
        alt=f"{finding}. Grad-CAM mass by block: {', '.join(f'{name} {mass:.3g}' for mass, name in masses)}.",
    )


def _tile(crop: Image.Image, block: BlockInspection) -> Image.Image:
    peak = float(block.cam.max()) or 1.0
    strength = np.asarray(Image.fromarray(block.cam / peak).resize((TILE, TILE), Image.Resampling.BILINEAR))[..., None] * 0.85
    grey = np.asarray(crop.convert("L"), np.float32)[..., None] * 0.7 + 60
    colour = np.array([int(ATTRIBUTION[i : i + 2], 16) for i in (1, 3, 5)], np.float32)
    return Image.fromarray((grey * (1 - strength) + colour * strength).clip(0, 255).astype(np.uint8))
