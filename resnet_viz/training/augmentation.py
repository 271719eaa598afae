"""Variations of training images, with all randomness from a given generator."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import v2

RATIO = 4 / 3
TRIES = 10
MIXUP_ALPHA = 0.2
TOGETHER = 8


def padded_crop(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Crop each image (N, 3, H, W) at a random position of its zero-padded version to (N, 3, H, W), and flip half of them."""
    count, _, height, width = images.shape
    padded = F.pad(images, (padding,) * 4)
    rows = torch.randint(2 * padding + 1, (count, 1), generator=generator) + torch.arange(height)
    columns = torch.randint(2 * padding + 1, (count, 1), generator=generator) + torch.arange(width)
    flipped = torch.rand(count, generator=generator) < 0.5
    columns[flipped] = columns[flipped].flip(1)
    image, rows, columns = (index.to(images.device) for index in (torch.arange(count), rows, columns))
    return padded[image[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def resized_crop(images: Tensor, size: int, smallest: float, generator: torch.Generator) -> Tensor:
    """Cut a random rectangle out of each image, bytes (N, 3, H, W), resize it to (N, 3, size, size), and flip half of them.

    Its area is a share of the image's between `smallest` and 1, its aspect ratio between 3/4 and 4/3 (log-uniform), as in
    torchvision's `RandomResizedCrop`. Bilinear and antialiased, as two products of matrices for all images at once: a GPU would
    wait for a loop over the images.
    """
    count, _, height, width = images.shape
    top, left, rows, columns = rectangles(count, height, width, smallest, generator).to(images.device).unbind(1)
    flipped = (torch.rand(count, generator=generator) < 0.5).to(images.device)
    down, across = _resampling(top, rows, height, size), _resampling(left, columns, width, size)
    across = torch.where(flipped[:, None, None], across.flip(1), across)
    return (down[:, None] @ images.float() @ across[:, None].mT).round().clamp(0, 255).to(torch.uint8)


def rectangles(count: int, height: int, width: int, smallest: float, generator: torch.Generator) -> Tensor:
    """Draw (top, left, height, width) of a rectangle in each image, int64 (N, 4); the whole image if none fits in ten tries."""
    areas, ratios, vertical, horizontal = torch.rand(4, count, TRIES, generator=generator, dtype=torch.float64)
    areas = height * width * (smallest + (1 - smallest) * areas)
    ratios = torch.exp((2 * ratios - 1) * math.log(RATIO))
    rows, columns = (areas / ratios).sqrt().round().long(), (areas * ratios).sqrt().round().long()
    fits = (rows > 0) & (rows <= height) & (columns > 0) & (columns <= width)
    tops, lefts = (vertical * (height - rows + 1)).long(), (horizontal * (width - columns + 1)).long()
    first = fits.long().argmax(1)  # The first of the largest values: of the tries that fit.
    drawn = torch.stack([tops, lefts, rows, columns], 2)[torch.arange(count), first]
    return torch.where(fits.any(1)[:, None], drawn, torch.tensor([0, 0, height, width]))


def _resampling(starts: Tensor, lengths: Tensor, side: int, size: int) -> Tensor:
    """Weights float32 (N, size, side) that resize `lengths` pixels from `starts` on: triangles, antialiased as in torch."""
    scale = (lengths / size)[:, None, None]
    centres = starts[:, None, None] + (torch.arange(size, device=starts.device)[:, None] + 0.5) * scale
    pixels = torch.arange(side, device=starts.device) + 0.5
    weights = (1 - (pixels - centres).abs() / scale.clamp(min=1)).clamp(min=0)
    weights *= (pixels > starts[:, None, None]) & (pixels < (starts + lengths)[:, None, None])
    return weights / weights.sum(2, keepdim=True)


def trivial_augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Change the images, bytes (N, 3, H, W), by random operations of random strength (Müller and Hutter 2021).

    Images that follow one another in eights, which a training draws at random, share one operation: that is eight times faster.
    """
    change = v2.TrivialAugmentWide(interpolation=v2.InterpolationMode.BILINEAR)
    with _seeded(generator):
        return torch.cat([change(some) for some in images.split(TOGETHER)])


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
