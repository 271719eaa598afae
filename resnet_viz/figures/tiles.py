"""Channels side by side as one small image, for figures that show several tensors at once."""

import math
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from resnet_viz.analyses.activations import Array
from resnet_viz.figures.theme import Theme, rgb, signed_palette

GAP = 1
TilePixels = NDArray[np.uint8]


def signed_pixels(values: Array, limit: float) -> TilePixels:
    """Colour signed values of any shape, from -limit to limit with 0 in the middle; RGB is a new last axis."""
    palette = signed_palette()
    middle = len(palette) // 2
    index = np.rint(np.clip(values / limit, -1, 1) * middle).astype(np.int16) + middle
    colours: TilePixels = palette[index]
    return colours


def hatched(height: int, width: int, theme: Theme) -> TilePixels:
    """A tile with diagonal strokes, RGB (height, width, 3), which marks an empty channel."""
    rows, columns = np.indices((height, width))
    stroke = ((rows + columns) % 4 == 0)[..., None]
    return np.where(stroke, rgb(theme.muted), rgb(theme.surface)).astype(np.uint8)


def tiles(maps: Array, limit: float, columns: int, theme: Theme, *, empty: Collection[int] = ()) -> Image.Image:
    """Arrange channels (C, H, W) in rows, channel 0 at the top left, on one signed scale; `empty` ones are hatched."""
    count, height, width = maps.shape
    rows = math.ceil(count / columns)
    canvas = np.empty((rows * columns, height + GAP, width + GAP, 3), np.uint8)
    canvas[:] = rgb(theme.surface)
    canvas[:count, :height, :width] = signed_pixels(maps, limit)
    for channel in empty:
        canvas[channel, :height, :width] = hatched(height, width, theme)
    sheet = canvas.reshape(rows, columns, height + GAP, width + GAP, 3).swapaxes(1, 2)
    return Image.fromarray(np.ascontiguousarray(sheet.reshape(rows * (height + GAP), columns * (width + GAP), 3)))
