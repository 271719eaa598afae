"""The images that excite each channel most: the largest activations of every channel of every block output, and their places.

The channels of all blocks follow one another along the first axis. The k columns are in descending order of the activation.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resnet_viz.analyses.activations import Array, at_least_float32

Whole = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Peaks:
    """The strongest images of each channel, arrays (channels, k), the strongest first.

    `activations` are values of the block output, `images` are positions in the survey (-1 if there are fewer than k images),
    and `rows` and `columns` are the place in the map of the channel.
    """

    activations: Array
    images: Whole
    rows: Whole
    columns: Whole

    @classmethod
    def none(cls, channels: int, k: int) -> "Peaks":
        """Return the peaks before the first image."""
        empty = np.full((channels, k), -1, np.int32)
        return cls(np.full((channels, k), -np.inf, np.float32), empty, empty, empty)

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return sum(values.nbytes for values in vars(self).values())


def merge(parts: Iterable[tuple[Peaks, int]]) -> Peaks:
    """Merge the peaks of several parts, each with the position of its first image; in a tie the earlier image wins."""
    merged: Peaks | None = None
    for peaks, first in parts:
        moved = Peaks(
            peaks.activations, np.where(peaks.images < 0, -1, peaks.images + first).astype(np.int32), peaks.rows, peaks.columns
        )
        merged = moved if merged is None else _strongest(merged, moved)
    if merged is None:
        raise ValueError("there is nothing to merge because no part was given: pass at least one")
    return merged


def _strongest(first: Peaks, second: Peaks) -> Peaks:
    values = np.concatenate([first.activations, second.activations], 1)
    order = np.argsort(-values, axis=1, kind="stable")[:, : first.activations.shape[1]]
    joined = (np.concatenate([getattr(first, name), getattr(second, name)], 1) for name in ("images", "rows", "columns"))
    return Peaks(np.take_along_axis(values, order, 1), *(np.take_along_axis(each, order, 1) for each in joined))


class PeakKeeper:
    """Keeps the k strongest images of each channel while batches pass; its memory does not grow with the number of batches."""

    def __init__(self, channels: Sequence[int], k: int) -> None:
        self._blocks = [Peaks.none(count, k) for count in channels]

    def copy(self) -> "PeakKeeper":
        """Return a keeper that goes on from here; this one stays as it is."""
        keeper = PeakKeeper((), 0)
        keeper._blocks = list(self._blocks)
        return keeper

    def see(self, outputs: Sequence[Tensor], positions: Sequence[int] | NDArray[np.int64]) -> None:
        """Process every block output, (N, C, H, W), of the images at these positions of the part."""
        where = np.asarray(positions, np.int32)
        for number, output in enumerate(outputs):
            self._blocks[number] = _seen(self._blocks[number], output.detach(), where)

    @property
    def peaks(self) -> Peaks:
        """The peaks so far, with the channels of all blocks one after another."""
        arrays = ([getattr(block, name) for block in self._blocks] for name in ("activations", "images", "rows", "columns"))
        return Peaks(*(np.concatenate(each) for each in arrays))


def _seen(known: Peaks, output: Tensor, positions: Whole) -> Peaks:
    # First only the largest value per channel is computed, ten times faster than with its place: after the first batches, few
    # of them enter the list.
    if not len(output):
        return known
    largest = at_least_float32(output).flatten(2).amax(-1).T.cpu().numpy()
    channels, images = np.nonzero(largest > known.activations[:, -1:])
    if not len(channels):
        return known
    places = output[torch.from_numpy(images), torch.from_numpy(channels)].flatten(1).argmax(1).cpu().numpy()
    rows, columns, numbers = (np.full(largest.shape, -1, np.int32) for _ in range(3))
    rows[channels, images], columns[channels, images] = np.divmod(places, output.shape[3])
    numbers[channels, images] = positions[images]
    values = np.full(largest.shape, -np.inf, np.float32)
    values[channels, images] = largest[channels, images]
    return _strongest(known, Peaks(values, numbers, rows, columns))
