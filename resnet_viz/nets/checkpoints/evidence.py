"""What the batch norms of a checkpoint remember, against what they see when the network runs in one way or another.

Each batch norm holds the mean and variance that its input had in training (Ioffe and Szegedy 2015,
https://arxiv.org/abs/1502.03167, algorithm 2). Sample photos run through the network; each norm's input is compared with what
it remembers and then set to exactly that, so that a difference tells about the layers between two norms alone: neither the
scale of the input nor a wrong layer further up hides it.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms.functional import center_crop

from resnet_viz import assets
from resnet_viz.nets.preprocessing import Preprocessing

# A channel whose variance is less than this share of its layer's median has died in training, and says nothing.
FLOOR = 1e-2
# In deviations, and in factors of e: what is further away is wrong, how far does not matter.
FURTHEST = 3.0
SMALL, LARGEST = 64, 128
# Small images cost little, and each says little.
SMALL_IMAGES, LARGE_IMAGES = 96, 6


class _StopError(Exception):
    """Enough norms were seen."""


def remembers(module: nn.Module) -> bool:
    """Whether any norm holds other statistics than those that it begins with, mean 0 and variance 1."""
    norms = _norms(module)
    return any(
        bool((norm.get_buffer("running_var") != 1).any() or (norm.get_buffer("running_mean") != 0).any()) for norm in norms
    )


@torch.no_grad()
def differences(module: nn.Module, images: Tensor, most: int | None = None) -> list[Tensor]:
    """Return for each norm, up to `most`, how its input differs from what it remembers; images (N, C, H, W) -> (2, channels).

    First the difference of the means in remembered deviations, then the logarithm of the ratio of the deviations.
    """
    found: list[Tensor] = []

    def compare(norm: nn.Module, given: tuple[Tensor, ...], _: Tensor) -> Tensor:
        variance, mean = torch.var_mean(given[0], (0, 2, 3), correction=0)
        kept_mean, kept = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
        floor = kept.median() * FLOOR + 1e-12
        shift = (mean - kept_mean) / (kept + floor).sqrt()
        stretch = ((variance + floor) / (kept + floor)).log() / 2
        found.append(torch.stack([shift, stretch]).clamp(-FURTHEST, FURTHEST).nan_to_num(FURTHEST))
        if len(found) == most:
            raise _StopError
        return _as_remembered(norm, given[0] - mean[:, None, None], variance, kept)

    handles = [norm.register_forward_hook(compare) for norm in _norms(module)]
    try:
        module(images)
    except _StopError:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return found


def nuisances(module: nn.Module, images: Tensor, usual: Sequence[Tensor]) -> list[Tensor]:
    """Return for each norm the directions, (2 channels, k), in which other photos than ours move its statistics.

    Training images differ from sample photos in contrast, sharpness and scale; a difference in these directions says nothing.
    """
    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    height, width = images.shape[-2:]
    inner = images[:, :, height // 4 : height - height // 4, width // 4 : width - width // 4]
    zoomed = F.interpolate(inner, size=(height, width), mode="bilinear")
    others = [
        differences(module, other) for other in (0.8 * images, 1.5 * images - 0.5 * blurred, (images + blurred) / 2, zoomed)
    ]
    found = []
    for index, base in enumerate(usual):
        moved = torch.stack([(other[index] - base).flatten() for other in others], 1)
        found.append(torch.linalg.qr(moved)[0])
    return found


def without(directions: Sequence[Tensor], values: Sequence[Tensor]) -> list[Tensor]:
    """Take the directions of `nuisances` out of the values for each norm: flat tensors, (2 channels,)."""
    flat = [value.flatten() for value in values]
    return [value - basis @ (basis.T @ value) for basis, value in zip(directions, flat, strict=False)]


@lru_cache(maxsize=4)
def sample_images(preprocessing: Preprocessing, channels: int = 3) -> Tensor:
    """Return sample photos as a network would see them, (N, channels, crop, crop); grey for one channel."""
    small = preprocessing.crop <= SMALL
    paths = [path for path in sorted(assets.SAMPLES_FOLDER.glob("*.jpg")) if small or not path.name.startswith("cifar")]
    photos = [Image.open(path) for path in paths]
    tensors = [preprocessing.tensor(photo) for photo in photos]
    if small:
        # Half of each photo, at twice the size, is another image.
        crop = preprocessing.crop
        tensors += [
            preprocessing.normalise(half) for photo in photos if min(photo.size) > 2 * crop for half in _halves(photo, crop)
        ]
    # Of larger images the middle says enough.
    tensors = [center_crop(tensor, [min(preprocessing.crop, LARGEST)] * 2) for tensor in tensors]
    every = max(1, len(tensors) // (SMALL_IMAGES if small else LARGE_IMAGES))
    images = torch.cat(tensors[::every][: SMALL_IMAGES if small else LARGE_IMAGES])
    return images if channels == 3 else images.mean(1, keepdim=True).expand(-1, channels, -1, -1)


def _halves(photo: Image.Image, crop: int) -> list[Image.Image]:
    width, height = photo.size
    side = min(width, height) // 2
    left, top = (width - side) // 2, (height - side) // 2
    corners = ((left, top), (left - side // 2, top - side // 2), (left + side // 2, top + side // 2), (left, top + side // 2))
    boxes = [(min(max(0, x), width - side), min(max(0, y), height - side)) for x, y in corners]
    rgb = photo.convert("RGB")
    return [rgb.resize((crop, crop), Image.Resampling.BILINEAR, (x, y, x + side, y + side)) for x, y in boxes]


def _as_remembered(norm: nn.Module, centred: Tensor, variance: Tensor, kept: Tensor) -> Tensor:
    """Return what the norm would give if its input had the statistics that it remembers."""
    factor = (kept / (kept + float(norm.eps)) / (variance + 1e-12)).sqrt()  # type: ignore[arg-type]  # a number
    factor = torch.where(kept < kept.median() * FLOOR**2, 0.0, factor)
    weight, bias = norm.get_parameter("weight"), norm.get_parameter("bias")
    return centred * (factor * weight)[:, None, None] + bias[:, None, None]


def _norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    return [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d) and layer.track_running_stats]
