"""Preprocessing against torchvision's own transforms, and by hand."""

from collections.abc import Callable

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

from resnet_viz.nets.preprocessing import Preprocessing
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


def test_normalisation_by_hand() -> None:
    preprocessing = Preprocessing(1, 1, (0.5, 0.25, 0.0), (0.5, 0.25, 2.0))
    x = preprocessing.tensor(Image.new("RGB", (1, 1), (255, 0, 102)))
    assert x.flatten().tolist() == pytest.approx([1.0, -1.0, 0.2])
    assert x.dtype == torch.float32
    assert x.shape == (1, 3, 1, 1)
