"""AVIF and HEIC: boxes that contain coded images and describe how an image is composed of them (ISO/IEC 23008-12)."""

from resnet_viz.images.formats import av1
from resnet_viz.images.formats.boxes import Box, Items, children, read_items
from resnet_viz.images.formats.stripped import Stripped, check_count
from resnet_viz.images.limits import MAX_PIXELS

_MAX_DECODED = 4 * MAX_PIXELS  # of an image, its tiles, which reach over its edges, and the same again for transparency
_MAX_CODED = 2 * MAX_PIXELS  # of one AV1 image, whose size inside may be a little larger than declared
_LEAST_COST = 4_096  # pixels that take as long to decode as it takes to begin with an image
_MAX_DEPTH = 4
_SPARE_BYTES = 1 << 22  # identical tiles share their bytes, but not many


def strip_heic(data: bytes) -> Stripped:
    """Keep the still images; libheif itself refuses those that do not have their declared size."""
    kept, items = _still(data)
    return Stripped(kept, _checked_size(items, len(data)))


def strip_avif(data: bytes) -> Stripped:
    """Keep the still images; libavif decodes the size in the coded image, whatever is declared, so it is checked here."""
    kept, items = _still(data)
    size = _checked_size(items, len(data))
    for item, kind in items.kinds.items():
        if kind == b"av01":
            coded = b"".join(data[start:end] for start, end in items.places.get(item, ()))
            for width, height in av1.sizes(coded):
                check_count(width * height, _MAX_CODED, "pixels")
    return Stripped(kept, size)


def _still(data: bytes) -> tuple[bytes, Items]:
    """Remove the track of an image sequence, which starts with a still image, and the brands that announce it."""
    kept, meta = bytearray(data), None
    for box in children(data, Box(b"", 0, len(data))):
        if box.name == b"ftyp":
            brands = bytes(kept[box.start : box.end]).replace(b"avis", b"avif")
            kept[box.start : box.end] = brands
        elif box.name == b"moov":
            kept[box.header + 4 : box.header + 8] = b"free"
        elif box.name == b"meta" and meta is None:
            meta = box
    if meta is None:
        raise ValueError("no still image")
    return bytes(kept), read_items(data, meta)


def _checked_size(items: Items, file_bytes: int) -> tuple[int, int]:
    """Return the image's size; ValueError if much more than that is decoded for it."""
    used = sum(end - start for places in items.places.values() for start, end in places)
    check_count(used, file_bytes + _SPARE_BYTES, "bytes of coded images")
    pixels = 0
    for layer in (items.primary, *(item for item, of in items.auxiliary if of == items.primary)):
        pixels += _decoded_pixels(items, layer)
        check_count(pixels, _MAX_DECODED, "decoded pixels")
    return items.sizes[items.primary]


def _decoded_pixels(items: Items, item: int, depth: int = 0) -> int:
    """Return how many pixels are decoded for an item: its own, and those of all the items that it is derived from."""
    check_count(depth, _MAX_DEPTH, "steps of derivation")
    parts = items.derived.get(item, ())
    width, height = items.sizes[item]
    pixels = max(width * height, _LEAST_COST)
    for part in parts:
        pixels += _decoded_pixels(items, part, depth + 1)
        check_count(pixels, _MAX_DECODED, "decoded pixels")
    return pixels
