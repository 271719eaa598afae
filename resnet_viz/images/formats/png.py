"""PNG: chunks; texts, profiles and the frames of an animation are removed."""

import struct
import zlib

from resnet_viz.images.formats.stripped import Stripped, check_count

_PIXEL_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_TEXT_CHUNKS = {b"tEXt", b"zTXt", b"iTXt"}
_MAX_CHUNKS = 50_000  # more than the rows of the highest image: some programs write a chunk for each row
_METADATA = (b"XML:com.adobe.xmp", b"Raw profile type exif", b"Raw profile type APP1", b"Raw profile type xmp")
_MAX_TEXT = 1 << 18  # bytes once decompressed; twice the 64 KB of an EXIF block are its hexadecimal digits


def strip(data: bytes) -> Stripped:
    """Keep the chunks of the first image; EXIF, XMP and ImageMagick's copies of them become metadata."""
    kept, at, chunks = [data[:8]], 8, 0
    info: dict[str, bytes] = {}
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + length + 12
        chunks += 1
        check_count(chunks, _MAX_CHUNKS, "chunks")
        if name in _PIXEL_CHUNKS:
            kept.append(data[at:end])
        elif name == b"eXIf":
            info["exif"] = data[at + 8 : end - 4]
        elif name in _TEXT_CHUNKS:
            _keep_metadata(info, name, data[at + 8 : end - 4])
        at = end
    return Stripped(b"".join(kept), struct.unpack_from(">II", data, 16), info)


def _keep_metadata(info: dict[str, bytes], chunk: bytes, body: bytes) -> None:
    keyword, _, rest = body.partition(b"\0")
    if keyword not in _METADATA or keyword.decode() in info:
        return
    compressed = chunk == b"zTXt"
    if chunk == b"iTXt":  # compression flag and method, language and translated keyword, both ended by a zero
        compressed, rest = rest[:1] == b"\1", rest[2:].split(b"\0", 2)[-1]
    elif compressed:
        rest = rest[1:]
    info[keyword.decode()] = b""  # a damaged one is not tried again and again
    try:
        info[keyword.decode()] = zlib.decompressobj().decompress(rest, _MAX_TEXT) if compressed else rest[:_MAX_TEXT]
    except zlib.error:
        return  # a photo whose metadata cannot be read is still a photo
