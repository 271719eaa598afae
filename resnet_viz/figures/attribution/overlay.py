"""What speaks for a class, laid over the crop that the network saw: vermillion on grey, the more the stronger."""

import numpy as np
from PIL import Image

from resnet_viz.analyses.activations import Array
from resnet_viz.figures.theme import ATTRIBUTION, rgb, translucent

# The crop in greys of the middle, so that both its edges and the tint are seen; full strength lets some of it through.
GREY_SCALE, GREY_OFFSET, MOST = 0.6, 80, 0.9

# The tint for a heatmap over a crop in colours: it ends darker, because a picture may be as orange as the tint.
VEIL = [(0, translucent(ATTRIBUTION, 0)), (0.5, translucent(ATTRIBUTION, 0.75)), (1, "rgba(120,30,0,1)")]


def tint(crop: Image.Image, values: Array, limit: float) -> Image.Image:
    """Lay values (H, W) over a crop of any size, enlarged to it bilinearly: 0 and below is grey, `limit` full tint."""
    grey = np.asarray(crop.convert("L"), np.float32)[..., None] * GREY_SCALE + GREY_OFFSET
    strength = enlarge(np.clip(values / limit, 0, 1), crop.size)[..., None] * MOST
    return Image.fromarray((grey * (1 - strength) + rgb(ATTRIBUTION).astype(np.float32) * strength).round().astype(np.uint8))


def enlarge(values: Array, size: tuple[int, int]) -> Array:
    """Interpolate (H, W) bilinearly to a size in pixels, width first."""
    enlarged: Array = np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BILINEAR))
    return enlarged
