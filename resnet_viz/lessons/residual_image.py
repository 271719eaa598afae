"""The residual image: target - input. Added to the input it gives the target; with the opposite sign it does not.

Levels are integers from 0 to 255. float32 represents all of them and their differences exactly, so the sum is exact. It is not
exact for the same levels divided by 255; both errors are measured.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from resnet_viz.analyses.activations import Array
from resnet_viz.lessons.super_resolution import LUMINANCE, Picture, Problem, problem


@dataclass(frozen=True, eq=False)
class ResidualImage:
    """input + residual = sum, float32 (H, W, 3) in levels. `flipped` is set if the residual is input - target on request.

    `error` is the largest |sum - target| in levels, `fraction_error` the same for values from 0 to 1.
    """

    problem: Problem
    flipped: bool
    residual: Array
    sum: Array
    error: float
    fraction_error: float

    @property
    def shown(self) -> NDArray[np.int16]:
        """The residual of the luminance in whole levels, (H, W)."""
        return np.rint(self.residual @ np.array(LUMINANCE, np.float32)).astype(np.int16)

    @property
    def sum_picture(self) -> Picture:
        """The sum as an image, clipped to 0..255."""
        picture: Picture = np.rint(self.sum.clip(0, 255)).astype(np.uint8)
        return picture

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self.problem.nbytes + self.residual.nbytes + self.sum.nbytes


def residual_image(image: Image.Image, factor: int, *, flipped: bool = False) -> ResidualImage:
    """Compute an image's residual and add it to the input; ValueError as raised by `problem`."""
    asked = problem(image, factor)
    target, given = asked.target.astype(np.float32), asked.upsampled.astype(np.float32)
    residual, total, error = _add(target, given, flipped=flipped)
    *_, fraction_error = _add(target / np.float32(255), given / np.float32(255), flipped=flipped)
    return ResidualImage(asked, flipped, residual, total, error, fraction_error)


def _add(target: Array, given: Array, *, flipped: bool) -> tuple[Array, Array, float]:
    residual: Array = given - target if flipped else target - given
    total: Array = given + residual
    return residual, total, float(np.abs(total - target).max())
