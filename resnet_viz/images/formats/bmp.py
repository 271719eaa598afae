"""BMP: nothing to remove; run-length codes are limited, because Pillow decodes them in Python."""

import struct

from resnet_viz.images.formats.stripped import Stripped
from resnet_viz.images.limits import ImageError

_OS2_HEADER = 12
_RUN_LENGTH = (1, 2)  # of 8-bit and of 4-bit pixels
_MAX_CODES = 1 << 21  # bytes; they take half a second, and any image of 1920 x 1080 has fewer


def strip(data: bytes) -> Stripped:
    """Return the file unchanged; ImageError for a run-length image that would take long to decode."""
    width, height = struct.unpack_from("<HH" if data[14] == _OS2_HEADER else "<ii", data, 18)
    if data[14] != _OS2_HEADER and struct.unpack_from("<I", data, 30)[0] in _RUN_LENGTH and len(data) > _MAX_CODES:
        raise ImageError(
            "This BMP image uses run-length compression and is larger than 2 MB, which takes too long to decode. Open it in "
            "an image program and save it as PNG."
        )
    return Stripped(data, (width, abs(height)))
