"""Photos come out upright, wherever their orientation is written."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from resnet_viz.images import open_image, upright_rgb
from tests.image_files import (
    alike,
    chunk,
    exif,
    pixels,
    png,
    saved,
)

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


XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description {}/></x:xmpmeta>'
ATTRIBUTE, ELEMENT = 'tiff:Orientation="6"', "><tiff:Orientation>6</tiff:Orientation></rdf:Description"


def raw_profile(name: str, block: bytes) -> bytes:
    """Return what ImageMagick writes: the name, the length, and lines of 72 hexadecimal digits."""
    digits = block.hex()
    lines = [digits[at : at + 72] for at in range(0, len(digits), 72)]
    return f"\n{name}\n{len(block):8d}\n{chr(10).join(lines)}\n".encode()


def text(keyword: bytes, body: bytes) -> bytes:
    return chunk(b"zTXt", keyword + b"\0\0" + zlib.compress(body))


# A PNG of two pixels in a row, with a chunk that says: turn it by 90 degrees.
LYING: dict[str, bytes] = {
    "xmp as an attribute": chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP.format(ATTRIBUTE).encode()),
    "xmp as an element": chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP.format(ELEMENT).encode()),
    "compressed xmp": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0en\0name\0" + zlib.compress(XMP.format(ATTRIBUTE).encode())),
    "raw exif": text(b"Raw profile type exif", raw_profile("exif", exif(6))),
    "raw exif without its head": text(b"Raw profile type exif", raw_profile("exif", exif(6, ">")[6:])),
    "raw exif as text": chunk(b"tEXt", b"Raw profile type exif\0" + raw_profile("exif", exif(6))),
    "raw app1": text(b"Raw profile type APP1", raw_profile("generic profile", exif(6))),
    "raw app1 with xmp": text(b"Raw profile type APP1", raw_profile("generic profile", XMP.format(ATTRIBUTE).encode())),
    "raw xmp": text(b"Raw profile type xmp", raw_profile("xmp", XMP.format(ATTRIBUTE).encode())),
}


@pytest.mark.parametrize("name", LYING)
def test_a_png_is_turned_by_its_xmp_and_by_the_profiles_of_imagemagick(name: str) -> None:
    data = png((2, 1), 8, 0, b"\0\1\2", LYING[name])
    assert open_image(data).size == (1, 2)
    assert pixels(data) == [(1, 1, 1), (2, 2, 2)]
    handed_over = upright_rgb(Image.open(io.BytesIO(data)))
    assert alike(handed_over, open_image(data))
    if name not in {"raw app1", "raw app1 with xmp", "raw xmp"}:  # which Pillow does not know
        assert alike(handed_over, ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


def test_exif_decides_before_xmp() -> None:
    upright = png((2, 1), 8, 0, b"\0\1\2", chunk(b"eXIf", exif(1)[6:]), LYING["xmp as an attribute"])
    assert open_image(upright).size == (2, 1)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "TIFF"])
def test_other_formats_are_turned_by_their_xmp(kind: str) -> None:
    packet = XMP.format(ATTRIBUTE).encode()
    data = saved(Image.new("RGB", (32, 16)), kind, **({"tiffinfo": {700: packet}} if kind == "TIFF" else {"xmp": packet}))
    assert open_image(data).size == (16, 32)
    assert upright_rgb(Image.open(io.BytesIO(data))).size == (16, 32)


@pytest.mark.parametrize("packet", ['tiff:Orientation="9"', 'tiff:Orientation=""', "tiff:Orientation" + " " * 1000, "\udcff"])
def test_an_xmp_packet_without_an_orientation_changes_nothing(packet: str) -> None:
    body = XMP.format(packet).encode("utf-8", "surrogateescape")
    assert open_image(png((2, 1), 8, 0, b"\0\1\2", chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + body))).size == (2, 1)


@pytest.mark.parametrize("profile", [b"", b"\nexif\n", b"\nexif\n 4\nzz\n", raw_profile("exif", b"Exif\0\0II")])
def test_a_broken_raw_profile_changes_nothing(profile: bytes) -> None:
    assert open_image(png((2, 1), 8, 0, b"\0\1\2", text(b"Raw profile type exif", profile))).size == (2, 1)
    damaged = chunk(b"zTXt", b"Raw profile type exif\0\0" + b"no zlib stream")
    assert open_image(png((2, 1), 8, 0, b"\0\1\2", damaged)).size == (2, 1)


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_pil_image_is_turned_as_a_file_is(orientation: int, kind: str) -> None:
    data = turned(orientation, kind, "<")
    image = Image.open(io.BytesIO(data))
    assert alike(upright_rgb(image), open_image(data))
    assert alike(upright_rgb(image), open_image(data)), "the first call must not turn the image that was given"
