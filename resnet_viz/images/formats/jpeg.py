"""JPEG: segments between markers; comments, profiles and previews are removed."""

import re
import struct

from resnet_viz.images.formats.stripped import Stripped, check_count

_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")  # not FF00 and FFD0..D7, which occur inside the pixel data
# Padding in a scan: libjpeg asks for more data until it ends, and Pillow copies all that it has each time.
_PADDING = re.compile(rb"\xff{2,}")
_MAX_SEGMENTS = 5_000  # a photo has about 20; metadata in pieces of 64 KB and a table for each scan are fewer than 1,000
_MAX_SCANS = 64  # progressive files have about 10, and each costs a pass over all pixels
_MAX_SCANNED_PIXELS = 1_200_000_000
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"


def strip(data: bytes) -> Stripped:
    """Keep what is needed to decode the pixels, up to the end of the first image."""
    kept, size, at = [data[:2]], (0, 0), 2
    info: dict[str, bytes] = {}
    segments = scans = 0
    while found := _MARKER.search(data, at):
        marker, start = found[1][0], found.end()
        end = start + (0 if marker == 0xD9 else int.from_bytes(data[start : start + 2], "big"))
        segments += 1
        check_count(segments, _MAX_SEGMENTS, "segments")
        if marker == 0xDA:  # a scan: its pixel data run to the next marker
            following = _MARKER.search(data, end)
            end = following.start() if following else len(data)
            scans += 1
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            size = struct.unpack_from(">xxxHH", data, start)[::-1]
        if marker == 0xE1:
            _keep_metadata(info, data[start + 2 : end])
        elif marker <= 0xE0 or marker == 0xEE:  # E0 and EE, JFIF and Adobe, say how the colours are stored
            segment = data[start:end]
            kept.append(b"\xff" + found[1] + (_unpadded(segment) if marker == 0xDA else segment))
        if marker == 0xD9:
            break
        at = end
    check_count(scans, _MAX_SCANS, "scans")
    check_count(scans * size[0] * size[1], _MAX_SCANNED_PIXELS, "pixels in all scans")
    return Stripped(b"".join(kept), size, info)


def _unpadded(scan: bytes) -> bytes:
    # Few scans have padding, and the search for two bytes takes a hundredth of the time of the expression.
    return _PADDING.sub(b"\xff", scan) if b"\xff\xff" in scan else scan


def _keep_metadata(info: dict[str, bytes], segment: bytes) -> None:
    for key, head in (("exif", _EXIF), ("xmp", _XMP)):
        if segment.startswith(head):
            info.setdefault(key, segment[len(head) :])
