"""All channels of one tensor of a block as tiles of a single picture, and one channel as a true heatmap.

The mosaic is one PNG, seven times smaller than a heatmap a channel; an invisible point on each tile, whose `customdata` is the
channel, answers the mouse.
"""

import math

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from PIL import Image

from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.inspection import BlockInspection
from resnet_viz.figures.block.block_equation import Term, term_maps, term_name
from resnet_viz.figures.pictures import data_url
from resnet_viz.figures.theme import LIGHT, SIGNED, Theme, finish, rgb, short, signed_palette

GAP = 1
WIDTH, TOP = 760, 44


def channel_mosaic(block: BlockInspection, term: Term, selected: int | None = None, theme: Theme = LIGHT) -> go.Figure:
    """Draw every channel of a term, channel 0 at the top left, on one signed scale; the `selected` channel is framed."""
    return mosaic(term_maps(block, term), f"the {term} of block {short(block.name)}", selected, theme)


def mosaic(
    maps: Array,
    name: str,
    selected: int | None = None,
    theme: Theme = LIGHT,
    *,
    limit: float | None = None,
    highest: int | None = None,
) -> go.Figure:
    """Draw maps (C, H, W) called `name` as tiles on a signed scale that ends at `limit`, by default the largest value.

    `highest` is the height in pixels that the tiles may take at most.
    """
    count, height, width = maps.shape
    # A power of two, like the numbers of channels, so that rows are full.
    columns = 2 ** math.ceil(math.log2(1.2 * math.sqrt(count)))
    rows = math.ceil(count / columns)
    end = limit or float(np.abs(maps).max()) or 1.0
    pixels = _tiles(_colours(maps, end), rows, columns, theme)
    shown = min(WIDTH, round((highest or WIDTH) * pixels.shape[1] / pixels.shape[0]))
    fig = go.Figure(go.Image(source=_png(pixels), hoverinfo="skip"))
    fig.add_trace(_targets(maps, columns, shown))
    if selected is not None:
        top, left = selected // columns * (height + GAP), selected % columns * (width + GAP)
        corners = {"x0": left - 1, "y0": top - 1, "x1": left + width, "y1": top + height}
        fig.add_shape(type="rect", **corners, line={"color": "white", "width": 6})
        fig.add_shape(type="rect", **corners, line={"color": "black", "width": 3})
    fig.update_layout(
        xaxis={"visible": False, "fixedrange": True, "range": [-1, pixels.shape[1] - 0.5]},
        yaxis={"visible": False, "fixedrange": True, "range": [pixels.shape[0] - 0.5, -1], "scaleanchor": "x"},
        width=shown,
        height=TOP + round(shown * pixels.shape[0] / pixels.shape[1]),
        margin={"l": 0, "r": 0, "t": TOP, "b": 0},
        dragmode=False,
        clickmode="event+select",
        hovermode="closest",
        overwrite=True,
    )
    norms = np.linalg.norm(maps.reshape(count, -1), axis=1)
    strongest, silent = int(norms.argmax()), int((norms == 0).sum())
    finding = f"Channel {strongest} of {count} is strongest in {name}"
    rest = f", {silent} are 0 everywhere" if silent else ""
    return finish(
        fig,
        theme,
        finding=finding + rest,
        how_to_read=f"One tile a channel, one scale, ±{end:.3g}: red above 0, blue below. Click a tile to see it alone.",
        alt=f"{finding}{rest}. A mosaic of {count} maps of {height} by {width} pixels.",
    )


def channel_map(block: BlockInspection, term: Term, channel: int, theme: Theme = LIGHT) -> go.Figure:
    """Draw one channel of a term as a heatmap with its values; x and y are pixels of the feature map."""
    values = term_maps(block, term)[channel]
    limit = float(np.abs(values).max()) or 1.0
    bar = {"thickness": 10, "outlinewidth": 0, "title": {"text": "value"}}
    fig = go.Figure(
        go.Heatmap(
            z=values,
            zmin=-limit,
            zmax=limit,
            colorscale=SIGNED,
            colorbar=bar,
            hovertemplate="x %{x}, y %{y}<br>%{z:.4f}<extra></extra>",
        )
    )
    fig.update_layout(
        xaxis={"title": "x (pixels)", "constrain": "domain", "showgrid": False},
        yaxis={"title": "y (pixels)", "autorange": "reversed", "scaleanchor": "x", "constrain": "domain", "showgrid": False},
        width=460,
        height=420,
        margin={"l": 52, "r": 0, "t": TOP, "b": 48},
        overwrite=True,
    )
    name = f"Channel {channel} of {term_name(block, term)}, block {short(block.name)}"
    finding = f"{name}: {values.min():.2f} to {values.max():.2f}"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"Red above 0, blue below, ±{limit:.3g}.",
        alt=f"{finding}, mean {values.mean():.3g}.",
    )


def _colours(maps: Array, limit: float) -> NDArray[np.uint8]:
    """Signed values (C, H, W) -> RGB uint8 (C, H, W, 3); 0 takes the middle colour."""
    palette = signed_palette()
    middle = len(palette) // 2
    index = np.rint(np.clip(maps / limit, -1, 1) * middle).astype(np.int16) + middle
    colours: NDArray[np.uint8] = palette[index]
    return colours


def _tiles(colours: NDArray[np.uint8], rows: int, columns: int, theme: Theme) -> NDArray[np.uint8]:
    """Lay tiles (C, H, W, 3) out in rows with a gap between them."""
    count, height, width, _ = colours.shape
    canvas = np.empty((rows, height + GAP, columns, width + GAP, 3), np.uint8)
    canvas[:] = rgb(theme.surface)
    for tile in range(count):
        canvas[tile // columns, :height, tile % columns, :width] = colours[tile]
    return canvas.reshape(rows * (height + GAP), columns * (width + GAP), 3)


def _png(pixels: NDArray[np.uint8]) -> str:
    # 127 colours are more than an eye tells apart in a tile, and a palette makes the file a third of the size.
    return data_url(Image.fromarray(pixels).quantize(127, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE))


def _targets(maps: Array, columns: int, shown: int) -> go.Scatter:
    count, height, width = maps.shape
    channels = np.arange(count)
    means, extremes = maps.mean((1, 2)), np.abs(maps).max((1, 2))
    still = {"marker": {"opacity": 0}}
    return go.Scatter(
        x=channels % columns * (width + GAP) + (width - 1) / 2,
        y=channels // columns * (height + GAP) + (height - 1) / 2,
        mode="markers",
        marker={"size": max(6, round(0.9 * shown / columns)), "symbol": "square", "opacity": 0},
        selected=still,
        unselected=still,
        customdata=list(range(count)),
        text=[f"mean {mean:.3f}<br>largest |value| {extreme:.3f}" for mean, extreme in zip(means, extremes, strict=True)],
        hovertemplate="channel %{customdata}<br>%{text}<extra></extra>",
        showlegend=False,
    )
