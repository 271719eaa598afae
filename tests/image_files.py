"""Image files for tests: made byte by byte or by Pillow, and what `open_image` says about them."""

import io
import struct
import zlib
from typing import cast

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from resnet_viz.images import ImageError, open_image

Colour = tuple[int, int, int]
RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def row(*colours: Colour) -> Image.Image:
    image = Image.new("RGB", (len(colours), 1))
    image.putdata(colours)
    return image


def pixels(source: bytes) -> list[Colour]:
    image = open_image(source)
    assert type(image) is Image.Image
    assert image.mode == "RGB"
    return colours(image)


def colours(image: Image.Image) -> list[Colour]:
    return [cast("Colour", image.getpixel((x, y))) for y in range(image.height) for x in range(image.width)]


def alike(one: object, other: object) -> bool:
    return np.array_equal(np.asarray(one), np.asarray(other))


def refusal(source: object) -> str:
    with pytest.raises(ImageError) as caught:
        open_image(cast("bytes", source))
    message = str(caught.value)
    assert message.endswith(".")
    # What happened and why, then what to do.
    assert message.count(". ") <= 1
    assert "\n" not in message
    return message


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(size: tuple[int, int], bits: int, colour_type: int, raw: bytes, *extra: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, bits, colour_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(extra) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


def tiff(tags: dict[int, tuple[str, list[int]]], strip: bytes = b"", order: str = "<") -> bytes:
    """Return a TIFF with one directory; a tag 273 of [0] is set to where the strip begins."""
    values_at, directory, values = 8 + 2 + 12 * len(tags) + 4, b"", b""
    values_length = sum(-(-size // 4) * 4 for code, v in tags.values() if (size := len(v) * (2 if code == "H" else 4)) > 4)
    for tag, (code, numbers) in sorted(tags.items()):
        shown = [values_at + values_length] if tag == 273 and numbers == [0] else numbers
        packed = struct.pack(f"{order}{len(shown)}{code}", *shown)
        packed += bytes(-len(packed) % 4)
        directory += struct.pack(order + "HHI", tag, {"H": 3, "I": 4}[code], len(numbers))
        directory += packed if len(packed) == 4 else struct.pack(order + "I", values_at + len(values))
        values += packed if len(packed) > 4 else b""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags))
    return head + directory + bytes(4) + values + strip


def grey_tiff(bits: int, raw: bytes, *, kind: int = 1, white_is_zero: bool = False, order: str = "<") -> bytes:
    """Return a TIFF of one row; kind is the SampleFormat: 1 unsigned, 2 signed, 3 float."""
    tags = {
        256: ("H", [len(raw) * 8 // bits]), 257: ("H", [1]), 258: ("H", [bits]), 259: ("H", [1]),
        262: ("H", [0 if white_is_zero else 1]), 273: ("I", [0]), 277: ("H", [1]), 278: ("H", [1]), 279: ("I", [len(raw)]),
        339: ("H", [kind]),
    }  # fmt: skip
    return tiff(tags, raw, order)


def exif(orientation: int, order: str = "<") -> bytes:
    head = b"II*\0" if order == "<" else b"MM\0*"
    return b"Exif\0\0" + head + struct.pack(order + "IHHHIHHI", 8, 1, 274, 3, 1, orientation, 0, 0)


def noise(mode: str = "RGB", size: tuple[int, int] = (24, 16)) -> Image.Image:
    values = np.random.default_rng(2).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def heic(image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    pillow_heif.from_pillow(image).save(stream, **options)
    return stream.getvalue()


def frames(kind: str, **options: object) -> bytes:
    return saved(noise(), kind, save_all=True, append_images=[noise().rotate(180)], **options)


SEEDS: dict[str, bytes] = {
    "jpeg": saved(noise(), "JPEG", exif=exif(6), comment=b"hello"),
    "progressive jpeg": saved(noise(), "JPEG", progressive=True),
    "grey jpeg": saved(noise("L"), "JPEG", exif=exif(3, ">")),
    "cmyk jpeg": saved(noise("CMYK"), "JPEG"),
    "png": saved(noise(), "PNG", exif=exif(5)),
    "16-bit png": saved(Image.fromarray(np.arange(384, dtype=np.uint16).reshape(16, 24) * 170), "PNG", transparency=170),
    "palette png": saved(noise("P"), "PNG", transparency=bytes(range(100))),
    "one-bit png": saved(noise("1"), "PNG", transparency=1),
    "animated png": frames("PNG"),
    "webp": saved(noise(), "WEBP", exif=exif(7)),
    "lossless webp": saved(noise("RGBA"), "WEBP", lossless=True),
    "animated webp": frames("WEBP"),
    "avif": saved(noise(), "AVIF", exif=exif(6)),
    "transparent avif": saved(noise("RGBA"), "AVIF", quality=90),
    "grey avif": saved(noise("L"), "AVIF"),
    "animated avif": frames("AVIF"),
    "heic": heic(noise(), exif=exif(6)),
    "transparent heic": heic(noise("RGBA")),
    "grey heic": heic(noise("L")),
    "gif": saved(noise("P"), "GIF", transparency=3, comment=b"hello"),
    "grey gif": saved(noise("L"), "GIF", interlace=0),
    "animated gif": frames("GIF", disposal=2),
    "bmp": saved(noise(), "BMP"),
    "palette bmp": saved(noise("P"), "BMP"),
    "run-length bmp": b"BM" + struct.pack("<IIIIiiHHIIiiII", 0, 0, 1078, 40, 24, 16, 1, 8, 1, 0, 0, 0, 0, 0)
    + bytes(range(256)) * 4 + b"\x18\x05\0\0" * 15 + b"\0\x18" + bytes(range(24)) + b"\0\1",
    "tiff": saved(noise(), "TIFF", tiffinfo={274: 6}),
    "lzw tiff": saved(noise("RGBA"), "TIFF", compression="tiff_lzw"),
    "deflate tiff": saved(noise("L"), "TIFF", compression="tiff_adobe_deflate"),
    "jpeg tiff": saved(noise(), "TIFF", compression="jpeg"),
    "fax tiff": saved(noise("1"), "TIFF", compression="group4"),
    "float tiff": saved(Image.fromarray(np.linspace(-1, 1, 384, dtype=np.float32).reshape(16, 24)), "TIFF"),
    "16-bit tiff": grey_tiff(16, bytes(range(96)), order=">"),
    "palette tiff": saved(noise("P"), "TIFF"),
    "two-page tiff": frames("TIFF"),
}  # fmt: skip
