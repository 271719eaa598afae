"""TIFF: the first directory, with the tags that define how pixels are stored; texts, profiles and other pages are removed."""

import struct

from resnet_viz.images.formats.stripped import Stripped, check_count
from resnet_viz.images.tiff_directory import count, number, numbers, read_directory

_TAGS = {*range(256, 270), *range(271, 348), *range(512, 533)}  # the image's shape and storage, no description
_WIDTH, _HEIGHT, _COMPRESSION, _ORIENTATION, _TILE_WIDTH, _TILE_HEIGHT, _XMP = 256, 257, 259, 274, 322, 323, 700
_PLACES = ((273, 279), (324, 325))  # offsets and byte counts of strips, and of tiles
_LZMA = 34925  # a decoder of it allocates what the file asks for
_MAX_VALUES = 200_000  # a tag's; the colours of a 16-bit palette, and one strip for each row of the largest image, are fewer
_MAX_ALL_VALUES = 600_000


def strip(data: bytes) -> Stripped:
    """Keep one directory and refuse what makes a small file expensive: giant tiles, tags, and strips that share their bytes."""
    order, every = read_directory(data)
    entries = {tag: every[tag] for tag in sorted(_TAGS & every.keys())}
    counts = [count(order, entry) for entry in entries.values()]
    check_count(max(counts), _MAX_VALUES, "values of a tag")
    check_count(sum(counts), _MAX_ALL_VALUES, "values of all tags")
    width, height, across, down, compression = (
        number(order, entries.get(tag, bytes(12))) for tag in (_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT, _COMPRESSION)
    )
    if across * down > max(1 << 24, width * height * 9 // 8):  # a tile is decoded whole, whatever the image shows of it
        raise ValueError(f"tiles of {across} x {down} pixels, larger than the image")
    if compression == _LZMA:
        raise ValueError("LZMA compression")
    _check_places(order, entries, data)
    body = data[8:] + bytes(len(data) % 2)
    head = data[:4] + struct.pack(order + "I", 8 + len(body))
    directory = struct.pack(order + "H", len(entries)) + b"".join(entries.values()) + bytes(4)
    return Stripped(head + body + directory, (width, height), _metadata(order, every, data))


def _check_places(order: str, entries: dict[int, bytes], data: bytes) -> None:
    """Refuse strips or tiles that together are larger than the file: they share bytes, which are decoded once for each."""
    for offsets_tag, lengths_tag in _PLACES:
        if lengths_tag in entries and offsets_tag in entries:
            total = sum(numbers(order, entries[lengths_tag], data))
            if total > len(data):
                raise ValueError(f"strips or tiles of {total:,} bytes in a file of {len(data):,}")


def _metadata(order: str, entries: dict[int, bytes], data: bytes) -> dict[str, bytes]:
    """Return the XMP packet of an image without an orientation tag, which Pillow would follow."""
    if _ORIENTATION in entries or _XMP not in entries:
        return {}
    (start,) = struct.unpack_from(order + "I", entries[_XMP], 8)
    return {"xmp": data[start : start + count(order, entries[_XMP])]}
