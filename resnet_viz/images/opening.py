"""Opening an image file: read it, identify its format, check its size, decode it."""

import hashlib
import os
from contextlib import nullcontext
from io import BytesIO, FileIO
from pathlib import Path
from typing import BinaryIO

import pi_heif
from PIL import Image

from resnet_viz.images.formats import STRIP, Stripped, recognise
from resnet_viz.images.limits import MAX_BYTES, ImageError, check_size, decoding
from resnet_viz.images.pixels import upright_rgb


def open_image(source: str | os.PathLike[str] | bytes | BinaryIO) -> Image.Image:
    """Read an image and check it: mode RGB, 0..255, upright, first frame, transparency laid on white.

    A file object is read from its start. MAX_BYTES, MAX_PIXELS and MAX_ASPECT are checked before any pixel is decoded.

    Raises:
        ImageError: the file is missing, empty, too large, of an unknown format, damaged or incomplete.
    """
    data = read_image(source)
    kind = recognise(data)
    with decoding(f"{kind} image"):
        stripped = STRIP[kind](data)
        check_size(kind, stripped.size, len(data))
        rgb = upright_rgb(_decoder(kind, stripped, len(data)))
    rgb.info = {}  # An orientation left here would be saved with the upright pixels.
    return rgb


def digest(data: bytes) -> str:
    """SHA-256 of the bytes as 64 hexadecimal digits: the same file has the same name everywhere."""
    return hashlib.sha256(data).hexdigest()


def _decoder(kind: str, stripped: Stripped, file_bytes: int) -> Image.Image:
    """Return the image, decoded or ready to be, with the metadata that defines its orientation."""
    if kind == "HEIC":  # pi-heif's own function: registering its plugin would change Pillow for the whole program.
        heif = pi_heif.open_heif(stripped.data)
        check_size(kind, heif.size, file_bytes)
        decoded: Image.Image = heif.to_pillow()
        decoded.info = {}  # libheif has rotated the pixels already.
        return decoded
    image = Image.open(BytesIO(stripped.data), formats=[kind])
    check_size(kind, image.size, file_bytes)
    image.info.update(stripped.info)
    return image


def read_image(source: str | os.PathLike[str] | bytes | BinaryIO) -> bytes:
    """Read the bytes of an image file; ImageError if it is missing, empty, too large, or no file."""
    data = bytearray()
    if isinstance(source, str | os.PathLike) and _is_named_pipe(source):
        raise ImageError(f"{source!s} is a named pipe and not a file. Save the image in a file, and choose that.")
    try:
        given = BytesIO(source) if isinstance(source, bytes | bytearray | memoryview) else source
        with FileIO(given) if isinstance(given, str | os.PathLike) else nullcontext(given) as stream:
            if stream.seekable():
                stream.seek(0)
            while len(data) <= MAX_BYTES and (piece := stream.read(MAX_BYTES + 1 - len(data))):
                data += piece
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageError(f"There is no file at {source!s}. Check its name and folder.") from error
    except IsADirectoryError as error:
        raise ImageError(f"{source!s} is a folder. Choose one image file inside it.") from error
    except (AttributeError, BufferError, OSError, TypeError, ValueError) as error:
        raise ImageError("The image could not be read. Check that the file can be opened, or choose another one.") from error
    if not data:
        raise ImageError("This file is empty. Get it again, or choose another one.")
    if len(data) > MAX_BYTES:
        raise ImageError(f"This file is larger than {MAX_BYTES >> 20} MB. Make the image smaller or save it as JPEG.")
    return bytes(data)


def _is_named_pipe(path: str | os.PathLike[str]) -> bool:
    """Whether reading would wait until some program writes; a pipe of the shell, such as <(...), has a writer already."""
    try:
        return Path(os.path.realpath(path)).is_fifo()
    except (OSError, ValueError):
        return False
