"""The photo behind a map: its greys, its sharpness, and its exact alignment with the network's crop."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import resnet_viz as rv
from resnet_viz.figures.attribution.backdrop import ENLARGED, Backdrop, backdrop, greyed
from resnet_viz.figures.attribution.overlay import enlarge


def chequers(side: int, square: int) -> Image.Image:
    """A chequerboard, black at the top left."""
    rows, columns = np.indices((side, side)) // square
    return Image.fromarray((255 * ((rows + columns) % 2)).astype(np.uint8)).convert("RGB")


def test_greys_leave_room_for_the_tint() -> None:
    grey = greyed(Image.fromarray(np.array([[0, 255]], np.uint8)).convert("RGB"))
    assert list(grey.get_flattened_data()) == [80, 233]


def test_a_photo_keeps_its_pixels() -> None:
    ground = Backdrop.of(chequers(672, 16))
    assert (ground.side, ground.kind) == (672, "JPEG")
    assert ground.url.startswith("data:image/jpeg;base64,")
    shown = np.asarray(ground.picture()).astype(int)
    expected = np.asarray(greyed(chequers(672, 16))).astype(int)
    # JPEG's blocks of 8 pixels lie within the squares.
    assert np.abs(shown - expected).max() <= 3


def test_few_pixels_are_shown_as_squares(make_image: Callable[..., Image.Image]) -> None:
    image = make_image(32, 32)
    ground = Backdrop.of(image)
    assert ground.kind == "PNG"
    assert ground.picture().tobytes() == greyed(image).tobytes()
    assert ENLARGED // 32 * 32 == 448


def test_what_is_ready_is_taken_and_what_is_missing_is_the_networks_input(make_image: Callable[..., Image.Image]) -> None:
    seen = np.asarray(make_image(32, 32))
    ready = Backdrop.of(make_image(32, 32, seed=1))
    assert backdrop(ready, seen) is ready
    assert backdrop(None, seen) == Backdrop.of(Image.fromarray(seen))
    assert backdrop(chequers(256, 8), seen).side == 256


@pytest.mark.parametrize("framing", ["crop", "fit"])
def test_a_cell_lies_on_the_part_of_the_photo_that_it_was_computed_from(framing: str) -> None:
    """Squares of the photo that fill a cell each: sharp and seen agree on which cells are white."""
    photo = Image.new("RGB", (1024, 512))
    preprocessing = rv.Preprocessing(256, 224, (0.1, 0.1, 0.1), (0.5, 0.5, 0.5))
    preprocessing = replace(preprocessing, framing="fit" if framing == "fit" else "crop")
    left, top, right, _ = preprocessing.crop_box(photo.size)
    cell = (right - left) / 7
    for row, column in ((2, 1), (3, 5), (4, 4)):
        x, y = round(left + column * cell), round(top + row * cell)
        photo.paste((255, 255, 255), (x, y, x + round(cell), y + round(cell)))
    white = np.zeros((7, 7), np.float32)
    white[[2, 3, 4], [1, 5, 4]] = 1
    for picture in (preprocessing.seen(photo), preprocessing.sharp(photo)):
        means = np.asarray(picture.convert("L").resize((7, 7), Image.Resampling.BOX)) / 255
        np.testing.assert_allclose(means > 0.9, white > 0)
        bright = np.asarray(picture.convert("L")) > 127
        assert (bright == (enlarge(white, picture.size, "exact") > 0)).mean() > 0.99


def test_exact_cells_are_rectangles_and_smooth_ones_pass_through_their_centres() -> None:
    values = np.array([[0, 4], [8, 2]], np.float32)
    np.testing.assert_array_equal(enlarge(values, (4, 4), "exact"), np.kron(values, np.ones((2, 2))))
    smooth = enlarge(values, (6, 6), "smooth")
    # The centres of the cells are the pixels 1 and 4 of 6.
    np.testing.assert_allclose(smooth[np.ix_([1, 4], [1, 4])], values, atol=1e-5)
    assert smooth[1, 2] == pytest.approx(4 / 3)
