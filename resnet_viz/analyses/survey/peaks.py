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
# From this share of the maps of a batch on, the places of all of them are looked up.
MANY = 0.3


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
    order = _descending(values, first.activations.shape[1])
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
    k = known.activations.shape[1]
    largest = at_least_float32(output).flatten(2).amax(-1).T.cpu().numpy()
    values = np.concatenate([known.activations, largest], 1)
    order = _descending(values, k)
    channels, ranks = np.nonzero(order >= k)
    if not len(channels):
        return known
    images = order[channels, ranks] - k
    before = np.minimum(order, k - 1)
    activations = np.take_along_axis(known.activations, before, 1)
    numbers, rows, columns = (np.take_along_axis(each, before, 1) for each in (known.images, known.rows, known.columns))
    activations[channels, ranks] = largest[channels, images]
    numbers[channels, ranks] = positions[images]
    rows[channels, ranks], columns[channels, ranks] = np.divmod(_places(output, channels, images), output.shape[3])
    return Peaks(activations, numbers, rows, columns)


def _places(output: Tensor, channels: NDArray[np.int64], images: NDArray[np.int64]) -> NDArray[np.int64]:
    """The positions of the largest values in some of the maps."""
    if len(channels) > MANY * output.shape[0] * output.shape[1]:
        # Copying so many maps takes longer than looking at all.
        found: NDArray[np.int64] = output.flatten(2).argmax(2).cpu().numpy()[images, channels]
        return found
    maps = output[torch.from_numpy(images), torch.from_numpy(channels)]
    places: NDArray[np.int64] = maps.flatten(1).argmax(1).cpu().numpy()
    return places


def _descending(values: Array, k: int) -> NDArray[np.int64]:
    """The positions of the k largest values of each row, the largest first; of equal values, the first one."""
    order: NDArray[np.int64] = np.argsort(-values, axis=1, kind="stable")[:, :k]
    return order
