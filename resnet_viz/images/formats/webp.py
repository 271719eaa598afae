"""WebP: chunks; profiles, texts and every frame but the first are removed."""

import struct

from resnet_viz.images.formats.stripped import Stripped, check_count

_MAX_CHUNKS = 50_000
_KEPT_FLAGS = 0x12  # of VP8X: animation and transparency; the others promise chunks that are taken away
_PIXEL_CHUNKS = {b"VP8X", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L"}
_METADATA = {b"EXIF": "exif", b"XMP ": "xmp"}
# Chunk -> the bits where width and height start, their number, and what is added to them.
_SIZE = {b"VP8 ": (48, 64, 14, 0), b"VP8L": (8, 22, 14, 1), b"VP8X": (32, 56, 24, 1)}


def strip(data: bytes) -> Stripped:
    """Keep the chunks of the first frame, each kind once."""
    width, height, length, more = _SIZE[data[12:16]]
    bits, mask = int.from_bytes(data[20:30], "little"), (1 << length) - 1
    size = ((bits >> width & mask) + more, (bits >> height & mask) + more)
    kept: dict[bytes, bytes] = {}
    info: dict[str, bytes] = {}
    at, chunks = 12, 0
    while at + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, at)
        end = at + 8 + length + length % 2
        chunks += 1
        check_count(chunks, _MAX_CHUNKS, "chunks")
        if name in _METADATA:
            info.setdefault(_METADATA[name], data[at + 8 : at + 8 + length])
        elif name in _PIXEL_CHUNKS and name not in kept:
            kept[name] = data[at:end]
        at = end
    if b"VP8X" in kept:
        header = kept[b"VP8X"]
        kept[b"VP8X"] = header[:8] + bytes([header[8] & _KEPT_FLAGS]) + header[9:]
    body = b"WEBP" + b"".join(kept.values())
    return Stripped(b"RIFF" + struct.pack("<I", len(body)) + body, size, info)
