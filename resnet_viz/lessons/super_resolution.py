"""Super-resolution as a problem: a target, its low-resolution version, and that version upsampled by bicubic interpolation.

The setup is that of Dong et al. 2014 (https://arxiv.org/abs/1501.00092). Images are 8-bit RGB. Errors are measured on the
luminance Y = 0.299 R + 0.587 G + 0.114 B in levels 0..255, with no border removed.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

from resnet_viz.analyses.activations import Array
from resnet_viz.images import upright_rgb

Picture = NDArray[np.uint8]

FACTORS = (2, 3, 4)
# The shorter side of a target, and the number that both sides are multiples of, so that every factor divides them.
SIDE, MULTIPLE = 240, 12
# SSIM uses windows of 11 pixels.
SMALLEST = 24
LUMINANCE = (0.299, 0.587, 0.114)
# These constants keep the quotient of SSIM finite where a window is flat or black.
SSIM_C1, SSIM_C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


@dataclass(frozen=True)
class Quality:
    """How close an image is to its target: PSNR in dB, infinite for an identical image, and SSIM, 1 for an identical image."""

    psnr: float
    ssim: float


@dataclass(frozen=True, eq=False)
class Problem:
    """The given, the wanted and the upsampled image: 8-bit RGB (H, W, 3). `low` is `factor` times smaller in each direction.

    `upsampled` is `low` enlarged to the target's size by bicubic interpolation: the input of the networks.
    """

    factor: int
    target: Picture
    low: Picture
    upsampled: Picture
    quality: Quality

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self.target.nbytes + self.low.nbytes + self.upsampled.nbytes


def problem(image: Image.Image, factor: int, side: int = SIDE) -> Problem:
    """Make the problem from an image; ValueError for a factor other than 2, 3 and 4, or for an image that is too small."""
    target = view(image, side)
    low, upsampled = degrade(target, factor)
    return Problem(factor, target, low, upsampled, quality(luminance(upsampled), luminance(target)))


def view(image: Image.Image, side: int = SIDE) -> Picture:
    """Return the middle of an image as a square target, 8-bit RGB, after scaling its shorter side down to `side`.

    A smaller image keeps its size, rounded down to a multiple of 12; ValueError under 24 pixels.
    """
    image = upright_rgb(image)
    shorter = min(image.size)
    if shorter < SMALLEST:
        raise ValueError(
            f"This image is {image.width} × {image.height} pixels. Choose one with at least {SMALLEST} on both sides."
        )
    if shorter > side:
        size = tuple(max(side, round(length * side / shorter)) for length in image.size)
        image, shorter = image.resize((size[0], size[1]), Image.Resampling.BICUBIC), side
    edge = shorter // MULTIPLE * MULTIPLE
    left, top = (image.width - edge) // 2, (image.height - edge) // 2
    return np.asarray(image.crop((left, top, left + edge, top + edge)))


def degrade(target: Picture, factor: int) -> tuple[Picture, Picture]:
    """Return the target at low resolution, and the same upsampled again, both by bicubic interpolation and in 8 bits."""
    if factor not in FACTORS:
        raise ValueError(f"The factor {factor} is not one of {', '.join(map(str, FACTORS))}: choose one of these.")
    height, width = target.shape[:2]
    small = Image.fromarray(target).resize((width // factor, height // factor), Image.Resampling.BICUBIC)
    return np.asarray(small), np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def luminance(picture: Picture) -> Array:
    """Y of 8-bit RGB (..., 3), float32 in 0..255."""
    values: Array = (picture.astype(np.float32) @ np.array(LUMINANCE, np.float32)).astype(np.float32)
    return values


def quality(values: Array, target: Array) -> Quality:
    """Compare two luminances, (H, W), in levels 0..255."""
    ours, wanted = torch.from_numpy(values)[None, None], torch.from_numpy(target)[None, None]
    return Quality(psnr(ours, wanted), ssim(ours, wanted))


def psnr(values: Tensor, target: Tensor) -> float:
    """10 log10(255² / mean squared error) of luminances (N, 1, H, W), in dB."""
    error = float((values.double() - target.double()).square().mean())
    return 10 * math.log10(255**2 / error) if error else math.inf


def ssim(values: Tensor, target: Tensor) -> float:
    """Mean structural similarity of luminances (N, 1, H, W) in levels 0..255, at most 1.

    Wang et al. 2004 (https://doi.org/10.1109/TIP.2003.819861, equation 13): local means, variances and the covariance are
    weighted by a Gaussian of 1.5 pixels over a window of 11 x 11; the borders are mirrored.
    """
    a, b = values.double(), target.double()
    moments = gaussian_blur(torch.stack([a, b, a * a, b * b, a * b]).flatten(0, 1), [11, 11], [1.5, 1.5])
    mean_a, mean_b, square_a, square_b, product = moments.unflatten(0, (5, -1))
    variances = square_a - mean_a**2 + square_b - mean_b**2
    covariance = product - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + SSIM_C1) * (2 * covariance + SSIM_C2)
    return float((likeness / ((mean_a**2 + mean_b**2 + SSIM_C1) * (variances + SSIM_C2))).mean())
