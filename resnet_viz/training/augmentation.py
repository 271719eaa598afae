"""Variations of training images, with all randomness from a given generator."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as transforms

RATIO = 4 / 3
TRIES = 10
MIXUP_ALPHA = 0.2


def padded_crop(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Crop each image (N, 3, H, W) at a random position of its zero-padded version to (N, 3, H, W), and flip half of them."""
    count, _, height, width = images.shape
    padded = F.pad(images, (padding,) * 4)
    rows = torch.randint(2 * padding + 1, (count, 1), generator=generator) + torch.arange(height)
    columns = torch.randint(2 * padding + 1, (count, 1), generator=generator) + torch.arange(width)
    flipped = torch.rand(count, generator=generator) < 0.5
    columns[flipped] = columns[flipped].flip(1)
    image = torch.arange(count)
    return padded[image[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def resized_crop(images: Tensor, size: int, smallest: float, generator: torch.Generator) -> Tensor:
    """Cut a random rectangle out of each image (N, 3, H, W), resize it to (N, 3, size, size), and flip half of them.

    Its area is a share of the image's between `smallest` and 1, its aspect ratio between 3/4 and 4/3 (log-uniform), as in
    torchvision's `RandomResizedCrop`; antialiased.
    """
    flipped = torch.rand(len(images), generator=generator) < 0.5
    crops = []
    for image, flip in zip(images, flipped.tolist(), strict=True):
        top, left, height, width = rectangle(image.shape[1], image.shape[2], smallest, generator)
        crop = image[:, top : top + height, left : left + width]
        resized = transforms.resize(crop, [size, size], antialias=True)
        crops.append(resized.flip(2) if flip else resized)
    return torch.stack(crops)


def trivial_augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Change each image, bytes (N, 3, H, W), by one random operation of random strength (Müller and Hutter 2021)."""
    change = v2.TrivialAugmentWide(interpolation=v2.InterpolationMode.BILINEAR)
    with _seeded(generator):
        return torch.stack([change(image) for image in images])


def mix(images: Tensor, labels: Tensor, classes: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mix images (N, 3, H, W) in pairs by MixUp or CutMix; the targets, float32 (N, classes), are mixed to the same shares."""
    mixing = v2.RandomChoice([v2.MixUp(alpha=MIXUP_ALPHA, num_classes=classes), v2.CutMix(alpha=1.0, num_classes=classes)])
    with _seeded(generator):
        mixed, targets = mixing(images, labels)
    return mixed, targets


@contextmanager
def _seeded(generator: torch.Generator) -> Iterator[None]:
    """Let torchvision, which draws from torch's global generator alone, draw from `generator`."""
    seed = int(torch.randint(2**62, (1,), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def rectangle(height: int, width: int, smallest: float, generator: torch.Generator) -> tuple[int, int, int, int]:
    """Draw (top, left, height, width) of a rectangle inside an image; the whole image if none fits in ten tries."""
    for _ in range(TRIES):
        area, ratio = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        area = height * width * (smallest + (1 - smallest) * area)
        ratio = math.exp((2 * ratio - 1) * math.log(RATIO))
        rows, columns = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < rows <= height and 0 < columns <= width:
            top = int(torch.randint(height - rows + 1, (1,), generator=generator))
            left = int(torch.randint(width - columns + 1, (1,), generator=generator))
            return top, left, rows, columns
    return 0, 0, height, width
