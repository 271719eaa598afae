"""What the batch norms of a checkpoint remember, compared with what they see when the network runs in one way or another.

Each batch norm holds the mean and the variance that its input had in training (Ioffe and Szegedy 2015,
https://arxiv.org/abs/1502.03167, algorithm 2). Sample photos run through the network. Each norm's input is compared with what
the norm remembers and is then set to exactly that. A difference therefore tells only about the layers between two norms:
neither the scale of the input nor a wrong layer further up hides it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_viz.nets.checkpoints.assembly import CheckpointResNet

# A channel whose variance is less than this share of its layer's median has died in training and is ignored.
FLOOR = 1e-2
# In standard deviations, and in factors of e: anything larger is wrong, and by how much does not matter.
FURTHEST = 3.0
# Keeps a channel that is the same everywhere from dividing by zero.
TINY = 1e-12

IsEnough = Callable[[Sequence[Tensor]], bool]


class _StopError(Exception):
    """Enough norms were seen."""


@dataclass(frozen=True, eq=False)
class Reached:
    """A pass after one of a network's parts: the feature maps there, and the differences of all norms so far."""

    x: Tensor
    found: tuple[Tensor, ...]


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
    with _compared(module, found, lambda so_far: len(so_far) == most):
        module(images)
    return found


@torch.no_grad()
def differences_by_part(
    network: CheckpointResNet, images: Tensor, before: Sequence[Reached], is_enough: IsEnough
) -> list[Reached] | None:
    """Run a network from where another one's pass is still the same, part by part; None where `is_enough` stopped it.

    `before` is that pass after each of the parts that both networks have in common. RuntimeError where the maps on shortcut and
    branch do not fit together.
    """
    reached = list(before)
    found = list(before[-1].found) if before else []
    x = before[-1].x if before else images
    stopped = True
    with _compared(network, found, is_enough):
        for part in network.parts[len(before) :]:
            x = part(x)
            reached.append(Reached(x, tuple(found)))
        stopped = False
    return None if stopped else reached


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
    """Take the directions of `nuisances` out of the values of each norm: flat tensors, (2 channels,)."""
    flat = [value.flatten() for value in values]
    return [value - basis @ (basis.T @ value) for basis, value in zip(directions, flat, strict=False)]


@contextmanager
def _compared(module: nn.Module, found: list[Tensor], is_enough: IsEnough) -> Iterator[None]:
    """Append each norm's difference to `found` while the module runs, and end the pass as soon as they are enough."""

    def compare(norm: nn.Module, given: tuple[Tensor, ...], _: Tensor) -> Tensor:
        kept_mean, kept = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
        # The output is what the norm would give if its input had the statistics that it remembers.
        factor = (kept / (kept + float(norm.eps))).sqrt()  # type: ignore[arg-type]  # a number
        factor = torch.where(kept < kept.median() * FLOOR**2, 0.0, factor)
        scale, bias = factor * norm.get_parameter("weight"), norm.get_parameter("bias")
        # One pass over the input for both, four times as fast as torch.var_mean.
        output, mean, inverse = torch.native_batch_norm(given[0], scale, bias, None, None, True, 0.0, TINY)  # noqa: FBT003 - has no keywords
        variance = (inverse**-2 - TINY).clamp(min=0)
        floor = kept.median() * FLOOR + TINY
        shift = (mean - kept_mean) / (kept + floor).sqrt()
        stretch = ((variance + floor) / (kept + floor)).log() / 2
        found.append(torch.stack([shift, stretch]).clamp(-FURTHEST, FURTHEST).nan_to_num(FURTHEST))
        if is_enough(found):
            raise _StopError
        return output

    handles = [norm.register_forward_hook(compare) for norm in _norms(module)]
    try:
        yield
    except _StopError:
        pass
    finally:
        for handle in handles:
            handle.remove()


def _norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    return [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d) and layer.track_running_stats]
