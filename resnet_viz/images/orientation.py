"""The orientation of a photo: from its EXIF block, ImageMagick's copy of that block in a PNG, or its XMP packet."""

import re
import struct
from collections.abc import Mapping
from typing import Any

from PIL import Image

from resnet_viz.images.tiff_directory import number, read_directory

# EXIF orientation -> the transposition that makes the image upright; 1 is upright.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip
# The keys of Pillow's `Image.info` under which these three are found.
EXIF, XMP = ("exif",), ("XML:com.adobe.xmp", "xmp")
RAW_EXIF, RAW_XMP = ("Raw profile type exif", "Raw profile type APP1"), ("Raw profile type xmp", "Raw profile type APP1")

_EXIF_HEAD = b"Exif\0\0"
_TAG = 274
_IN_XMP = re.compile(rb"tiff:Orientation(?:\s*=\s*[\"']|>)\s*([1-8])")
_LONGEST = 1 << 20  # Bytes of metadata that are examined; EXIF blocks and XMP packets have at most 64 KB in a JPEG.


def find_turn(info: Mapping[Any, Any], *, ignore_xmp: bool = False) -> Image.Transpose | None:
    """Return the transposition that makes an image upright, from Pillow's `Image.info`; None if it is upright or unknown.

    The first of EXIF, raw EXIF profile, XMP and raw XMP profile that states an orientation decides.
    """
    raw_exif = (block for block in map(_from_hex, _values(info, RAW_EXIF)) if block.startswith((_EXIF_HEAD, b"II", b"MM")))
    for block in (*_values(info, EXIF), *raw_exif):
        if found := _from_exif(block):
            return TURNS.get(found)
    if not ignore_xmp:
        for packet in (*_values(info, XMP), *map(_from_hex, _values(info, RAW_XMP))):
            if match := _IN_XMP.search(packet):
                return TURNS.get(int(match[1]))
    return None


def _values(info: Mapping[Any, Any], keys: tuple[str, ...]) -> list[bytes]:
    values = [info.get(key) for key in keys]
    encoded = [value.encode("utf-8", "replace") if isinstance(value, str) else value for value in values]
    return [value[:_LONGEST] for value in encoded if isinstance(value, bytes)]


def _from_hex(profile: bytes) -> bytes:
    """Read ImageMagick's raw profile: a line with its name, one with its length, lines of hexadecimal digits."""
    try:
        return bytes.fromhex(profile.decode("ascii").split("\n", 3)[3])
    except (IndexError, ValueError):
        return b""


def _from_exif(block: bytes) -> int | None:
    try:
        order, entries = read_directory(block.removeprefix(_EXIF_HEAD))
        return number(order, entries[_TAG])
    except (KeyError, struct.error):
        return None  # A photo with unreadable EXIF data is still a photo.
