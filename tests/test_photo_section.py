"""The photo with its frame, as markup: the position of the frame, the caption, and no markup from outside."""

import io
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from PIL import Image

import resnet_viz as rv
from app.pictures import THUMBNAIL, Ground, Preview
from app.views import photo_section
from resnet_viz.nets.preprocessing import Framing, Preprocessing


@dataclass(frozen=True)
class SubjectOf:
    """The part of a subject that the section uses."""

    preprocessing: Preprocessing


def encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def drawn(size: tuple[int, int], framing: Framing) -> str:
    preprocessing = Preprocessing(256, 224, (0.5, 0.25, 0.0), (0.5, 0.5, 0.5), framing=framing)
    subject: Any = SubjectOf(preprocessing)
    return photo_section._original(Preview.of(encoded(Image.new("RGB", size))), subject)


def shares(style: str) -> list[float]:
    return [float(number) for number in re.findall(r":([-\d.]+)%", style)]


def places(markup: str) -> tuple[list[float], list[float]]:
    """Left, top, width and height in percent of the canvas: of the photo, and of the frame."""
    photo, frame = (re.search(rf"<{tag}[^>]* style='([^']*)'", markup) for tag in ("img", "span"))
    assert photo is not None
    assert frame is not None
    return shares(photo[1]), shares(frame[1])


def test_a_panorama_shows_its_centre_square_in_a_frame() -> None:
    markup = drawn((1024, 512), "crop")
    photo, frame = places(markup)
    assert photo == [0, 0, 100, 100]
    # 448 of the photo's 1,024 by 512 pixels, from its middle.
    assert frame == pytest.approx([100 * 288 / 1024, 100 * 32 / 512, 100 * 448 / 1024, 100 * 448 / 512], abs=0.001)
    assert "1,024×512 pixels. The network receives the centre square in the frame." in markup


def test_a_fitted_panorama_lies_in_a_square_of_the_mean_colour() -> None:
    markup = drawn((1024, 512), "fit")
    photo, frame = places(markup)
    assert frame == [0, 0, 100, 100]
    assert photo == [0, 25, 100, 50]
    assert "aspect-ratio:1.0000;background:rgb(128, 64, 0)" in markup
    assert "The network receives the whole photo." in markup


def test_an_original_is_kept_small_and_its_size_is_told() -> None:
    preview = Preview.of(encoded(Image.new("RGB", (3000, 1500), "red")))
    assert preview.size == (3000, 1500)
    assert preview.nbytes < 30_000


def test_a_picture_of_few_pixels_keeps_them_in_its_thumbnail() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    small = Preview.of(encoded(Image.fromarray(pixels))).thumbnail
    assert small.startswith("data:image/png")
    large = Preview.of(encoded(Image.new("RGB", (640, 480)))).thumbnail
    assert large.startswith("data:image/webp")
    assert THUMBNAIL >= 2 * 48


def test_what_lies_under_maps_is_the_sharp_crop() -> None:
    data = encoded(Image.linear_gradient("L").resize((1600, 1200)).convert("RGB"))
    preprocessing = Preprocessing(256, 224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    ground = Ground.of(data, preprocessing)
    assert (ground.large.side, ground.small.side) == (672, 448)
    grey = np.asarray(ground.large.picture()).astype(int)
    sharp = np.asarray(preprocessing.sharp(rv.open_image(data)).convert("L")) * 0.6 + 80
    assert np.abs(grey - sharp).max() <= 3
