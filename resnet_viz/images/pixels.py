"""Pixels of any mode -> 8-bit RGB, upright: the one place for this conversion, for files and for PIL images alike.

Wide modes are converted in bands of rows: the working memory is the image, its result, and one band.
"""

from collections.abc import Callable, Iterator
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from resnet_viz.images.limits import ImageError, check_shape, decoding
from resnet_viz.images.orientation import EXIF, RAW_EXIF, RAW_XMP, XMP, find_turn

_BAND_PIXELS = 1 << 20
_TURNING = {*EXIF, *RAW_EXIF, *XMP, *RAW_XMP}
_TURNED_BY_DECODER = {"AVIF", "HEIF"}  # Their container states the orientation, and decoders apply it; XMP may be out of date.

Pixels = NDArray[Any]
PixelBox = tuple[int, int, int, int]


def upright_rgb(image: Image.Image) -> Image.Image:
    """Return the image as 8-bit RGB, upright, transparency composited on white; an image that is already so is returned itself.

    Its metadata define the orientation, as `PIL.ImageOps.exif_transpose` reads them. The given image is not changed.

    Raises:
        ImageError: the image has no pixels, is too long and thin, or holds infinite values or NaN; a file that PIL opened
            and did not read yet is damaged.
        TypeError: it is a path, an array or anything else but a PIL image; the message says how to make one of it.
    """
    check_image(image)
    check_shape(image.size)
    if type(image) is Image.Image and image.mode == "RGB" and not image.info.keys() & {*_TURNING, "transparency"}:
        return image
    with decoding(f"{image.format} image" if image.format else "image"):
        raw = _raw_mode(image)
        image.load()
        turn = find_turn(image.info, ignore_xmp=image.format in _TURNED_BY_DECODER)
        upright = image if turn is None else image.transpose(turn)
        return _to_rgb(_with_transparent_colour(upright, raw))


def check_image(image: object) -> None:
    """Raise TypeError with the way to an image if this is none."""
    if isinstance(image, Image.Image):
        return
    if isinstance(image, str | PathLike):
        raise TypeError(f"the image is given by its path {str(image)!r}: open it with rv.open_image({str(image)!r})")
    if isinstance(image, bytes | bytearray | memoryview) or hasattr(image, "read"):
        raise TypeError("the image is given as a file's bytes: open it with rv.open_image(...)")
    how = {
        "ndarray": "convert an array (H, W, 3) of uint8 with PIL.Image.fromarray(array)",
        "Tensor": "convert a tensor (3, H, W) with torchvision.transforms.functional.to_pil_image(tensor)",
    }.get(type(image).__name__, "open a file with rv.open_image(path)")
    raise TypeError(f"the image is a PIL image, and this is of the type {type(image).__name__}: {how}")


def _raw_mode(image: Image.Image) -> str:
    """Return how a PNG that is not decoded yet stores its pixels ("L;2", "RGB;16B"); "" if unknown."""
    tiles = image.tile if isinstance(image, PngImageFile) else ()
    return next((tile[3] for tile in tiles if isinstance(tile[3], str)), "")


def _with_transparent_colour(image: Image.Image, raw_mode: str) -> Image.Image:
    """Convert a PNG's transparent colour as Pillow converts the pixels: 2 and 4 bits up, 16-bit colour down."""
    colour: Any = image.info.get("transparency")
    if image.mode == "L" and isinstance(colour, int) and raw_mode in ("L;2", "L;4"):
        colour = colour * 255 // (2 ** int(raw_mode[2:]) - 1)
    elif image.mode == "RGB" and isinstance(colour, tuple) and (raw_mode == "RGB;16B" or max(colour) > 255):
        colour = tuple(value >> 8 for value in colour)
    else:
        return image
    copied = image.copy()
    copied.info["transparency"] = colour
    return copied


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _grey_by_bands(image, _16_bits_to_grey(image)).convert("RGB")
    if image.mode in ("I", "F"):
        return _grey_by_bands(image, _numbers_to_grey(image)).convert("RGB")
    if image.has_transparency_data:
        return _on_white(image)
    return image if type(image) is Image.Image and image.mode == "RGB" else image.convert("RGB")


def _bands(image: Image.Image) -> Iterator[PixelBox]:
    rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield 0, top, image.width, min(top + rows, image.height)


def _on_white(image: Image.Image) -> Image.Image:
    canvas = Image.new("RGB", image.size, "white")
    for box in _bands(image):
        band = image.crop(box)
        rgba = (band.convert("LA") if band.mode == "La" else band).convert("RGBA")
        canvas.paste(rgba, box, mask=rgba.getchannel("A"))
    return canvas


def _grey_by_bands(image: Image.Image, to_grey: Callable[[Pixels], Pixels]) -> Image.Image:
    grey = Image.new("L", image.size)
    for box in _bands(image):
        grey.paste(Image.fromarray(to_grey(np.asarray(image.crop(box))).astype(np.uint8)), box)
    return grey


def _16_bits_to_grey(image: Image.Image) -> Callable[[Pixels], Pixels]:
    tags = getattr(image, "tag_v2", {})
    full = 4095 if tags.get(258) == (12,) else 65535

    def to_grey(values: Pixels) -> Pixels:
        grey = (values.astype(np.uint32) * 255 + full // 2) // full
        if tags.get(262) == 0:  # White is zero, which Pillow inverts for 8 bits only.
            grey = 255 - grey
        if "transparency" in image.info:
            grey[values == image.info["transparency"]] = 255
        return grey

    return to_grey


def _numbers_to_grey(image: Image.Image) -> Callable[[Pixels], Pixels]:
    tags = getattr(image, "tag_v2", {})
    # Pillow has no unsigned 32-bit mode.
    unsigned = tags.get(258) == (32,) and tags.get(339, (1,)) == (1,)

    def read(values: Pixels) -> Pixels:
        return values.view(np.uint32) if unsigned else values

    found = [(band.min(), band.max()) for band in (read(np.asarray(image.crop(box))) for box in _bands(image))]
    extremes = np.array(found, np.float64)  # 64 bits: the range of two floats may overflow 32.
    if not np.isfinite(extremes).all():
        raise ImageError("Some pixels of this image are infinite or NaN. Replace these values and save the image again.")
    low, high = float(extremes[:, 0].min()), float(extremes[:, 1].max())
    start, scale = (0.0, 255.0 if high <= 1 else 1.0) if low >= 0 and high <= 255 else (low, 255 / (high - low or 1))

    def to_grey(values: Pixels) -> Pixels:
        grey = np.subtract(read(values), start, dtype=np.float64)
        grey *= scale
        return np.rint(grey, out=grey)

    return to_grey
