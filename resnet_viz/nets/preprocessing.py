"""From a PIL image to the tensor that a network was trained on: resize the shorter side, crop the centre, normalise.

The same arithmetic as torchvision's `ImageClassification` preset, with the cropped image as a separate step, because overlays
belong on the pixels that the network received. `crop_box` returns the corresponding part of the photo, and `sharp` shows the
same part with the photo's own pixels.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from operator import index
from typing import Literal, Protocol

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as transforms

from resnet_viz.images import check_image, upright_rgb

LARGEST = 1024
# The most pixels per side drawn behind a map: three times the usual input, and what a chart on screen can show.
SHARPEST = 672

Framing = Literal["crop", "fit"]
CropBox = tuple[float, float, float, float]


class Preset(Protocol):
    """The fields of `weights.transforms()`."""

    resize_size: list[int]
    crop_size: list[int]
    mean: list[float]
    std: list[float]
    interpolation: InterpolationMode


@dataclass(frozen=True)
class Preprocessing:
    """Sizes in pixels; mean and standard deviation per channel on the scale 0..1, or one number for all three channels.

    ValueError for values that give no image, TypeError for values of another type.

    `framing` says which part of a non-square photo the network receives: "crop", its centre square, as in torchvision, or
    "fit", the whole photo with its longer side as long as the input and the rest filled with the mean colour.
    """

    resize: int
    crop: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: InterpolationMode = InterpolationMode.BILINEAR
    framing: Framing = "crop"

    def __post_init__(self) -> None:
        """Refuse values that would give no image, or an endless one."""
        for side in ("resize", "crop"):
            object.__setattr__(self, side, _whole(side, getattr(self, side)))
        for name in ("mean", "std"):
            object.__setattr__(self, name, _per_channel(name, getattr(self, name)))
        if not isinstance(self.interpolation, InterpolationMode):
            raise TypeError(f"interpolation {self.interpolation!r} is no InterpolationMode of torchvision.transforms: use one")
        if not 1 <= self.crop <= self.resize <= LARGEST:
            raise ValueError(
                f"resize {self.resize} and crop {self.crop} do not fit together: choose 1 <= crop <= resize <= {LARGEST} pixels"
            )
        if not all(math.isfinite(value) for value in (*self.mean, *self.std)) or min(self.std) <= 0:
            raise ValueError(
                f"mean {self.mean} and standard deviation {self.std}: choose finite numbers, and standard deviations above 0"
            )
        if self.framing not in ("crop", "fit"):
            raise ValueError(f"framing {self.framing!r} is unknown: choose 'crop' or 'fit'")

    @classmethod
    def of(cls, preset: Preset) -> "Preprocessing":
        """Take the numbers from official weights."""
        red, green, blue = preset.mean
        return cls(
            preset.resize_size[0],
            preset.crop_size[0],
            (red, green, blue),
            (preset.std[0], preset.std[1], preset.std[2]),
            preset.interpolation,
        )

    @property
    def mean_colour(self) -> tuple[int, int, int]:
        """The mean as an RGB colour, 0..255: the margin of a fitted photo, which is close to 0 in the tensor."""
        red, green, blue = (min(255, max(0, round(255 * value))) for value in self.mean)
        return red, green, blue

    def seen(self, image: Image.Image) -> Image.Image:
        """Return the square image that the network receives, `crop` x `crop` pixels, RGB.

        A PIL image of any mode is treated as `rv.open_image` treats a file; raises `rv.ImageError` if it cannot be used, and
        TypeError for a path or anything else that is no PIL image.
        """
        photo = upright_rgb(image)
        if self.framing == "fit":
            return self._laid_out(photo, self.crop)
        resized = transforms.resize(photo, [self.resize], self.interpolation)
        cropped: Image.Image = transforms.center_crop(resized, [self.crop])
        return cropped

    def crop_box(self, size: tuple[int, int]) -> CropBox:
        """Return the network's part of a photo of this size (width, height): left, top, right, bottom, in the photo's pixels.

        The edges may lie between two pixels, and outside a fitted photo, in the margin of the mean colour.
        """
        width, height = size
        if self.framing == "fit":
            across, down = _fitted(size, self.crop)
            left, top = -((self.crop - across) // 2), -((self.crop - down) // 2)
        else:
            # As computed by torchvision, including the rounding.
            shorter = min(size)
            across, down = (self.resize if side == shorter else int(self.resize * side / shorter) for side in size)
            left, top = round((across - self.crop) / 2), round((down - self.crop) / 2)
        x, y = width / across, height / down
        return left * x, top * y, (left + self.crop) * x, (top + self.crop) * y

    def sharp(self, image: Image.Image, most: int = SHARPEST) -> Image.Image:
        """Return the content of `seen` with the photo's own pixels: square, RGB, at most `most` pixels per side.

        It has no more pixels than the photo has there, and no fewer than the network's input.
        """
        check_image(image)
        box = self.crop_box(image.size)
        side = max(self.crop, min(most, int(min(box[2] - box[0], box[3] - box[1]))))
        if side == self.crop:
            return self.seen(image)
        photo = upright_rgb(image)
        if self.framing == "fit":
            return self._laid_out(photo, side)
        return photo.resize((side, side), Image.Resampling.BILINEAR, _inside(box, photo.size))

    def _laid_out(self, photo: Image.Image, side: int) -> Image.Image:
        """The whole photo in the middle of a square of the mean colour, which is `crop_box` at `side` pixels."""
        left, top, right, bottom = self.crop_box(photo.size)
        x, y = side / (right - left), side / (bottom - top)
        edges = [round(edge) for edge in (-left * x, -top * y, (photo.width - left) * x, (photo.height - top) * y)]
        size = [max(1, edges[3] - edges[1]), max(1, edges[2] - edges[0])]
        square = Image.new("RGB", (side, side), self.mean_colour)
        square.paste(transforms.resize(photo, size, self.interpolation), (edges[0], edges[1]))
        return square

    def tensor(self, image: Image.Image) -> Tensor:
        """PIL image -> float32 (1, 3, crop, crop), (value / 255 - mean) / std."""
        return self.normalise(self.seen(image))

    def normalise(self, seen: Image.Image) -> Tensor:
        """Convert the image returned by `seen` to float32 (1, 3, crop, crop)."""
        # torchvision returns numbers of the type that the caller has made torch's default.
        scaled = transforms.to_tensor(seen).to(torch.float32)
        normalised: Tensor = transforms.normalize(scaled, list(self.mean), list(self.std))
        return normalised.unsqueeze(0)


def check_preprocessing(given: object) -> None:
    """Raise TypeError with what to pass if this is neither an `rv.Preprocessing` nor None."""
    if given is None or isinstance(given, Preprocessing):
        return
    how = "pass rv.Preprocessing.of(...) of it" if hasattr(given, "crop_size") else "pass rv.Preprocessing(...)"
    raise TypeError(f"preprocessing is an rv.Preprocessing and not {type(given).__name__}: {how}")


def _whole(name: str, value: object) -> int:
    try:
        return index(value)  # type: ignore[arg-type]  # what it checks
    except TypeError as error:
        raise TypeError(f"{name} is a whole number of pixels, and not {value!r}") from error


def _per_channel(name: str, given: object) -> tuple[float, float, float]:
    """Return three numbers, given as such or as one for all channels."""
    values = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,) * 3
    try:
        numbers = [float(value) for value in values if not isinstance(value, str)]
    except (TypeError, ValueError):
        numbers = []
    if not values or len(numbers) < len(values):
        raise TypeError(f"{name} has one number for each of the three channels, or one for all, and not {given!r}")
    if len(numbers) != 3:
        raise ValueError(f"{name} has {len(numbers)} numbers: give one for each of the three channels, or one for all")
    return numbers[0], numbers[1], numbers[2]


def _fitted(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return width and height of a photo with its longer side scaled to `side`; neither becomes 0."""
    longer = max(size)
    return max(1, round(size[0] * side / longer)), max(1, round(size[1] * side / longer))


def _inside(box: CropBox, size: tuple[int, int]) -> CropBox:
    """Prevent rounding errors from exceeding the photo's edge, which Pillow refuses."""
    return max(0.0, box[0]), max(0.0, box[1]), min(float(size[0]), box[2]), min(float(size[1]), box[3])
