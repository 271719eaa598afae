"""Preprocessing against torchvision's own transforms, and by hand."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import (
    ResNet18_Weights,
    ResNet50_Weights,
    ResNeXt101_64X4D_Weights,
    Wide_ResNet50_2_Weights,
)
from torchvision.transforms import functional as transforms

from resnet_viz.nets.preprocessing import Framing, Preprocessing
from resnet_viz.nets.zoo import CIFAR_PREPROCESSING

WEIGHTS = (
    ResNet18_Weights.IMAGENET1K_V1,
    ResNet50_Weights.IMAGENET1K_V1,
    ResNet50_Weights.IMAGENET1K_V2,
    ResNeXt101_64X4D_Weights.IMAGENET1K_V1,
    Wide_ResNet50_2_Weights.IMAGENET1K_V2,
)
SIZES = ((224, 224), (300, 200), (201, 333), (640, 480), (31, 90), (1, 1))


class TestAgainstTorchvision:
    @pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
    @pytest.mark.parametrize("weights", WEIGHTS, ids=str)
    def test_tensor_is_bitwise_equal(
        self, weights: ResNet18_Weights, size: tuple[int, int], make_image: Callable[..., Image.Image]
    ) -> None:
        preset, image = weights.transforms(), make_image(*size)
        assert torch.equal(Preprocessing.of(preset).tensor(image), preset(image).unsqueeze(0))

    @pytest.mark.parametrize("mode", ["L", "P", "CMYK"])
    def test_other_modes_are_converted_first(self, mode: str, make_image: Callable[..., Image.Image]) -> None:
        preset, image = ResNet18_Weights.DEFAULT.transforms(), make_image(40, 30).convert(mode)
        assert torch.equal(Preprocessing.of(preset).tensor(image), preset(image.convert("RGB")).unsqueeze(0))

    @pytest.mark.parametrize(("weights", "resize"), list(zip(WEIGHTS, (256, 256, 232, 232, 232), strict=True)), ids=str)
    def test_numbers_are_taken_over(self, weights: ResNet18_Weights, resize: int) -> None:
        preprocessing = Preprocessing.of(weights.transforms())
        assert (preprocessing.resize, preprocessing.crop) == (resize, 224)
        assert preprocessing.mean == (0.485, 0.456, 0.406)
        assert preprocessing.std == (0.229, 0.224, 0.225)


class TestValues:
    @pytest.mark.parametrize("half", [0.5, np.float32(0.5), [0.5] * 3, np.full(3, 0.5), torch.full((3,), 0.5)])
    def test_one_number_stands_for_all_channels(self, half: Any) -> None:
        found = Preprocessing(np.int64(8), 8, half, half)  # type: ignore[arg-type]  # whole numbers of other libraries
        assert found == Preprocessing(8, 8, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        assert hash(found)

    @pytest.mark.parametrize(
        ("changed", "kind", "sentence"),
        [
            ({"mean": "0.5"}, TypeError, "mean has one number for each of the three channels, or one for all, and not '0.5'"),
            ({"std": None}, TypeError, "std has one number"),
            ({"mean": (0.5, None, 0.5)}, TypeError, "mean has one number"),
            ({"mean": ()}, TypeError, "mean has one number"),
            ({"mean": (0.5, 0.5)}, ValueError, "mean has 2 numbers: give one for each of the three channels"),
            ({"std": 0}, ValueError, "choose finite numbers, and standard deviations above 0"),
            ({"mean": float("nan")}, ValueError, "choose finite numbers"),
            ({"resize": "256"}, TypeError, "resize is a whole number of pixels, and not '256'"),
            ({"crop": 7.5}, TypeError, "crop is a whole number of pixels, and not 7.5"),
            ({"crop": 9}, ValueError, "choose 1 <= crop <= resize"),
            ({"interpolation": "bilinear"}, TypeError, "is no InterpolationMode"),
        ],
    )
    def test_others_get_a_sentence(self, changed: dict[str, Any], kind: type[Exception], sentence: str) -> None:
        with pytest.raises(kind, match=sentence):
            Preprocessing(**{"resize": 8, "crop": 8, "mean": 0.5, "std": 0.5} | changed)


class TestSeen:
    @pytest.mark.parametrize("weights", WEIGHTS, ids=str)
    def test_is_what_the_tensor_says(self, weights: ResNet18_Weights, make_image: Callable[..., Image.Image]) -> None:
        """Undoing the normalisation gives back every byte of the crop."""
        preprocessing, image = Preprocessing.of(weights.transforms()), make_image(301, 200)
        tensor = preprocessing.tensor(image)[0].double()
        mean, std = (torch.tensor(v, dtype=torch.float64).view(3, 1, 1) for v in (preprocessing.mean, preprocessing.std))
        back = ((tensor * std + mean) * 255).permute(1, 2, 0).numpy()
        seen = np.asarray(preprocessing.seen(image))
        assert seen.shape == (224, 224, 3)
        assert np.abs(back - seen).max() < 1e-4

    def test_a_picture_of_the_right_size_is_seen_as_it_is(self, make_image: Callable[..., Image.Image]) -> None:
        image = make_image(32, 32)
        assert CIFAR_PREPROCESSING.seen(image).tobytes() == image.tobytes()

    @pytest.mark.parametrize(
        ("width", "height", "box"),
        [(40, 32, (4, 0, 36, 32)), (32, 50, (0, 9, 32, 41))],
        ids=["landscape", "portrait"],
    )
    def test_the_centre_is_kept(
        self, width: int, height: int, box: tuple[int, int, int, int], make_image: Callable[..., Image.Image]
    ) -> None:
        image = make_image(width, height)
        assert CIFAR_PREPROCESSING.seen(image).tobytes() == image.crop(box).tobytes()

    def test_the_picture_is_left_alone(self, make_image: Callable[..., Image.Image]) -> None:
        image = make_image(50, 40)
        before = image.copy()
        CIFAR_PREPROCESSING.tensor(image)
        assert image == before


def chequered(width: int, height: int) -> Image.Image:
    """Every pixel encodes its own position: red is its column, green its row, and blue makes a chequerboard."""
    rows, columns = np.indices((height, width))
    return Image.fromarray(np.stack([columns, rows, 255 * ((rows + columns) % 2)], -1).astype(np.uint8))


class TestCropBox:
    @pytest.mark.parametrize("size", [*SIZES, (2000, 1000), (1001, 333)], ids=lambda size: f"{size[0]}x{size[1]}")
    @pytest.mark.parametrize("weights", WEIGHTS, ids=str)
    def test_is_where_torchvision_crops(self, weights: ResNet18_Weights, size: tuple[int, int]) -> None:
        """The crop of a photo resized with its pixels' coordinates as colours begins and ends where the box says."""
        preset = weights.transforms()
        across = transforms.resize(Image.new("L", size), preset.resize_size).size
        left, top = (round((side - 224) / 2) for side in across)
        scale = (size[0] / across[0], size[1] / across[1])
        box = (left * scale[0], top * scale[1], (left + 224) * scale[0], (top + 224) * scale[1])
        assert Preprocessing.of(preset).crop_box(size) == pytest.approx(box)

    def test_by_hand(self) -> None:
        preprocessing = Preprocessing(256, 224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        # The shorter side of 512 becomes 256: two of the photo's pixels are one of the network's, 16 are cut off.
        assert preprocessing.crop_box((512, 512)) == (32, 32, 480, 480)
        assert preprocessing.crop_box((1024, 512)) == (288, 32, 736, 480)
        assert CIFAR_PREPROCESSING.crop_box((40, 32)) == (4, 0, 36, 32)

    def test_fitted_by_hand(self) -> None:
        fitting = replace(CIFAR_PREPROCESSING, framing="fit")
        assert fitting.crop_box((64, 32)) == (0, -16, 64, 48)
        assert fitting.crop_box((32, 32)) == (0, 0, 32, 32)


class TestSharp:
    def test_the_crop_has_the_photos_own_pixels(self) -> None:
        """224 of 256 at twice the size: the box lies on whole pixels, and none of them is changed."""
        photo = chequered(250, 240)
        preprocessing = Preprocessing(120, 100, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        assert preprocessing.crop_box(photo.size) == pytest.approx((24, 20, 224, 220), abs=0)
        assert preprocessing.sharp(photo).tobytes() == photo.crop((24, 20, 224, 220)).tobytes()

    @pytest.mark.parametrize(
        ("size", "side"), [((640, 480), 420), ((2000, 1000), 672), ((200, 150), 224), ((256, 256), 224), ((5000, 4000), 672)]
    )
    def test_it_is_never_larger_than_the_photo_nor_smaller_than_the_input(self, size: tuple[int, int], side: int) -> None:
        preprocessing = Preprocessing(256, 224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        assert preprocessing.sharp(Image.new("RGB", size)).size == (side, side)

    @pytest.mark.parametrize("framing", ["crop", "fit"])
    @pytest.mark.parametrize("size", [(640, 480), (333, 1001), (700, 700)], ids=str)
    def test_it_lines_up_with_what_the_network_sees(self, framing: Framing, size: tuple[int, int]) -> None:
        """A ramp from left to right and one from top to bottom: reduced to the input, both are where they are in `seen`."""
        width, height = size
        rows, columns = np.indices((height, width))
        ramps = np.stack([255 * columns / width, 255 * rows / height, 0 * rows], -1).round().astype(np.uint8)
        photo = Image.fromarray(ramps)
        preprocessing = Preprocessing(256, 224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), framing=framing)
        seen = np.asarray(preprocessing.seen(photo)).astype(int)
        reduced = np.asarray(preprocessing.sharp(photo).resize((224, 224), Image.Resampling.BOX)).astype(int)
        inside = seen[..., 2] == 0
        # A quarter of the network's pixel at most; a photo's edge falls anywhere within a pixel of its surroundings.
        assert np.abs(seen - reduced)[inside & (reduced[..., 2] == 0)].max() <= 2
        assert (inside != (reduced[..., 2] == 0)).sum() <= 2 * 224

    def test_a_small_photo_is_shown_as_it_is_seen(self, make_image: Callable[..., Image.Image]) -> None:
        image = make_image(32, 32)
        assert CIFAR_PREPROCESSING.sharp(image).tobytes() == image.tobytes()


class TestFit:
    def test_the_whole_photo_lies_on_the_mean_colour(self, make_image: Callable[..., Image.Image]) -> None:
        image = make_image(32, 16)
        seen = replace(CIFAR_PREPROCESSING, framing="fit").seen(image)
        assert seen.crop((0, 8, 32, 24)).tobytes() == image.tobytes()
        assert set(seen.crop((0, 0, 32, 8)).get_flattened_data()) == {CIFAR_PREPROCESSING.mean_colour}
        assert set(seen.crop((0, 24, 32, 32)).get_flattened_data()) == {CIFAR_PREPROCESSING.mean_colour}

    def test_what_surrounds_it_is_almost_0_in_the_tensor(self) -> None:
        x = replace(CIFAR_PREPROCESSING, framing="fit").tensor(Image.new("RGB", (32, 16), "white"))
        assert x[0, :, :8].abs().max() < 0.01

    @pytest.mark.parametrize("size", [(1, 50), (50, 1), (3000, 61)], ids=str)
    def test_a_thin_photo_keeps_a_row_or_column(self, size: tuple[int, int]) -> None:
        seen = replace(CIFAR_PREPROCESSING, framing="fit").seen(Image.new("RGB", size, "white"))
        assert seen.size == (32, 32)
        assert (255, 255, 255) in set(seen.get_flattened_data())

    def test_an_unknown_framing_is_refused(self) -> None:
        with pytest.raises(ValueError, match="choose 'crop' or 'fit'"):
            replace(CIFAR_PREPROCESSING, framing="squash")  # type: ignore[arg-type]


def test_normalisation_by_hand() -> None:
    preprocessing = Preprocessing(1, 1, (0.5, 0.25, 0.0), (0.5, 0.25, 2.0))
    x = preprocessing.tensor(Image.new("RGB", (1, 1), (255, 0, 102)))
    assert x.flatten().tolist() == pytest.approx([1.0, -1.0, 0.2])
    assert x.dtype == torch.float32
    assert x.shape == (1, 3, 1, 1)
