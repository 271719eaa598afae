"""`resnet_viz.images` against hand-computed pixels, files made byte by byte, and files damaged at random."""

import io
import struct
import subprocess
import sys
import time
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, PngImagePlugin

from resnet_viz import images
from resnet_viz.images import ImageError, digest, open_image

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
    return [cast("Colour", image.getpixel((x, y))) for y in range(image.height) for x in range(image.width)]


def alike(one: object, other: object) -> bool:
    return np.array_equal(np.asarray(one), np.asarray(other))


def refusal(source: object) -> str:
    with pytest.raises(ImageError) as caught:
        open_image(cast("bytes", source))
    message = str(caught.value)
    assert message.endswith(".")
    assert ". " not in message
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


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("TIFF", {"compression": "packbits"}),
        ("TIFF", {"compression": "tiff_lzw", "big_tiff": False, "tiffinfo": {270: "x" * 300_000, 305: "a program"}}),
    ],
)
def test_pixels_of_lossless_files_arrive_unchanged(kind: str, options: dict[str, object]) -> None:
    colours = [RED, GREEN, BLUE, WHITE, BLACK, (1, 2, 3)]
    assert pixels(saved(row(*colours), kind, **options)) == colours


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_one_bit_grey_and_palette(kind: str) -> None:
    grey = Image.new("L", (2, 1))
    grey.putdata([7, 200])
    assert pixels(saved(grey, kind)) == [(7, 7, 7), (200, 200, 200)]
    assert pixels(saved(grey.point(lambda value: 255 * (value > 100)).convert("1"), kind)) == [BLACK, WHITE]
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putdata([1, 0])
    assert pixels(saved(palette, kind)) == [(40, 50, 60), (10, 20, 30)]


def test_colour_of_a_jpeg_and_of_a_cmyk_jpeg() -> None:
    assert np.abs(np.subtract(pixels(saved(Image.new("RGB", (8, 8), (200, 100, 50)), "JPEG")), (200, 100, 50))).max() <= 2
    cyan_and_half_black = Image.new("CMYK", (8, 8), (255, 0, 0, 128))
    assert np.abs(np.subtract(pixels(saved(cyan_and_half_black, "JPEG", quality=95)), (0, 127, 127))).max() <= 2


@pytest.mark.parametrize(
    "options",
    [
        {"quality": 60},
        {"progressive": True, "subsampling": 0, "comment": b"a comment", "icc_profile": b"p" * 100_000},
        {"restart_marker_blocks": 2, "optimize": True},
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_decodes_as_pillow_decodes_it(mode: str, options: dict[str, object]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    data = saved(Image.fromarray(noise).convert(mode), "JPEG", **options)
    assert alike(open_image(data), Image.open(io.BytesIO(data)).convert("RGB"))


def test_a_jpeg_whose_adobe_marker_says_rgb_is_not_converted() -> None:
    data = saved(Image.new("RGB", (8, 8), (200, 100, 50)), "JPEG", quality=100, subsampling=0)
    jfif_length = int.from_bytes(data[4:6], "big")
    adobe = b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0\0"
    stored = Image.new("RGB", (1, 1), (200, 100, 50)).convert("YCbCr").getpixel((0, 0))
    assert pixels(data[:2] + adobe + data[4 + jfif_length :])[0] == pytest.approx(stored, abs=1)


def test_bytes_after_the_end_of_a_jpeg_change_nothing() -> None:
    data = saved(Image.new("RGB", (16, 16), RED), "JPEG")
    assert pixels(data + b"\xff\xda" * 1000 + bytes(range(256))) == pixels(data)


def test_bmp_from_the_top_down_and_of_os2() -> None:
    rows = (
        bytes([0, 0, 255, 0, 255, 0, 0, 0]),
        bytes([255, 0, 0, 255, 255, 255, 0, 0]),
    )  # stored as blue, green, red, padded to 4 bytes
    top_down = b"BM" + struct.pack("<IIIIiiHHIIiiII", 70, 0, 54, 40, 2, -2, 1, 24, 0, 0, 0, 0, 0, 0)
    assert pixels(top_down + rows[0] + rows[1]) == [RED, GREEN, BLUE, WHITE]
    os2 = b"BM" + struct.pack("<IIIIHHHH", 42, 0, 26, 12, 2, 2, 1, 24)
    assert pixels(os2 + rows[1] + rows[0]) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize(("mode", "compression"), [("RGB", "jpeg"), ("L", "jpeg"), ("RGB", "tiff_lzw"), ("RGBA", "tiff_lzw")])
def test_a_compressed_tiff_decodes_as_pillow_decodes_it(mode: str, compression: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (40, 56, 4), dtype=np.uint8)
    noise[..., 3] = 255
    data = saved(Image.fromarray(noise).convert(mode), "TIFF", compression=compression)
    assert alike(open_image(data), Image.open(io.BytesIO(data)).convert("RGB"))


# The stored rows of an image that shows 1 2 3 above 4 5 6, as the EXIF standard says where its row 0 and column 0 are seen.
STORED = {
    1: [[1, 2, 3], [4, 5, 6]],  # top, left
    2: [[3, 2, 1], [6, 5, 4]],  # top, right
    3: [[6, 5, 4], [3, 2, 1]],  # bottom, right
    4: [[4, 5, 6], [1, 2, 3]],  # bottom, left
    5: [[1, 4], [2, 5], [3, 6]],  # left, top
    6: [[3, 6], [2, 5], [1, 4]],  # right, top
    7: [[6, 3], [5, 2], [4, 1]],  # right, bottom
    8: [[4, 1], [5, 2], [6, 3]],  # left, bottom
}


def turned(orientation: int, kind: str, order: str) -> bytes:
    blocks = np.kron(np.array(STORED[orientation], np.uint8), np.ones((16, 16), np.uint8)) * np.uint8(40)
    image = Image.fromarray(blocks).convert("RGB")
    if kind == "TIFF":
        return saved(image, kind, tiffinfo={274: orientation}, compression="tiff_lzw" if order == "<" else None)
    return saved(image, kind, exif=exif(orientation, order), **({"lossless": True} if kind == "WEBP" else {}))


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("order", "<>")
def test_every_exif_orientation_comes_out_upright(orientation: int, kind: str, order: str) -> None:
    image = open_image(turned(orientation, kind, order))
    assert image.size == (48, 32)
    shown = np.asarray(image)[8::16, 8::16, 0] / 40
    assert np.abs(shown - [[1, 2, 3], [4, 5, 6]]).max() < 0.1


def test_an_upright_image_is_not_turned_again_by_those_who_save_it() -> None:
    for kind in ("PNG", "WEBP", "JPEG", "TIFF"):
        image = open_image(turned(6, kind, "<"))
        assert image.info == {}
        assert open_image(saved(image, "PNG")).size == image.size


@pytest.mark.parametrize("block", [b"", b"\xff" * 40, exif(6)[:-12], exif(0), exif(9), exif(65535), b"Exif\0\0MM"])
def test_a_photo_with_a_broken_orientation_opens_as_it_is_stored(block: bytes) -> None:
    assert pixels(png((2, 1), 8, 0, b"\0\1\2", chunk(b"eXIf", block.removeprefix(b"Exif\0\0")))) == [(1, 1, 1), (2, 2, 2)]


def test_alpha_is_laid_on_white() -> None:
    # 255 * (1 - 128 / 255) = 127; 100 * 51 / 255 + 255 * 204 / 255 = 224; alpha 0 hides any colour.
    rgba = png((3, 1), 8, 6, bytes([0, 255, 0, 0, 128, 9, 9, 9, 0, 1, 2, 3, 255]))
    assert pixels(rgba) == [(255, 127, 127), WHITE, (1, 2, 3)]
    assert pixels(png((2, 1), 8, 4, bytes([0, 100, 51, 100, 255]))) == [(224, 224, 224), (100, 100, 100)]
    deep = struct.pack(">x4H4H", 65535, 0, 0, 0x8000, 0x0102, 0x0304, 0x0506, 65535)
    assert pixels(png((2, 1), 16, 6, deep)) == [(255, 127, 127), (1, 3, 5)]
    assert pixels(saved(Image.new("RGBA", (1, 1), (255, 0, 0, 0)), "WEBP", lossless=True)) == [WHITE]


def test_transparent_colours_of_a_png_turn_white() -> None:
    palette = chunk(b"PLTE", bytes([255, 0, 0, 0, 0, 255]))
    assert pixels(png((2, 1), 1, 3, b"\0\x40", palette, chunk(b"tRNS", b"\0"))) == [WHITE, BLUE]
    assert pixels(png((2, 1), 1, 3, b"\0\x40", palette, chunk(b"tRNS", b"\x80\xff"))) == [(255, 127, 127), BLUE]
    assert pixels(png((2, 1), 1, 0, b"\0\x40", chunk(b"tRNS", b"\0\0"))) == [WHITE, WHITE]
    assert pixels(png((4, 1), 2, 0, b"\0\x1b", chunk(b"tRNS", b"\0\1"))) == [BLACK, WHITE, (170, 170, 170), WHITE]
    assert pixels(png((2, 1), 4, 0, b"\0\x2c", chunk(b"tRNS", b"\0\2"))) == [WHITE, (204, 204, 204)]
    assert pixels(png((2, 1), 8, 0, b"\0\5\6", chunk(b"tRNS", b"\0\5"))) == [WHITE, (6, 6, 6)]
    assert pixels(png((2, 1), 8, 2, b"\0\1\2\3\1\2\4", chunk(b"tRNS", struct.pack(">3H", 1, 2, 3)))) == [WHITE, (1, 2, 4)]
    deep = struct.pack(">x3H3H", 0x1122, 0, 0, 0x2211, 0, 0)
    assert pixels(png((2, 1), 16, 2, deep, chunk(b"tRNS", struct.pack(">3H", 0x1122, 0, 0)))) == [WHITE, (0x22, 0, 0)]
    deep = struct.pack(">x2H", 0x1122, 0x1123)
    assert pixels(png((2, 1), 16, 0, deep, chunk(b"tRNS", struct.pack(">H", 0x1122)))) == [WHITE, (17, 17, 17)]


def test_transparency_of_gif_and_tiff() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putdata([1, 0])
    assert pixels(saved(palette, "GIF", transparency=1)) == [WHITE, (10, 20, 30)]
    assert pixels(saved(palette.convert("PA"), "TIFF")) == [(40, 50, 60), (10, 20, 30)]
    clear = palette.convert("PA")
    clear.putalpha(Image.new("L", (2, 1), 0))
    assert pixels(saved(clear, "TIFF")) == [WHITE, WHITE]
    # Grey 25 that is already multiplied by its alpha of 51 / 255: 25 + 255 * 204 / 255 = 229.
    tags = {256: 1, 257: 1, 259: 1, 262: 1, 273: 0, 277: 2, 278: 1, 279: 2, 338: 1}
    premultiplied = {tag: ("I", [value]) for tag, value in tags.items()} | {258: ("H", [8, 8])}
    assert pixels(tiff(premultiplied, b"\x19\x33"))[0][0] == pytest.approx(229, abs=1)


def greys(source: bytes) -> list[int]:
    assert all(red == green == blue for red, green, blue in pixels(source))
    return [red for red, _, _ in pixels(source)]


SIXTEEN = [0, 128, 129, 257, 25700, 12345, 65406, 65535]
SIXTEEN_AS_EIGHT = [0, 0, 1, 1, 100, 48, 254, 255]  # value / 257, rounded


def test_16_bit_grey_is_divided_by_257() -> None:
    assert greys(png((8, 1), 16, 0, b"\0" + struct.pack(">8H", *SIXTEEN))) == SIXTEEN_AS_EIGHT
    assert greys(grey_tiff(16, struct.pack("<8H", *SIXTEEN))) == SIXTEEN_AS_EIGHT
    assert greys(grey_tiff(16, struct.pack(">8H", *SIXTEEN), order=">")) == SIXTEEN_AS_EIGHT
    assert greys(grey_tiff(16, struct.pack("<8H", *SIXTEEN), white_is_zero=True)) == [255 - grey for grey in SIXTEEN_AS_EIGHT]


def test_every_16_bit_grey_is_the_nearest_8_bit_grey() -> None:
    every = np.arange(65536, dtype=np.uint16)
    image = open_image(saved(Image.fromarray(every.reshape(256, 256)), "PNG"))
    assert np.abs(np.asarray(image)[..., 0].ravel() * 257.0 - every).max() <= 128


def test_16_bit_colour_keeps_the_high_byte() -> None:
    assert pixels(png((1, 1), 16, 2, struct.pack(">x3H", 0xFFFF, 0x1234, 0x00FF))) == [(0xFF, 0x12, 0)]


def test_12_bit_grey_fills_the_range() -> None:
    assert greys(grey_tiff(12, bytes([0x00, 0x0F, 0xFF]))) == [0, 255]


def test_32_bit_integers() -> None:
    assert greys(grey_tiff(32, struct.pack("<3i", 0, 7, 255), kind=2)) == [0, 7, 255]
    assert greys(grey_tiff(32, struct.pack("<3i", 0, 1, 1), kind=2)) == [0, 255, 255]
    assert greys(grey_tiff(32, struct.pack("<3i", -1000, 0, 1000), kind=2)) == [0, 128, 255]
    assert greys(grey_tiff(32, struct.pack("<3I", 0, 2**31, 2**32 - 1))) == [0, 128, 255]
    assert greys(grey_tiff(16, struct.pack("<3h", -100, 0, 300), kind=2)) == [0, 64, 255]


def test_floats() -> None:
    assert greys(grey_tiff(32, struct.pack("<3f", 0, 0.5, 1), kind=3)) == [0, 128, 255]
    assert greys(grey_tiff(32, struct.pack("<3f", 0, 100.4, 254.6), kind=3)) == [0, 100, 255]
    assert greys(grey_tiff(32, struct.pack("<3f", 1000, 1001, 1004), kind=3)) == [0, 64, 255]
    assert greys(grey_tiff(32, struct.pack("<3f", -3e38, 0, 3e38), kind=3)) == [0, 128, 255]
    assert greys(grey_tiff(32, struct.pack("<2f", 5000, 5000), kind=3)) == [0, 0]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_floats_that_are_no_numbers_are_refused(value: float) -> None:
    assert "not a number" in refusal(grey_tiff(32, struct.pack("<3f", 0, value, 1), kind=3))


def test_cmyk_ycbcr_and_lab() -> None:
    # (255 - C)(255 - K) / 255: cyan is 0, 255, 255; half black is 127.
    cmyk = Image.new("CMYK", (2, 1))
    cmyk.putdata([(255, 0, 0, 0), (0, 0, 0, 128)])
    assert pixels(saved(cmyk, "TIFF")) == [(0, 255, 255), (127, 127, 127)]
    assert pixels(saved(Image.new("YCbCr", (1, 1), (77, 128, 128)), "TIFF")) == [(77, 77, 77)]
    assert pixels(saved(Image.new("LAB", (1, 1), (255, 128, 128)), "TIFF"))[0] == pytest.approx(WHITE, abs=2)


@pytest.mark.parametrize(("kind", "options"), [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})])
def test_the_first_frame_is_shown(kind: str, options: dict[str, object]) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, GREEN, BLUE)]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert Image.open(io.BytesIO(data)).n_frames == 3  # type: ignore[attr-defined]
    assert pixels(data) == [RED] * 16


def test_the_main_image_of_a_multi_picture_jpeg_is_shown() -> None:
    data = saved(Image.new("RGB", (16, 16), RED), "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8), BLUE)])
    assert open_image(data).size == (16, 16)
    assert pixels(data)[0] == pytest.approx(RED, abs=2)


def test_a_gif_that_is_smaller_than_its_screen() -> None:
    data = bytearray(saved(row(RED, RED), "GIF"))
    data[6:10] = struct.pack("<HH", 3, 2)
    assert open_image(bytes(data)).size == (3, 2)


class Trickle(io.RawIOBase):
    """A stream that cannot seek and hands out three bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        piece, self.rest = self.rest[:3], self.rest[3:]
        cast("memoryview", buffer)[: len(piece)] = piece
        return len(piece)


def test_every_kind_of_source(tmp_path: Path) -> None:
    data = saved(row(RED, BLUE), "PNG")
    path = tmp_path / "mislabelled image.jpg"
    path.write_bytes(data)
    at_its_end = io.BytesIO(data)
    at_its_end.read()
    with path.open("rb") as opened:
        sources = [path, str(path), data, bytearray(data), memoryview(data), at_its_end, opened, Trickle(data)]
        for source in sources:
            assert alike(open_image(cast("bytes", source)), row(RED, BLUE))
        assert not opened.closed
    assert not at_its_end.closed


def test_digest() -> None:
    # The example of FIPS 180-2, appendix B.1.
    assert digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_files_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    assert "no file at" in refusal(tmp_path / "nothing.png")
    assert "no file at" in refusal(str(tmp_path / "file" / "inside.png"))
    assert "folder" in refusal(tmp_path)
    assert "could not be read" in refusal("a\0b")


@pytest.mark.parametrize("source", [None, 7.5, io.StringIO("text"), Image.new("RGB", (1, 1))])
def test_things_that_are_no_files(source: object) -> None:
    assert "could not be read" in refusal(source)


def test_a_stream_that_fails() -> None:
    closed = io.BytesIO(b"x")
    closed.close()
    assert "could not be read" in refusal(closed)


def test_size_in_bytes(tmp_path: Path) -> None:
    assert "empty" in refusal(b"")
    (tmp_path / "empty.jpg").touch()
    assert "empty" in refusal(tmp_path / "empty.jpg")
    largest = saved(row(RED), "BMP").ljust(images.MAX_BYTES, b"\0")
    assert pixels(largest) == [RED]
    assert "20 MB" in refusal(largest + b"\0")
    with (tmp_path / "huge.jpg").open("wb") as huge:
        huge.truncate(50 << 30)
    assert "20 MB" in refusal(tmp_path / "huge.jpg")


def test_size_in_pixels_and_shape() -> None:
    assert open_image(png((50, 1), 1, 0, bytes(8))).size == (50, 1)
    assert "at most 50 times" in refusal(png((51, 1), 1, 0, bytes(8)))
    assert "at most 50 times" in refusal(png((1, 51), 1, 0, bytes(102)))
    row_bytes = 1000
    assert open_image(png((8000, 5000), 1, 0, bytes(5000 * (row_bytes + 1)))).size == (8000, 5000)
    assert "40 million" in refusal(png((8000, 5001), 1, 0, b""))
    assert "empty or incomplete" in refusal(png((0, 5), 8, 0, b""))
    assert "empty or incomplete" in refusal(saved(row(RED), "BMP")[:18] + bytes(8) + saved(row(RED), "BMP")[26:])


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", "AVIF"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "AVIF"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "video"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "PDF"),
        (b"II+\0\x08\0\0\0", "BigTIFF"),
        ("Grüße, a letter.\n".encode(), "text"),
        (b"<!doctype html><title>404</title>", "text"),
        (bytes(range(256)), "not an image"),
        (b"PK\x03\x04" + bytes(60), "not an image"),
        (b"\0", "not an image"),
    ],
)
def test_other_kinds_of_file_are_named(data: bytes, word: str, tmp_path: Path) -> None:
    assert word in refusal(data)
    renamed = tmp_path / "photo.jpg"
    renamed.write_bytes(data)
    assert word in refusal(renamed)


def noise(mode: str = "RGB", size: tuple[int, int] = (24, 16)) -> Image.Image:
    values = np.random.default_rng(2).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


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


@pytest.mark.parametrize("name", SEEDS)
def test_a_whole_file_opens(name: str) -> None:
    image = open_image(SEEDS[name])
    assert image.mode == "RGB"
    assert sorted(image.size) in ([16, 24], [1, 48])


@pytest.mark.parametrize(
    "name", [name for name in SEEDS if name != "two-page tiff"]
)  # its first page is whole in the first half
def test_half_a_file_is_refused(name: str) -> None:
    data = SEEDS[name]
    with pytest.raises(ImageError) as caught:
        open_image(data[: len(data) // 2])
    assert "damaged" in str(caught.value)
    assert caught.value.__cause__ is not None
    assert not isinstance(caught.value.__cause__, ImageError)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_file_that_ends_after_its_signature_is_refused(kind: str) -> None:
    assert "incomplete" in refusal(saved(noise(), kind)[:16])


def test_damaged_pixel_data_are_refused() -> None:
    data = bytearray(SEEDS["png"])
    at = data.index(b"IDAT") + 40
    data[at : at + 8] = bytes(8)
    assert "damaged" in refusal(bytes(data))
    data = bytearray(SEEDS["lzw tiff"])
    data[8:40] = b"\xff" * 32
    assert "damaged" in refusal(bytes(data))


def test_running_out_of_memory_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", fail)
    assert "not enough memory" in refusal(SEEDS["png"])


@pytest.mark.parametrize(
    "error",
    [
        *(OSError, SyntaxError, struct.error, ValueError, EOFError, OverflowError, zlib.error, Image.DecompressionBombError),
        *(IndexError, KeyError, TypeError, AttributeError, AssertionError, ZeroDivisionError, RecursionError, UserWarning),
    ],
)
def test_whatever_a_decoder_raises_becomes_an_image_error(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    original = error("from inside")

    def fail(*_: object, **__: object) -> None:
        raise original

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load_prepare", fail)
    with pytest.raises(ImageError) as caught:
        open_image(SEEDS["png"])
    assert caught.value.__cause__ is original


def screen_gif(screen: tuple[int, int], frame: tuple[int, int]) -> bytes:
    control = b"!\xf9\x04\x08\0\0\0\0"
    return b"GIF89a" + struct.pack("<HHxxx", *screen) + control + struct.pack("<cHHHHx", b",", 0, 0, *frame) + b"\x02\x01\0\0;"


def huge_webp() -> bytes:
    side = (12_999).to_bytes(3, "little")
    return b"RIFF\x64\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + side + side + bytes(80)


def strips_tiff(count: int) -> bytes:
    tags = {256: 10, 257: 10, 258: 8, 259: 1, 262: 1, 278: 1}
    return tiff({tag: ("H", [value]) for tag, value in tags.items()} | {273: ("I", [8] * count)})


def huge_tile_tiff() -> bytes:
    tags = {256: 10, 257: 10, 258: 16, 259: 8, 262: 1, 322: 16_000, 323: 16_000, 324: 8, 325: 50}
    return tiff({tag: ("I", [value]) for tag, value in tags.items()})


def jpeg_of_many_scans() -> bytes:
    data = saved(Image.new("L", (6000, 6000)), "JPEG", progressive=True)
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * 1000 + data[-2:]


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "144 megapixel png": (lambda: png((12_000, 12_000), 1, 0, bytes(1501 * 12_000)), "40 million"),
    "169 megapixel webp": (huge_webp, "13,000 pixels wide and 13,000 high, more than 40 million"),
    "144 megapixel bmp": (
        lambda: b"BM" + struct.pack("<IIIIiiHHIIiiII", 0, 0, 54, 40, 12_000, 12_000, 1, 24, *[0] * 6),
        "40 million",
    ),
    "gif with a giant screen": (lambda: screen_gif((65_535, 65_535), (1, 1)), "40 million"),
    "gif with a giant frame": (lambda: screen_gif((1, 1), (60_000, 2_900)), "40 million"),
    "144 megapixel tiff": (lambda: tiff({256: ("I", [12_000]), 257: ("I", [12_000])}), "40 million"),
    "tiff with 4 million strips": (lambda: strips_tiff(4_000_000), "damaged"),
    "tiff with a giant tile": (huge_tile_tiff, "damaged"),
    "jpeg with 1000 scans": (jpeg_of_many_scans, "damaged"),
}

MEASURE = """
import importlib.util, resource, sys, time
spec = importlib.util.spec_from_file_location("images", sys.argv[1])
images = importlib.util.module_from_spec(spec)
sys.modules["images"] = images
spec.loader.exec_module(images)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)
images.open_image(sys.argv[2])
before = peak()
for path in sys.argv[3:]:
    start = time.perf_counter()
    try:
        images.open_image(path)
        outcome = "opened"
    except images.ImageError as error:
        outcome = str(error)
    print(peak(), peak() - before, time.perf_counter() - start, outcome, sep="|")
assert "torch" not in sys.modules
"""
# A process inherits its parent's peak when it starts, so a small one stands between it and the test runner.
LAUNCH = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"


def measured(tmp_path: Path, *data: bytes) -> list[tuple[float, float, float, str]]:
    """Open the files in a fresh process: its peak (MB), the growth since it had opened one small image, seconds, outcome."""
    paths = [tmp_path / f"{number}.png" for number in range(len(data) + 1)]
    for path, content in zip(paths, [saved(noise(), "PNG"), *data], strict=True):
        path.write_bytes(content)
    command = [sys.executable, "-c", LAUNCH, sys.executable, "-W", "error", "-c", MEASURE, images.__file__, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines()]
    return [(float(total), float(growth), float(seconds), outcome) for total, growth, seconds, outcome in rows]


def test_bombs_are_refused_within_200_mb_and_without_a_warning(tmp_path: Path) -> None:
    bombs = {name: make() for name, (make, _) in BOMBS.items()}
    assert len(bombs["144 megapixel png"]) < 20_000
    for (name, (_, word)), (total, growth, seconds, outcome) in zip(
        BOMBS.items(), measured(tmp_path, *bombs.values()), strict=True
    ):
        assert word in outcome, name
        assert total < 200, name
        assert growth < 60, name
        assert seconds < 2, name


def test_metadata_costs_nothing_and_the_measure_sees_what_decoding_costs(tmp_path: Path) -> None:
    text = zlib.compress(("\U0001f600" + "a" * 1_000_000).encode(), 9)
    texts = [chunk(b"iTXt", b"key%d\0\1\0\0\0" % number + text) for number in range(60)]
    numbers = {tag: ("I", [value]) for tag, value in {256: 10, 257: 10, 258: 8, 259: 1, 262: 1, 273: 8}.items()}
    sub_ifd = tiff({37_500: ("H", [60_000] * 4_000_000)})
    pointed = tiff(numbers | {34_665: ("I", [0])})
    shifted = struct.pack("<HHHII", 1, 37_500, 3, 4_000_000, len(pointed) + 18) + bytes(4) + sub_ifd[-8_000_000:]
    pointed = tiff(numbers | {34_665: ("I", [len(pointed)])}) + shifted
    large = png((6000, 6000), 8, 0, bytes(6001 * 6000))
    bomb, exif_bomb, decoded = measured(tmp_path, png((1, 1), 8, 0, b"\0\1", *texts), pointed, large)
    assert (bomb[3], exif_bomb[3], decoded[3]) == ("opened", "opened", "opened")
    assert bomb[1] < 20
    assert exif_bomb[1] < 60
    assert decoded[1] > 100


def test_pillow_is_left_as_it_was_and_warnings_do_not_leak() -> None:
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for make, word in BOMBS.values():
            assert word in refusal(make())
    assert caught == []
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))


def test_threads_do_not_disturb_each_other() -> None:
    def same(name: str) -> bool:
        expected = np.asarray(open_image(SEEDS[name]))
        return all(alike(open_image(SEEDS[name]), expected) for _ in range(10))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(same, SEEDS))


Edit = tuple[str, int, bytes]
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["write", "insert", "delete", "cut", "repeat"]),
        st.integers(0, 4000),
        st.binary(min_size=1, max_size=4)
        | st.sampled_from([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x01\0\0\0"]),
    ),
    min_size=1,
    max_size=6,
)


def edited(data: bytes, edits: list[Edit]) -> bytes:
    for action, place, content in edits:
        at = place % max(len(data), 1)
        keep_from = {"write": at + len(content), "insert": at, "delete": at + len(content), "cut": len(data), "repeat": at // 2}
        middle = content if action in ("write", "insert") else b""
        data = data[:at] + middle + data[keep_from[action] :]
    return data


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(SEEDS)), EDITS)
def test_a_damaged_file_is_an_rgb_image_or_an_image_error(name: str, edits: list[Edit]) -> None:
    data = edited(SEEDS[name], edits)
    start = time.perf_counter()
    try:
        image = open_image(data)
    except ImageError as error:
        assert str(error).endswith(".")  # noqa: PT017
    else:
        assert image.mode == "RGB"
        assert np.asarray(image).shape == (image.height, image.width, 3)
    assert time.perf_counter() - start < 2
