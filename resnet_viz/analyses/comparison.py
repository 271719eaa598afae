"""Two inspections side by side: which blocks correspond, and what differs.

Every difference is right - left: swapping the sides changes its sign, and two equal sides give 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from resnet_viz.analyses.inspection import Inspection
from resnet_viz.analyses.measures import MEANINGS
from resnet_viz.display import InNotebooks

BEST_CLASSES, LARGEST_DIFFERENCES = 5, 3

# The measures whose differences are described, and the range of their values; None if only the measured values define one.
SPANS = {"response_std": None, "ratio": None, "cosine": 2.0, "residual_share": 1.0, "cut": 1.0, "cam_mass": None}


@dataclass(frozen=True)
class BlockPair:
    """A row of a comparison: one block of each side. `name`, the block of the side with more blocks, identifies the row."""

    name: str
    left: str
    right: str


@dataclass(frozen=True)
class ClassDifference:
    """A class that both sides have, and its probability on each side, 0 to 1."""

    label: str
    index: int
    left: float
    right: float

    @property
    def difference(self) -> float:
        """Right - left."""
        return self.right - self.left


@dataclass(frozen=True)
class MeasureDifference:
    """A measure, named as in `Inspection.table`, at one pair of blocks."""

    measure: str
    pair: BlockPair
    left: float
    right: float

    @property
    def difference(self) -> float:
        """Right - left."""
        return self.right - self.left


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(InNotebooks):
    """Two inspections and the differences between them.

    `classes` holds the most probable classes of either side, the largest difference first; it is empty if the two networks have
    different classes. `largest` names the few measures that differ most, each with the pair of blocks where it does.
    """

    left: Inspection
    right: Inspection
    pairs: tuple[BlockPair, ...]
    classes: tuple[ClassDifference, ...]
    largest: tuple[MeasureDifference, ...]

    @property
    def left_name(self) -> str:
        """What distinguishes the left side: its network, or its image if the networks are the same."""
        return f"the left {self._what}" if _title(self.left) == _title(self.right) else _title(self.left)

    @property
    def right_name(self) -> str:
        """What distinguishes the right side."""
        return f"the right {self._what}" if _title(self.left) == _title(self.right) else _title(self.right)

    @property
    def aligned_by(self) -> Literal["name", "relative depth"]:
        """How the blocks were paired."""
        return "name" if all(pair.left == pair.right for pair in self.pairs) else "relative depth"

    def pair(self, name: str) -> BlockPair:
        """Return the row of that name; KeyError lists the available ones."""
        for pair in self.pairs:
            if pair.name == name:
                return pair
        raise KeyError(f"there is no pair of blocks {name!r}; there are {', '.join(pair.name for pair in self.pairs)}")

    def table(self) -> pd.DataFrame:
        """Return one row per pair: the two blocks, and for every measure that both sides have `_left`, `_right`, `_difference`.

        The index holds the pairs' names; `resnet_viz.MEANINGS` documents the measures and their units.
        """
        blocks = {"left_block": [pair.left for pair in self.pairs], "right_block": [pair.right for pair in self.pairs]}
        columns = {}
        for measure, values in _common(self.left, self.right, self.pairs).items():
            columns[f"{measure}_left"], columns[f"{measure}_right"] = values
            columns[f"{measure}_difference"] = values[1] - values[0]
        return pd.DataFrame(blocks | columns, index=pd.Index([pair.name for pair in self.pairs], name="block"))

    @property
    def _what(self) -> str:
        return "side" if np.array_equal(self.left.seen, self.right.seen) else "image"


def compare(left: Inspection, right: Inspection) -> Comparison:
    """Compare two inspections: two networks on one image, one network on two images, or both.

    Blocks are paired by name if both networks have the same names, otherwise by relative depth: block i of n is at
    (i + 0.5) / n, and each block of the deeper network has a row. Every difference is right - left.

    TypeError for anything but the results of `rv.inspect`.
    """
    for side, given in (("left", left), ("right", right)):
        if not isinstance(given, Inspection):
            raise TypeError(
                f"the {side} side is of the type {type(given).__name__} and not an inspection: compare rv.inspect(net, image)"
                " with another one"
            )
    pairs = pair_blocks([block.name for block in left.blocks], [block.name for block in right.blocks])
    return Comparison(left, right, pairs, _class_differences(left, right), _largest(left, right, pairs))


def pair_blocks(left: Sequence[str], right: Sequence[str]) -> tuple[BlockPair, ...]:
    """Pair the blocks of two networks by name if both have the same names, otherwise by relative depth.

    Block i of n is at the relative depth (i + 0.5) / n. Each block of the deeper side has a row of its own, next to the block
    of the other side that covers its depth.
    """
    deeper, other = sorted((tuple(left), tuple(right)), key=lambda names: (len(names), names), reverse=True)
    if deeper == other:
        return tuple(BlockPair(name, name, name) for name in deeper)
    beside = [other[(2 * i + 1) * len(other) // (2 * len(deeper))] for i in range(len(deeper))]
    if deeper == tuple(left):
        return tuple(BlockPair(name, name, answer) for name, answer in zip(deeper, beside, strict=True))
    return tuple(BlockPair(name, answer, name) for name, answer in zip(deeper, beside, strict=True))


def _class_differences(left: Inspection, right: Inspection) -> tuple[ClassDifference, ...]:
    mine = {(p.index, p.label): p.probability for p in left.predictions}
    theirs = {(p.index, p.label): p.probability for p in right.predictions}
    if mine.keys() != theirs.keys():
        return ()
    best = dict.fromkeys((p.index, p.label) for side in (left, right) for p in side.predictions[:BEST_CLASSES])
    found = [ClassDifference(label, index, mine[index, label], theirs[index, label]) for index, label in best]
    return tuple(sorted(found, key=lambda entry: (-abs(entry.difference), entry.index)))


def _common(left: Inspection, right: Inspection, pairs: tuple[BlockPair, ...]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The values, pair by pair, of every measure that both sides have."""
    mine = left.table().loc[[pair.left for pair in pairs]]
    theirs = right.table().loc[[pair.right for pair in pairs]]
    both = [name for name in MEANINGS if not mine[name].isna().all() and not theirs[name].isna().all()]
    return {name: (mine[name].to_numpy(), theirs[name].to_numpy()) for name in both}


def _largest(left: Inspection, right: Inspection, pairs: tuple[BlockPair, ...]) -> tuple[MeasureDifference, ...]:
    """For each measure, the pair that differs most; sorted by the difference relative to the range of the measure."""
    common = _common(left, right, pairs)
    if left.target_label != right.target_label:
        # The evidence for one class cannot be compared with the evidence for another.
        del common["cam_mass"]
    found = []
    for measure in SPANS.keys() & common.keys():
        mine, theirs = common[measure]
        sizes = np.nan_to_num(np.abs(theirs - mine))
        row = int(sizes.argmax())
        if sizes[row] > 0:
            span = SPANS[measure] or float(np.nanmax(np.abs([mine, theirs])))
            found.append((sizes[row] / span, MeasureDifference(measure, pairs[row], float(mine[row]), float(theirs[row]))))
    ranked = sorted(found, key=lambda scored: (-scored[0], scored[1].measure))
    return tuple(entry for _, entry in ranked[:LARGEST_DIFFERENCES])


def _title(inspection: Inspection) -> str:
    return inspection.title if inspection.weights.trained else f"untrained {inspection.title}"
