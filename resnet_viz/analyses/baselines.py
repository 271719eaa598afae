"""Baselines: what the image is compared with, images without recognisable content.

Sturmfels et al. 2020 (https://distill.pub/2020/attribution-baselines/) show how much depends on the choice.
"""

from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from resnet_viz.nets.net import Net

Baseline = Literal["black", "mean colour", "blur", "noise"]
BASELINES: tuple[Baseline, ...] = get_args(Baseline)

# As a share of the crop's side; at this width no object remains recognisable.
BLUR = 1 / 8


def baseline_picture(kind: Baseline, seen: Image.Image, seed: int = 0) -> Image.Image:
    """Return the baseline for a network input, of the same size; ValueError for an unknown kind.

    "mean colour" is the image's own mean colour, "blur" a Gaussian blur of an eighth of its side, "noise" uniform noise from
    `seed`.
    """
    if kind == "black":
        return Image.new("RGB", seen.size)
    if kind == "mean colour":
        red, green, blue = np.asarray(seen).reshape(-1, 3).mean(0).round().astype(int).tolist()
        return Image.new("RGB", seen.size, (red, green, blue))
    if kind == "blur":
        return seen.filter(ImageFilter.GaussianBlur(seen.width * BLUR))
    if kind == "noise":
        values = np.random.default_rng(seed).integers(0, 256, (seen.height, seen.width, 3), dtype=np.uint8)
        return Image.fromarray(values)
    raise ValueError(f"baseline {kind!r} is unknown: choose one of {', '.join(map(repr, BASELINES))}")


def baseline_tensor(net: Net, kind: Baseline, seen: Image.Image, seed: int = 0) -> Tensor:
    """Return the baseline as the network receives it, (1, 3, H, W) on its device."""
    return net.preprocessing.normalise(baseline_picture(kind, seen, seed)).to(net.device)


def noise_like(x: Tensor, samples: int, deviation: float, generator: torch.Generator) -> Tensor:
    """Draw Gaussian noise (samples, 3, H, W) from a separate generator, on the CPU so that all devices get the same."""
    shape = (samples, *x.shape[1:])
    return (torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu") * deviation).to(x.device)
