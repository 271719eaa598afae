"""One definition of a residual, the observed value minus the predicted value, for a line through points.

For an image, the prediction is the input; for a block of a network, it is the identity. See `residual_image` and
`resnet_viz.inspect`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

POINTS, MOVED = 12, 8
SLOPE, START, NOISE = 0.6, 1.0, 0.7


@dataclass(frozen=True, eq=False)
class Line:
    """A least-squares fit: predicted + residual = actual, each (points,), at `x`; `moved` is the point that the reader moves.

    `error` is the largest |predicted + residual - actual|.
    """

    x: Values
    actual: Values
    predicted: Values
    residual: Values
    moved: int
    error: float


def line(lift: float = 0.0, seed: int = 0) -> Line:
    """Fit a line to seeded points, one of which is lifted; ValueError if `lift` is not a finite number."""
    if not np.isfinite(lift):
        raise ValueError(f"A point cannot be lifted by {lift}: choose a finite number.")
    noise = np.random.default_rng(seed).normal(0, NOISE, POINTS)
    x = np.arange(POINTS, dtype=np.float64)
    actual = START + SLOPE * x + noise
    actual[MOVED] += lift
    design = np.stack([x, np.ones_like(x)], 1)
    predicted: Values = design @ np.linalg.lstsq(design, actual)[0]
    residual = actual - predicted
    return Line(x, actual, predicted, residual, MOVED, float(np.abs(predicted + residual - actual).max()))
