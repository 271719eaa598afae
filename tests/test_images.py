"""`rv.open_image`: every source, every format, and files that are damaged or not images."""

import io
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from resnet_viz import images
from resnet_viz.images import ImageError, digest, open_image
from tests.image_files import (
    BLACK,
    BLUE,
    GREEN,
    RED,
    SEEDS,
    WHITE,
    alike,
    noise,
    pixels,
    png,
    refusal,
    row,
    saved,
)


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
    assert open_image(png((8000, 6250), 1, 0, bytes(6250 * (row_bytes + 1)))).size == (8000, 6250)
    assert "50 million" in refusal(png((8000, 6251), 1, 0, b""))
    assert "empty or incomplete" in refusal(png((0, 5), 8, 0, b""))
    assert "empty or incomplete" in refusal(saved(row(RED), "BMP")[:18] + bytes(8) + saved(row(RED), "BMP")[26:])


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "This HEIC image cannot be decoded"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "This HEIC image cannot be decoded"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", "This AVIF image cannot be decoded"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "This AVIF image cannot be decoded"),
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


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF"])
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
