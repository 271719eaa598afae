"""The sample photos as a checkpoint's network would see them, which run through every network that fits its tensors."""

from dataclasses import replace
from functools import lru_cache

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional as transforms

from resnet_viz import assets
from resnet_viz.nets.preprocessing import Preprocessing

SMALL, LARGEST = 64, 128
# Small images cost little, and each says little.
SMALL_IMAGES, LARGE_IMAGES = 48, 6


def sample_images(preprocessing: Preprocessing) -> Tensor:
    """Return sample photos after a network's preprocessing, (N, 3, crop, crop), the crop at most `LARGEST` pixels."""
    plain = replace(preprocessing, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    normalised: Tensor = transforms.normalize(_unscaled(plain), list(preprocessing.mean), list(preprocessing.std))
    return normalised


@lru_cache(maxsize=4)
def _unscaled(plain: Preprocessing) -> Tensor:
    """Return the photos on the scale 0 to 1: decoding and resizing them takes longer than most networks do."""
    small = plain.crop <= SMALL
    paths = [path for path in sorted(assets.SAMPLES_FOLDER.glob("*.jpg")) if small or not path.name.startswith("cifar")]
    photos = [Image.open(path).convert("RGB") for path in paths]
    squares = [plain.seen(photo) for photo in photos]
    if small:
        # Half of each photo, at twice the size, is another image.
        squares += [half for photo in photos if min(photo.size) > 2 * plain.crop for half in _halves(photo, plain.crop)]
    most = SMALL_IMAGES if small else LARGE_IMAGES
    every = max(1, len(squares) // most)
    # Of larger images the middle says enough.
    side = min(plain.crop, LARGEST)
    return torch.stack(
        [transforms.to_tensor(transforms.center_crop(square, [side, side])) for square in squares[::every][:most]]
    )


def _halves(photo: Image.Image, crop: int) -> list[Image.Image]:
    width, height = photo.size
    side = min(width, height) // 2
    left, top = (width - side) // 2, (height - side) // 2
    corners = ((left, top), (left - side // 2, top - side // 2), (left + side // 2, top + side // 2), (left, top + side // 2))
    boxes = [(min(max(0, x), width - side), min(max(0, y), height - side)) for x, y in corners]
    return [photo.resize((crop, crop), Image.Resampling.BILINEAR, (x, y, x + side, y + side)) for x, y in boxes]
