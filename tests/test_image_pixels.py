"""Pixels of every mode against hand-computed RGB, from files and from PIL images alike."""

import io
import struct

import numpy as np
import pillow_heif
import pytest
import torch
from PIL import Image, ImageCms

from resnet_viz.images import ImageError, open_image, upright_rgb
from resnet_viz.images.formats import recognise
from resnet_viz.nets.preprocessing import Preprocessing
from tests.image_files import (
    BLACK,
    BLUE,
    RED,
    SEEDS,
    WHITE,
    Colour,
    alike,
    chunk,
    colours,
    grey_tiff,
    pixels,
    png,
    refusal,
    row,
    saved,
    tiff,
)  # fmt: skip


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
    assert "infinite or NaN" in refusal(grey_tiff(32, struct.pack("<3f", 0, value, 1), kind=3))


def test_cmyk_ycbcr_and_lab() -> None:
    # (255 - C)(255 - K) / 255: cyan is 0, 255, 255; half black is 127.
    cmyk = Image.new("CMYK", (2, 1))
    cmyk.putdata([(255, 0, 0, 0), (0, 0, 0, 128)])
    assert pixels(saved(cmyk, "TIFF")) == [(0, 255, 255), (127, 127, 127)]
    assert pixels(saved(Image.new("YCbCr", (1, 1), (77, 128, 128)), "TIFF")) == [(77, 77, 77)]
    assert pixels(saved(Image.new("LAB", (1, 1), (255, 128, 128)), "TIFF"))[0] == pytest.approx(WHITE, abs=2)


def laid_on_white(colour: Colour, alpha: int) -> Colour:
    red, green, blue = (round(value * alpha / 255 + 255 * (255 - alpha) / 255) for value in colour)
    return red, green, blue


def test_a_pil_image_with_transparency_is_laid_on_white() -> None:
    image = Image.new("RGBA", (3, 1))
    image.putdata([(9, 200, 100, 0), (9, 200, 100, 128), (9, 200, 100, 255)])
    expected = [WHITE, laid_on_white((9, 200, 100), 128), (9, 200, 100)]
    for mode in ("RGBA", "RGBa"):
        assert np.abs(np.subtract(colours(upright_rgb(image.convert(mode))), expected)).max() <= 1
    grey = Image.new("LA", (2, 1))
    grey.putdata([(100, 51), (100, 255)])
    assert colours(upright_rgb(grey)) == [(224, 224, 224), (100, 100, 100)]
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putdata([1, 0])
    palette.info["transparency"] = 1
    assert colours(upright_rgb(palette)) == [WHITE, (10, 20, 30)]
    keyed = row(RED, BLUE)
    keyed.info["transparency"] = RED
    assert colours(upright_rgb(keyed)) == [WHITE, BLUE]


def test_pil_images_of_wide_modes() -> None:
    deep = Image.fromarray(np.array([SIXTEEN], np.uint16))
    assert deep.mode == "I;16"
    assert colours(upright_rgb(deep)) == [(grey,) * 3 for grey in SIXTEEN_AS_EIGHT]
    big_endian = Image.frombytes("I;16B", (8, 1), struct.pack(">8H", *SIXTEEN))
    assert colours(upright_rgb(big_endian)) == [(grey,) * 3 for grey in SIXTEEN_AS_EIGHT]
    for values, greys in (([-1000, 0, 1000], [0, 128, 255]), ([0, 7, 255], [0, 7, 255])):
        numbers = Image.fromarray(np.array([values], np.int32))
        assert numbers.mode == "I"
        assert colours(upright_rgb(numbers)) == [(grey,) * 3 for grey in greys]
    fractions = Image.fromarray(np.array([[0, 0.5, 1]], np.float32))
    assert fractions.mode == "F"
    assert colours(upright_rgb(fractions)) == [(0,) * 3, (128,) * 3, (255,) * 3]
    with pytest.raises(ImageError, match="infinite or NaN"):
        upright_rgb(Image.fromarray(np.array([[0, np.nan]], np.float32)))
    assert colours(upright_rgb(Image.new("1", (1, 1), 1))) == [WHITE]
    assert colours(upright_rgb(Image.new("CMYK", (1, 1), (255, 0, 0, 128)))) == [(0, 127, 127)]


def test_values_far_apart_in_a_high_image_share_one_scale() -> None:
    """Wide images are converted in bands of rows; the smallest and largest value are of all of them."""
    values = np.repeat(np.linspace(0, 1000, 3000, dtype=np.float32)[:, None], 1200, axis=1)
    greys = np.asarray(upright_rgb(Image.fromarray(values)))[:, 0, 0]
    assert np.array_equal(greys, np.rint(values[:, 0].astype(np.float64) * 255 / 1000))
    alpha = np.full((3000, 1200, 4), 255, np.uint8)
    alpha[::2, :, 3] = 0
    laid = np.asarray(upright_rgb(Image.fromarray(alpha * np.array([0, 1, 0, 1], np.uint8))))
    assert (laid[::2] == 255).all()
    assert (laid[1::2] == [0, 255, 0]).all()


PNGS = [
    png((4, 1), 2, 0, b"\0\x1b", chunk(b"tRNS", b"\0\1")),
    png((2, 1), 4, 0, b"\0\x2c", chunk(b"tRNS", b"\0\2")),
    png((2, 1), 16, 2, struct.pack(">x3H3H", 0x1122, 0, 0, 0x2211, 0, 0), chunk(b"tRNS", struct.pack(">3H", 0x1122, 0, 0))),
    png((2, 1), 16, 0, struct.pack(">x2H", 0x1122, 0x1123), chunk(b"tRNS", struct.pack(">H", 0x1122))),
    png((2, 1), 8, 2, b"\0\1\2\3\1\2\4", chunk(b"tRNS", struct.pack(">3H", 1, 2, 3))),
]


@pytest.mark.parametrize("data", [*SEEDS.values(), *PNGS])
def test_a_file_opened_by_pil_gives_the_same_pixels(data: bytes) -> None:
    is_heic = recognise(data) == "HEIC"
    image = pillow_heif.open_heif(data).to_pillow() if is_heic else Image.open(io.BytesIO(data))
    info = dict(image.info)
    assert alike(upright_rgb(image), open_image(data))
    assert info.get("transparency") == image.info.get("transparency")


def test_what_is_rgb_and_upright_is_handed_back_itself() -> None:
    image = open_image(saved(row(RED, BLUE), "PNG"))
    assert upright_rgb(image) is image


def test_pil_images_that_cannot_be_used() -> None:
    with pytest.raises(ImageError, match="at most 50 times"):
        upright_rgb(Image.new("RGB", (2, 101)))
    with pytest.raises(ImageError, match="empty"):
        upright_rgb(Image.new("RGB", (0, 5)))
    with pytest.raises(ImageError, match="This PNG image cannot be decoded"):
        upright_rgb(Image.open(io.BytesIO(SEEDS["png"][:-60])))


def test_networks_see_the_same_pixels_whichever_way_an_image_arrives() -> None:
    preprocessing = Preprocessing(16, 16, (0, 0, 0), (1, 1, 1))
    for data in (SEEDS["transparent avif"], SEEDS["16-bit png"], SEEDS["palette png"], SEEDS["jpeg"], SEEDS["cmyk jpeg"]):
        handed_over = preprocessing.tensor(Image.open(io.BytesIO(data)))
        assert torch.equal(handed_over, preprocessing.tensor(open_image(data)))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_colour_profiles_are_ignored(kind: str) -> None:
    """As torchvision's loaders ignore them, by which the networks were trained."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    image = Image.new("RGB", (16, 16), (200, 100, 50))
    assert alike(open_image(saved(image, kind, icc_profile=profile)), open_image(saved(image, kind)))
