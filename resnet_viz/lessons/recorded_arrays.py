"""Arrays in the JSON files of recordings: nested lists, rounded to what a chart can show."""

import numpy as np

from resnet_viz.analyses.activations import Array


def to_lists(values: Array) -> list[object]:
    """Numbers of five digits, more than a chart shows; None for NaN and infinity, which JSON does not have."""
    if values.ndim > 1:
        return [to_lists(row) for row in values]
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values]


def from_lists(numbers: object, *shape: int) -> Array:
    """Read float32 of this shape, NaN for None; ValueError or TypeError for anything else."""
    array = np.array(numbers, np.float32)
    if array.shape != shape:
        raise ValueError(f"{array.shape} numbers instead of {shape}")
    return array
