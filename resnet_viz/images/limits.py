"""Limits of an image's cost, checked before any pixel is decoded, and the error that reports them."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

MAX_BYTES = 20 * 1024 * 1024
MAX_PIXELS = 50_000_000  # phones make 8160 x 6120
MAX_ASPECT = 50  # longest side / shortest side: networks bring the shorter side to a fixed length
MAX_DECODED_BYTES = 512 * 1024 * 1024

# Bytes that a decoder and the image it returns take per pixel at their peak, rounded up from measurements.
_BYTES_PER_PIXEL = {"JPEG": 10, "PNG": 4, "WebP": 16, "AVIF": 12, "HEIC": 8, "GIF": 4, "BMP": 4, "TIFF": 8}
_PLAUSIBLE = 8_000_000  # Pixels: smaller images are cheap enough to be decoded, whatever their file looks like.
_MAX_PIXELS_PER_BYTE = 50_000  # a blank page as a fax, the densest image that a person may have, holds 40,000

_DECODER_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, BufferError, EOFError, Image.DecompressionBombError, LookupError,
    OSError, RuntimeError, SyntaxError, TypeError, ValueError, Warning, struct.error, zlib.error,
)  # fmt: skip


class ImageError(ValueError):
    """An image that cannot be used; the message says what happened, why, and what to do next."""


def max_pixels(kind: str) -> int:
    """Return how many pixels an image of a format may have: MAX_PIXELS, or fewer if its decoder needs much memory."""
    return min(MAX_PIXELS, MAX_DECODED_BYTES // _BYTES_PER_PIXEL[kind] // 10**6 * 10**6)


def check_size(kind: str, size: tuple[int, int], file_bytes: int) -> None:
    """Raise ImageError for a size that a file of a format cannot have, or that costs too much to decode."""
    check_shape(size)
    pixels, most = size[0] * size[1], max_pixels(kind)
    if pixels > most:
        raise ImageError(
            f"{_shape(size)}, more than the {most // 10**6} million pixels that a {kind} image may have. Make it smaller and "
            f"try again."
        )
    if pixels > max(_PLAUSIBLE, _MAX_PIXELS_PER_BYTE * file_bytes):
        raise ImageError(
            f"{_shape(size)}, but its file of {file_bytes:,} bytes cannot contain an image of that size. Get the file again, "
            f"or choose another one."
        )


def check_shape(size: tuple[int, int]) -> None:
    """Raise ImageError for an image without pixels, or with a side so long that a network's input would be enormous."""
    if min(size) < 1:
        raise ImageError(f"{_shape(size)}, so its file is empty or incomplete. Get it again, or choose another one.")
    if max(size) > MAX_ASPECT * min(size):
        raise ImageError(
            f"{_shape(size)}, which is too long and thin. Crop it so that one side is at most {MAX_ASPECT} times the other."
        )


@contextmanager
def decoding(what: str) -> Iterator[None]:
    """Turn any exception of a decoder into an ImageError that names what was decoded ("JPEG image")."""
    try:
        yield
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError("There is not enough memory to open this image. Make it smaller and try again.") from error
    except _DECODER_ERRORS as error:
        raise ImageError(
            f"This {what} cannot be decoded because it is damaged, incomplete or of a rare variant. Get the file again, or "
            f"open it in an image program and save it as JPEG or PNG."
        ) from error


def _shape(size: tuple[int, int]) -> str:
    return f"This image is {size[0]:,} pixel{'' if size[0] == 1 else 's'} wide and {size[1]:,} high"
