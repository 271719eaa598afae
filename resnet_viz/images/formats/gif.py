"""GIF: extensions before the first frame are removed, except the one that defines the transparent colour."""

import struct

from resnet_viz.images.formats.stripped import Stripped, check_count

_MAX_BLOCKS = 100_000  # the file's limit of 20 MB holds 82,000 blocks of full length


def strip(data: bytes) -> Stripped:
    """Keep the screen, the first frame's control extension, and everything from the first frame on; one frame is decoded."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + (6 << (flags & 7) if flags & 0x80 else 0)
    head, control, blocks = data[:at], b"", 0
    while data[at] == ord("!"):
        end = at + 2
        while data[end]:
            end += 1 + data[end]
            blocks += 1
            check_count(blocks, _MAX_BLOCKS, "blocks")
        if data[at + 1] == 0xF9:
            control = data[at : end + 1]
        at = end + 1
        blocks += 1
        check_count(blocks, _MAX_BLOCKS, "blocks")
    left, top, across, down = struct.unpack_from("<4H", data, at + 1)
    return Stripped(head + control + data[at:], (max(width, left + across), max(height, top + down)))
