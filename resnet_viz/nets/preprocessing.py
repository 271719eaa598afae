"""From a PIL image to the tensor a network was trained on: resize the shorter side, crop the centre, normalise.

The same arithmetic as torchvision's `ImageClassification` preset, with the cropped picture as a step of its own, because
overlays belong on the pixels that the network saw.
"""

import math
from dataclasses import dataclass
from typing import Protocol

from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as transforms

from resnet_viz.images import upright_rgb

LARGEST = 1024


class Preset(Protocol):
    """What `weights.transforms()` carries."""

    resize_size: list[int]
    crop_size: list[int]
    mean: list[float]
    std: list[float]
    interpolation: InterpolationMode


@dataclass(frozen=True)
class Preprocessing:
    """Sizes in pixels; mean and standard deviation per channel on the scale 0..1. ValueError for what cannot be meant."""

    resize: int
    crop: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: InterpolationMode = InterpolationMode.BILINEAR

    def __post_init__(self) -> None:
        """Refuse what would give no picture, or one without end."""
        if not 1 <= self.crop <= self.resize <= LARGEST:
            raise ValueError(
                f"resize {self.resize} and crop {self.crop} do not fit together: take 1 <= crop <= resize <= {LARGEST} pixels"
            )
        if not all(math.isfinite(value) for value in (*self.mean, *self.std)) or min(self.std) <= 0:
            raise ValueError(f"mean {self.mean} and standard deviation {self.std}: take numbers, standard deviations above 0")

    @classmethod
    def of(cls, preset: Preset) -> "Preprocessing":
        """Take over the numbers of official weights."""
        red, green, blue = preset.mean
        return cls(
            preset.resize_size[0],
            preset.crop_size[0],
            (red, green, blue),
            (preset.std[0], preset.std[1], preset.std[2]),
            preset.interpolation,
        )

    def seen(self, image: Image.Image) -> Image.Image:
        """Return the square picture that the network sees, `crop` x `crop` pixels, RGB.

        A PIL image of any mode is treated as `rv.open_image` treats a file; raises `rv.ImageError` where it cannot be used.
        """
        resized = transforms.resize(upright_rgb(image), [self.resize], self.interpolation)
        cropped: Image.Image = transforms.center_crop(resized, [self.crop])
        return cropped

    def tensor(self, image: Image.Image) -> Tensor:
        """PIL image -> float32 (1, 3, crop, crop), (value / 255 - mean) / std."""
        return self.normalise(self.seen(image))

    def normalise(self, seen: Image.Image) -> Tensor:
        """Turn the picture that `seen` returned into float32 (1, 3, crop, crop)."""
        scaled = transforms.to_tensor(seen)
        normalised: Tensor = transforms.normalize(scaled, list(self.mean), list(self.std))
        return normalised.unsqueeze(0)
