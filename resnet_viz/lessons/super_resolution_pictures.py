"""A person's image super-resolved by each of the recorded networks, to compare with bicubic interpolation and the target.

The networks process the luminance. Their change of the luminance is added to red, green and blue alike, so that the colours
stay those of the bicubic image.
"""

import time
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from resnet_viz.analyses.activations import Array
from resnet_viz.lessons.super_resolution import Picture, Problem, Quality, luminance, problem, quality
from resnet_viz.lessons.super_resolution_nets import DESIGNS
from resnet_viz.lessons.super_resolution_recorded import network
from resnet_viz.progress import OnProgress, ignore_progress

DETAIL = 60


@dataclass(frozen=True, eq=False)
class Attempt:
    """A network's output for the low-resolution image, 8-bit RGB (H, W, 3), its quality and its cost."""

    name: str
    picture: Picture
    quality: Quality
    seconds: float


@dataclass(frozen=True, eq=False)
class Attempts:
    """The problem and every network's solution. `detail` is (top, left, side) of the square with the largest bicubic error."""

    problem: Problem
    attempts: tuple[Attempt, ...]
    detail: tuple[int, int, int]

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self.problem.nbytes + sum(attempt.picture.nbytes for attempt in self.attempts)


def super_resolve(image: Image.Image, factor: int, on_network: OnProgress = ignore_progress) -> Attempts:
    """Super-resolve an image with every recorded network; raises what `problem` and `network` raise."""
    asked = problem(image, factor)
    attempts = []
    for number, name in enumerate(DESIGNS):
        on_network(number, len(DESIGNS))
        attempts.append(_attempt(name, asked))
    return Attempts(asked, tuple(attempts), worst_window(asked))


def worst_window(asked: Problem, side: int = DETAIL) -> tuple[int, int, int]:
    """Return (top, left, side) of the square in which the upsampled image's luminance differs most from the target's."""
    error = np.square(luminance(asked.target) - luminance(asked.upsampled), dtype=np.float64)
    side = min(side, *error.shape)
    sums = np.zeros((error.shape[0] + 1, error.shape[1] + 1))
    sums[1:, 1:] = error.cumsum(0).cumsum(1)
    inside = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    top, left = np.unravel_index(int(inside.argmax()), inside.shape)
    return int(top), int(left), side


@torch.no_grad()
def _attempt(name: str, asked: Problem) -> Attempt:
    net = network(name)
    before = luminance(asked.upsampled)
    upsampled, low = (torch.from_numpy(values / 255)[None, None] for values in (before, luminance(asked.low)))
    started = time.perf_counter()
    output = net(upsampled, low, asked.factor)
    seconds = time.perf_counter() - started
    after: Array = 255 * output[0, 0].clamp(0, 1).numpy()
    changed = asked.upsampled + (after - before)[..., None]
    picture = np.rint(changed.clip(0, 255)).astype(np.uint8)
    return Attempt(name, picture, quality(after, luminance(asked.target)), seconds)
