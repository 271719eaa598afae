"""Does a deeper network learn better or worse, and is it because gradients vanish? Read from the shipped training curves.

He et al. 2015 (https://arxiv.org/abs/1512.03385, section 4.1) call it degradation when a deeper plain network has the higher
*training* error, and argue that with batch norm it is no matter of vanishing gradients. Here both are looked up, for the
networks whose curves are there; what they do not show is not said.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from resnet_viz.analyses.activations import Array
from resnet_viz.nets.curves import block_norms
from resnet_viz.nets.zoo import TRAINED

SHALLOW, DEEP = 20, 56
PLAIN = {depth: f"plain{depth}-cifar10" for depth in (SHALLOW, DEEP)}
RESIDUAL = {depth: f"resnet{depth}-cifar10" for depth in (SHALLOW, DEEP)}
WANTED = (PLAIN[SHALLOW], RESIDUAL[SHALLOW], PLAIN[DEEP], RESIDUAL[DEEP])

# A block whose gradient is this much smaller than the largest of the same epoch hardly learns beside it.
VANISHED = 1000


@dataclass(frozen=True)
class TrainedDepth:
    """How a network's training ended: errors in [0, 1] on training and on test images after `epochs`."""

    name: str
    title: str
    depth: int
    plain: bool
    epochs: int
    training: float
    test: float


@dataclass(frozen=True)
class Depths:
    """A shallow and a deep network of one kind, both trained; `more` is the deeper one's error minus the shallow one's."""

    shallow: TrainedDepth
    deep: TrainedDepth
    more_training: float
    more_test: float


@dataclass(frozen=True, eq=False)
class Norms:
    """Gradient norms of a network's blocks in one epoch, first to last.

    `lowest` and `highest` are each block's over all epochs; `least_share` is the smallest block's norm over the largest one's,
    in the epoch in which that is least.
    """

    run: TrainedDepth
    epoch: int
    blocks: tuple[str, ...]
    values: Array
    lowest: Array
    highest: Array
    least_share: float

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self.values.nbytes + self.lowest.nbytes + self.highest.nbytes

    @property
    def smallest_share(self) -> float:
        """The smallest block's norm over the largest one's, in this epoch."""
        return float(self.values.min() / self.values.max())

    @property
    def vanished(self) -> bool:
        """Whether in some epoch some block has less than a thousandth of the largest."""
        return self.least_share * VANISHED < 1


def there(curves: Mapping[str, pd.DataFrame]) -> tuple[TrainedDepth, ...]:
    """The wanted networks that have a curve, in the order of `WANTED`."""
    return tuple(run_of(name, curves[name]) for name in WANTED if name in curves)


def missing(curves: Mapping[str, pd.DataFrame]) -> tuple[str, ...]:
    """The titles of those that have none."""
    return tuple(TRAINED[name].title for name in WANTED if name not in curves)


def run_of(name: str, curve: pd.DataFrame) -> TrainedDepth:
    """How a network's training ended; ValueError for one that is not in the catalogue."""
    if name not in TRAINED:
        raise ValueError(f"there is no network {name!r} in the catalogue: take one of {', '.join(WANTED)}")
    spec, last = TRAINED[name], curve.iloc[-1]
    return TrainedDepth(
        name,
        spec.title,
        spec.depth,
        spec.shortcut == "plain",
        int(last["epoch"]),
        float(last["train_error"]),
        float(last["test_error"]),
    )


def depths(curves: Mapping[str, pd.DataFrame], *, plain: bool) -> Depths | None:
    """Compare the deep network of a kind with the shallow one; None where one of them has no curve."""
    names = PLAIN if plain else RESIDUAL
    if any(name not in curves for name in names.values()):
        return None
    shallow, deep = (run_of(names[depth], curves[names[depth]]) for depth in (SHALLOW, DEEP))
    return Depths(shallow, deep, deep.training - shallow.training, deep.test - shallow.test)


def norms(name: str, curve: pd.DataFrame, epoch: int) -> Norms | None:
    """The gradient norms of an epoch, or of the last one before it; None where the curve holds none."""
    table = block_norms(curve)
    if table.empty:
        return None
    epochs = [int(each) for each in table.columns]
    chosen = max((each for each in epochs if each <= epoch), default=epochs[0])
    values = table.to_numpy(np.float32)
    blocks = tuple(str(block) for block in table.index)
    least = float((values.min(0) / values.max(0)).min())
    return Norms(run_of(name, curve), chosen, blocks, values[:, epochs.index(chosen)], values.min(1), values.max(1), least)
