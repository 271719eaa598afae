"""Bytes -> checked RGB image: what a person drops in becomes 8-bit RGB, upright, or an `ImageError` they understand.

A file is known by its first bytes, not its name, and cut down to what its pixels need before Pillow sees it (`_strip_*`): the
comments, profiles, previews and later frames in which a small file can hide a large cost are never read. Pixels become 0..255:
- transparency is laid on white; CMYK and Lab are converted, 1-bit and palette images looked up; colour profiles are ignored
- 16-bit grey: value / 257, rounded (12-bit TIFF: value * 255 / 4095); 16-bit colour: the high byte, value // 256
- 32-bit integer and float: values within 0..1 times 255; within 0..255 as they are; anything else stretched so that the
  smallest is 0 and the largest 255 (a single value: 0). Infinite values and NaN are refused.
"""

import hashlib
import os
import re
import struct
import zlib
from contextlib import nullcontext
from dataclasses import dataclass
from io import BytesIO, FileIO
from typing import BinaryIO

import numpy as np
from PIL import Image

MAX_BYTES = 20 * 1024 * 1024
MAX_PIXELS = 40_000_000
MAX_ASPECT = 50  # longest side / shortest side: networks bring the shorter side to a fixed length

_KINDS = "JPEG, PNG, WebP, GIF, BMP or TIFF"
_SIGNATURES = {
    "JPEG": rb"\xff\xd8\xff", "PNG": rb"\x89PNG\r\n\x1a\n", "WebP": rb"RIFF.{4}WEBP", "GIF": rb"GIF8[79]a", "BMP": rb"BM",
    "TIFF": rb"II\*\0|MM\0\*",
}  # fmt: skip
_REFUSED = {
    rb".{4}ftyp.{0,64}avi[fs]": "This is an AVIF image, which cannot be opened here: export it as JPEG or PNG.",
    rb".{4}ftyp.{0,64}(hei[cmsx]|hev[cmsx]|mif1|msf1)": "This is a HEIC photo, as phones take them: export it as JPEG.",
    rb".{4}ftyp": "This is a video: save one frame of it as JPEG or PNG.",
    rb"II\+\0|MM\0\+": "This is a BigTIFF image, which cannot be opened here: save it as an ordinary TIFF or PNG.",
    rb".*%pdf-": "This is a PDF document: export the page or picture you want as JPEG or PNG.",
    rb".*<svg": "This is an SVG drawing, which has no pixels yet: export it as PNG.",
    rb"[\t\n\f\r -\xff]*\Z": f"This file holds text, not an image, whatever its name says: choose a {_KINDS} file.",
    rb"": f"This is not an image that can be opened here: choose a {_KINDS} file.",
}
_DECODER_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, BufferError, EOFError, Image.DecompressionBombError, LookupError,
    OSError, RuntimeError, SyntaxError, TypeError, ValueError, Warning, struct.error, zlib.error,
)  # fmt: skip
_UPRIGHT = {  # EXIF orientation -> what turns the image upright
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_PNG_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_JPEG_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")  # not FF00 and FFD0..D7, which occur inside the pixel data
_MAX_JPEG_SCANS = 64  # progressive files have about 10, and each costs a pass over all pixels
_MAX_TIFF_VALUES = 200_000  # a tag's; one strip a row and plane of the largest image is fewer
_TIFF_TAGS = {*range(256, 270), *range(271, 348), *range(512, 533)}  # the image's shape and storage, no description
# Chunk -> the bits where width and height start, their number, and what is added to them.
_WEBP_SIZE = {b"VP8 ": (48, 64, 14, 0), b"VP8L": (8, 22, 14, 1), b"VP8X": (32, 56, 24, 1)}


class ImageError(ValueError):
    """An image that cannot be used; the message is one sentence that says what is wrong and what to do."""


def open_image(source: str | os.PathLike[str] | bytes | BinaryIO) -> Image.Image:
    """Read an image and check it: mode RGB, 0..255, upright, first frame, transparency laid on white.

    A file object is read from its start. MAX_BYTES, MAX_PIXELS and MAX_ASPECT are checked before any pixel is decoded.

    Raises:
        ImageError: the file is missing, empty, too large, not one of the formats above, damaged or incomplete.
    """
    data = _read(source)
    kind = _recognise(data)
    try:
        return _decode(kind, data)
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError("There is not enough memory to open this image: make it smaller and try again.") from error
    except _DECODER_ERRORS as error:
        raise ImageError(
            f"This {kind} image is damaged, incomplete or of a rare variety: "
            "get the file again, or open it in an image program and save it anew as JPEG or PNG."
        ) from error


def digest(data: bytes) -> str:
    """SHA-256 of the bytes as 64 hexadecimal digits: the same file has the same name everywhere."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class _Stripped:
    """A file without what its pixels do not need, the size it declares, and its EXIF block."""

    data: bytes
    size: tuple[int, int]
    exif: bytes = b""


def _read(source: str | os.PathLike[str] | bytes | BinaryIO) -> bytes:
    data = bytearray()
    try:
        given = BytesIO(source) if isinstance(source, bytes | bytearray | memoryview) else source
        with FileIO(given) if isinstance(given, str | os.PathLike) else nullcontext(given) as stream:
            if stream.seekable():
                stream.seek(0)
            while len(data) <= MAX_BYTES and (piece := stream.read(MAX_BYTES + 1 - len(data))):
                data += piece
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageError(f"There is no file at {source!s}: check its name and folder.") from error
    except IsADirectoryError as error:
        raise ImageError(f"{source!s} is a folder: choose one image file inside it.") from error
    except (AttributeError, BufferError, OSError, TypeError, ValueError) as error:
        raise ImageError("The image could not be read: check that the file can be opened, or choose another one.") from error
    if not data:
        raise ImageError("This file is empty: get it again, or choose another one.")
    if len(data) > MAX_BYTES:
        raise ImageError(f"This file is larger than {MAX_BYTES >> 20} MB: make the image smaller or save it as JPEG.")
    return bytes(data)


def _recognise(data: bytes) -> str:
    for kind, signature in _SIGNATURES.items():
        if re.match(signature, data, re.DOTALL):
            return kind
    raise ImageError(next(why for start, why in _REFUSED.items() if re.match(start, data[:1024], re.DOTALL | re.IGNORECASE)))


def _check_size(size: tuple[int, int]) -> None:
    width, height = size
    shape = f"This image is {width:,} pixels wide and {height:,} high"
    if min(size) < 1:
        raise ImageError(f"{shape}, so its file is empty or incomplete: get it again, or choose another one.")
    if width * height > MAX_PIXELS:
        raise ImageError(f"{shape}, more than {MAX_PIXELS // 10**6} million pixels in all: make it smaller and try again.")
    if max(size) > MAX_ASPECT * min(size):
        raise ImageError(f"{shape}, too long and thin: crop it so that one side is at most {MAX_ASPECT} times the other.")


def _decode(kind: str, data: bytes) -> Image.Image:
    stripped = _STRIP[kind](data)
    _check_size(stripped.size)
    with Image.open(BytesIO(stripped.data), formats=[kind]) as image:
        _check_size(image.size)
        image.load()
        if kind == "PNG":
            _scale_transparent_colour(image, bits=data[24])
        rgb = _to_rgb(image)
        turn = _UPRIGHT.get(_orientation(stripped.exif or image.info.get("exif", b"")))
    rgb.info = {}  # an orientation left here would be saved with the upright pixels
    return rgb if turn is None else rgb.transpose(turn)


def _strip_png(data: bytes) -> _Stripped:
    kept, exif, at = bytearray(data[:8]), b"", 8
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + length + 12
        if name in _PNG_CHUNKS:
            kept += data[at:end]
        elif name == b"eXIf":
            exif = data[at + 8 : end - 4]
        at = end
    return _Stripped(bytes(kept), struct.unpack_from(">II", data, 16), exif)


def _strip_jpeg(data: bytes) -> _Stripped:
    kept, exif, size, at = bytearray(data[:2]), b"", (0, 0), 2
    while found := _JPEG_MARKER.search(data, at):
        marker, start = found[1][0], found.end()
        end = start + (0 if marker == 0xD9 else int.from_bytes(data[start : start + 2], "big"))
        if marker == 0xDA:  # a scan: its pixel data run to the next marker
            following = _JPEG_MARKER.search(data, end)
            end = following.start() if following else len(data)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            size = struct.unpack_from(">xxxHH", data, start)[::-1]
        if marker == 0xE1 and data[start + 2 : start + 8] == b"Exif\0\0":
            exif = exif or data[start + 8 : end]
        elif marker <= 0xE0 or marker == 0xEE:  # E0 and EE, JFIF and Adobe, say how the colours are stored
            kept += b"\xff" + found[1] + data[start:end]
        if marker == 0xD9:
            break
        at = end
    if kept.count(b"\xff\xda") > _MAX_JPEG_SCANS:
        raise ValueError(f"more than {_MAX_JPEG_SCANS} scans")
    return _Stripped(bytes(kept), size, exif)


def _strip_gif(data: bytes) -> _Stripped:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + (6 << (flags & 7) if flags & 0x80 else 0)
    head, control = data[:at], b""
    while data[at] == ord("!"):
        end = at + 2
        while data[end]:
            end += 1 + data[end]
        if data[at + 1] == 0xF9:  # the graphic control: which colour is transparent
            control = data[at : end + 1]
        at = end + 1
    left, top, across, down = struct.unpack_from("<4H", data, at + 1)
    return _Stripped(head + control + data[at:], (max(width, left + across), max(height, top + down)))


def _strip_webp(data: bytes) -> _Stripped:
    width, height, length, more = _WEBP_SIZE[data[12:16]]
    bits, mask = int.from_bytes(data[20:30], "little"), (1 << length) - 1
    return _Stripped(data, ((bits >> width & mask) + more, (bits >> height & mask) + more))


def _strip_bmp(data: bytes) -> _Stripped:
    width, height = struct.unpack_from("<HH" if data[14] == 12 else "<ii", data, 18)  # 12: the OS/2 header
    return _Stripped(data, (width, abs(height)))


def _strip_tiff(data: bytes) -> _Stripped:
    order, entries = _tiff_directory(data)
    entries = {tag: entries[tag] for tag in sorted(_TIFF_TAGS & entries.keys())}
    if any(struct.unpack_from(order + "I", entry, 4)[0] > _MAX_TIFF_VALUES for entry in entries.values()):
        raise ValueError(f"a tag of more than {_MAX_TIFF_VALUES} values")
    width, height, across, down = (_tiff_number(order, entries.get(tag, bytes(12))) for tag in (256, 257, 322, 323))
    if across * down > max(1 << 24, width * height * 9 // 8):  # a tile is decoded whole, whatever the image shows of it
        raise ValueError(f"tiles of {across} x {down} pixels, larger than the image")
    body = data[8:] + bytes(len(data) % 2)
    head = data[:4] + struct.pack(order + "I", 8 + len(body))
    directory = struct.pack(order + "H", len(entries)) + b"".join(entries.values()) + bytes(4)
    return _Stripped(head + body + directory, (width, height))


_STRIP = {
    "JPEG": _strip_jpeg, "PNG": _strip_png, "WebP": _strip_webp, "GIF": _strip_gif, "BMP": _strip_bmp, "TIFF": _strip_tiff,
}  # fmt: skip


def _tiff_directory(data: bytes) -> tuple[str, dict[int, bytes]]:
    order = "<" if data[:1] == b"I" else ">"
    (start,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, start)
    places = range(start + 2, start + 2 + 12 * count, 12)
    return order, {struct.unpack_from(order + "H", data, at)[0]: data[at : at + 12] for at in places}


def _tiff_number(order: str, entry: bytes) -> int:
    kind = struct.unpack_from(order + "H", entry, 2)[0]
    return int(struct.unpack_from(order + ("H" if kind == 3 else "I"), entry, 8)[0])


def _orientation(exif: bytes) -> int:
    try:
        order, entries = _tiff_directory(exif.removeprefix(b"Exif\0\0"))
        return _tiff_number(order, entries[274])
    except (KeyError, struct.error):
        return 1  # a photo whose EXIF cannot be read is still a photo


def _scale_transparent_colour(image: Image.Image, bits: int) -> None:
    """Bring a PNG's transparent colour where Pillow brings the pixels: 2 and 4 bits up, 16-bit colour down."""
    colour = image.info.get("transparency")
    if image.mode == "L" and colour is not None:
        image.info["transparency"] = colour * 255 // (2**bits - 1)
    elif image.mode == "RGB" and colour is not None and bits == 16:
        image.info["transparency"] = tuple(value >> 8 for value in colour)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode[0] in "IF":
        to_grey = _16_bits_to_grey if image.mode.startswith("I;16") else _numbers_to_grey
        return to_grey(image).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(rgba, mask=rgba.getchannel("A"))
    return canvas


def _16_bits_to_grey(image: Image.Image) -> Image.Image:
    values, tags = np.asarray(image), getattr(image, "tag_v2", {})
    full = 4095 if tags.get(258) == (12,) else 65535
    grey = (values.astype(np.uint32) * 255 + full // 2) // full
    if tags.get(262) == 0:  # white is zero, which Pillow undoes for 8 bits only
        grey = 255 - grey
    if "transparency" in image.info:
        grey[values == image.info["transparency"]] = 255
    return Image.fromarray(grey.astype(np.uint8))


def _numbers_to_grey(image: Image.Image) -> Image.Image:
    values, tags = np.asarray(image), getattr(image, "tag_v2", {})
    if tags.get(258) == (32,) and tags.get(339, (1,)) == (1,):
        values = values.view(np.uint32)  # Pillow has no unsigned 32-bit mode
    low, high = np.float64(values.min()), np.float64(values.max())  # 64 bits: the range of two floats may overflow 32
    if not np.isfinite([low, high]).all():
        raise ImageError("Some pixels of this image are infinite or not a number: replace those values and save it again.")
    start, scale = (0.0, 255.0 if high <= 1 else 1.0) if low >= 0 and high <= 255 else (low, 255 / (high - low or 1))
    grey = np.subtract(values, start, dtype=np.float64)
    grey *= scale
    return Image.fromarray(np.rint(grey, out=grey).astype(np.uint8))
