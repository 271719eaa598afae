"""One module per format: each reduces a file to what its pixels need, and reports its declared size, in linear time.

A function `strip(data)` returns a `Stripped`; it may raise IndexError, KeyError, ValueError or struct.error for a damaged file.
"""

from collections.abc import Callable
from typing import Final

from resnet_viz.images.formats import bmp, gif, heif, jpeg, png, tiff, webp
from resnet_viz.images.formats.detection import recognise
from resnet_viz.images.formats.stripped import Stripped

STRIP: Final[dict[str, Callable[[bytes], Stripped]]] = {
    "JPEG": jpeg.strip, "PNG": png.strip, "WebP": webp.strip, "AVIF": heif.strip_avif, "HEIC": heif.strip_heic,
    "GIF": gif.strip, "BMP": bmp.strip, "TIFF": tiff.strip,
}  # fmt: skip

__all__ = ["STRIP", "Stripped", "recognise"]
