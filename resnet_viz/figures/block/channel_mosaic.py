"""All channels of one tensor of a block as tiles of a single image, and one channel as a heatmap with its values.

The mosaic is one PNG, seven times smaller than one heatmap per channel. An invisible point on each tile receives clicks; its
`customdata` is the channel.
"""

import math

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from PIL import Image

from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.inspection import BlockInspection
from resnet_viz.figures.block.block_equation import HOVER, term_maps, term_name
from resnet_viz.figures.block.equation_words import Term
from resnet_viz.figures.cells import STACKED
from resnet_viz.figures.data_urls import data_url
from resnet_viz.figures.theme import LIGHT, SIGNED, Theme, finish, rgb, short, signed_palette

GAP = 1
# An eye cannot distinguish more than 63 colours in a tile; the last number is the gap between tiles.
ZERO, BETWEEN = 31, 63
WIDTH, ONE, TOP = 840, 500, 44


def channel_mosaic(
    block: BlockInspection, term: Term, selected: int | None = None, theme: Theme = LIGHT, *, width: int = WIDTH
) -> go.Figure:
    """Draw every channel of a term, channel 0 at the top left, on one signed scale; the `selected` channel is framed."""
    name = f"the {term_name(block, term)} of block {short(block.name)}"
    return mosaic(term_maps(block, term), name, selected, theme, room=width)


def strongest_channel(block: BlockInspection, term: Term) -> int:
    """Return the channel of a term with the largest norm."""
    maps = term_maps(block, term)
    return int(np.linalg.norm(maps.reshape(len(maps), -1), axis=1).argmax())


def columns_of(count: int, room: int = WIDTH) -> int:
    """Return how many tiles stand in a row: a power of two, like the numbers of channels, so that rows are full."""
    columns: int = 2 ** math.ceil(math.log2(1.2 * math.sqrt(count)))
    return max(1, columns // 2) if room < STACKED else columns


def mosaic(
    maps: Array,
    name: str,
    selected: int | None = None,
    theme: Theme = LIGHT,
    *,
    limit: float | None = None,
    highest: int | None = None,
    room: int = WIDTH,
) -> go.Figure:
    """Draw maps (C, H, W) called `name` as tiles on a signed scale with the limit `limit`, by default the largest value.

    `highest` is the maximal height of the tiles in pixels and `room` their width: on a phone, rows are shorter.
    """
    count, height, width = maps.shape
    columns, phone = columns_of(count, room), room < STACKED
    rows = math.ceil(count / columns)
    end = limit or float(np.abs(maps).max()) or 1.0
    pixels = _tiles(_levels(maps, end), rows, columns)
    shown = min(room, round((highest or (2 if phone else 1) * room) * pixels.shape[1] / pixels.shape[0]))
    fig = go.Figure(go.Image(source=_png(pixels, theme), hoverinfo="skip"))
    fig.add_trace(_targets(maps, columns, shown))
    if selected is not None:
        top, left = selected // columns * (height + GAP), selected % columns * (width + GAP)
        corners = {"x0": left - 1, "y0": top - 1, "x1": left + width, "y1": top + height}
        fig.add_shape(type="rect", **corners, line={"color": "white", "width": 6})
        fig.add_shape(type="rect", **corners, line={"color": "black", "width": 3})
    still = {"visible": False, "constrain": "domain"}
    fig.update_layout(
        xaxis=still | {"range": [-1, pixels.shape[1] - 0.5], "constraintoward": "left"},
        yaxis=still | {"range": [pixels.shape[0] - 0.5, -1], "scaleanchor": "x", "constraintoward": "top"},
        width=shown,
        height=TOP + round(shown * pixels.shape[0] / pixels.shape[1]),
        margin={"l": 0, "r": 0, "t": TOP, "b": 0},
        clickmode="event+select",
        overwrite=True,
    )
    norms = np.linalg.norm(maps.reshape(count, -1), axis=1)
    strongest, silent = int(norms.argmax()), int((norms == 0).sum())
    finding = f"Channel {strongest} of {count} has the largest norm in {name}"
    rest = f"; {silent} {'is' if silent == 1 else 'are'} 0 everywhere" if silent else ""
    return finish(
        fig,
        theme,
        finding=finding + rest,
        how_to_read=f"One tile per channel, all on one scale, ±{end:.3g}: red is positive, blue negative. Click a tile for "
        f"its values.",
        alt=f"{finding}{rest}. A mosaic of {count} maps of {height} by {width} pixels.",
    )


def channel_map(block: BlockInspection, term: Term, channel: int, theme: Theme = LIGHT, *, width: int = ONE) -> go.Figure:
    """Draw one channel of a term as a heatmap with its values; x and y are columns and rows of the feature map."""
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
            hovertemplate=HOVER,
        )
    )
    axis = {"constrain": "domain", "showgrid": False}
    fig.update_layout(
        xaxis=axis | {"title": "column"},
        yaxis=axis | {"title": "row", "autorange": "reversed", "scaleanchor": "x", "constraintoward": "top"},
        width=width,
        height=TOP + width - 92,
        margin={"l": 52, "r": 0, "t": TOP, "b": 48},
        overwrite=True,
    )
    name = f"Channel {channel} of {term_name(block, term)}, block {short(block.name)}"
    finding = f"{name}: {values.min():.2f} to {values.max():.2f}".replace("-", "−")
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"Red is positive, blue negative, ±{limit:.3g}.",
        alt=f"{finding}, mean {values.mean():.3g}.",
    )


def _levels(maps: Array, limit: float) -> NDArray[np.uint8]:
    """Signed values -> indices of colours, 0 to 62; 0 gets the middle one."""
    levels: NDArray[np.uint8] = (np.rint(np.clip(maps / limit, -1, 1) * ZERO) + ZERO).astype(np.uint8)
    return levels


def _tiles(levels: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint8]:
    """Arrange tiles (C, H, W) in rows with a gap between them."""
    count, height, width = levels.shape
    canvas = np.full((rows, height + GAP, columns, width + GAP), BETWEEN, np.uint8)
    for tile in range(count):
        canvas[tile // columns, :height, tile % columns, :width] = levels[tile]
    return canvas.reshape(rows * (height + GAP), columns * (width + GAP))


def _png(pixels: NDArray[np.uint8], theme: Theme) -> str:
    """Indices of colours -> an image with a palette, which makes the file a third of the size."""
    every = signed_palette()
    colours = every[np.rint(np.linspace(0, len(every) - 1, BETWEEN)).astype(int)]
    picture = Image.fromarray(pixels, "P")
    picture.putpalette(np.concatenate([colours, [rgb(theme.surface)]]).astype(np.uint8).tobytes())
    return data_url(picture)


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
