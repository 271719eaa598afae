"""Does a deeper network train better or worse, and do its gradients vanish? Read from the shipped training curves.

He et al. 2015 (https://arxiv.org/abs/1512.03385, section 4.1) call it degradation when a deeper plain network has the higher
*training* error, and argue that with batch norm vanishing gradients are not the cause. Both claims are checked here for the
networks with shipped curves; nothing is said beyond what these show.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from resnet_viz.analyses.activations import Array
from resnet_viz.nets.curves import block_norms
from resnet_viz.nets.zoo import TRAINED, read_card

SHALLOW, DEEP = 20, 56
PLAIN = {depth: f"plain{depth}-cifar10" for depth in (SHALLOW, DEEP)}
RESIDUAL = {depth: f"resnet{depth}-cifar10" for depth in (SHALLOW, DEEP)}
WANTED = (PLAIN[SHALLOW], RESIDUAL[SHALLOW], PLAIN[DEEP], RESIDUAL[DEEP])
# Networks of 18 layers for photos, without and with shortcuts, trained by one recipe.
PHOTOS = ("plain18-imagenette", "resnet18-imagenette")

# A block with a gradient this much smaller than the largest of the same epoch hardly learns in comparison.
VANISHED = 1000


@dataclass(frozen=True)
class TrainedDepth:
    """A network at the end of its training: the errors in [0, 1] on the training and test images after `epochs`."""

    name: str
    title: str
    depth: int
    plain: bool
    epochs: int
    training: float
    test: float


@dataclass(frozen=True)
class Depths:
    """A shallow and a deep network of one kind, both trained; `more` is the deep one's error minus the shallow one's."""

    shallow: TrainedDepth
    deep: TrainedDepth
    more_training: float
    more_test: float


@dataclass(frozen=True, eq=False)
class Norms:
    """The gradient norms of a network's blocks in one epoch, first to last.

    `lowest` and `highest` are each block's extremes over all epochs. `least_share` is the ratio of the smallest block norm to
    the largest, in the epoch in which this ratio is smallest.
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
        """The ratio of the smallest block norm to the largest in this epoch."""
        return float(self.values.min() / self.values.max())

    @property
    def vanished(self) -> bool:
        """Whether in some epoch a block has less than a thousandth of the largest gradient norm."""
        return self.least_share * VANISHED < 1


def there(curves: Mapping[str, pd.DataFrame]) -> tuple[TrainedDepth, ...]:
    """The networks of `WANTED` that have a curve, in that order."""
    return tuple(run_of(name, curves[name]) for name in WANTED if name in curves)


def missing(curves: Mapping[str, pd.DataFrame]) -> tuple[str, ...]:
    """The titles of the networks of `WANTED` without a curve."""
    return tuple(TRAINED[name].title for name in WANTED if name not in curves)


def run_of(name: str, curve: pd.DataFrame) -> TrainedDepth:
    """The errors at the end of a network's training; ValueError for a network that is not in the catalogue."""
    if name not in TRAINED:
        raise ValueError(f"there is no network {name!r} in the catalogue: choose one of {', '.join(WANTED)}")
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
    """Compare the deep network of a kind with the shallow one; None if one of them has no curve."""
    names = PLAIN if plain else RESIDUAL
    if any(name not in curves for name in names.values()):
        return None
    shallow, deep = (run_of(names[depth], curves[names[depth]]) for depth in (SHALLOW, DEEP))
    return Depths(shallow, deep, deep.training - shallow.training, deep.test - shallow.test)


def on_photos(curves: Mapping[str, pd.DataFrame]) -> tuple[TrainedDepth, TrainedDepth] | None:
    """The plain and the residual network for photos, of one depth, with the errors of their cards; None if one has no curve.

    The errors of their curves are those of images that are cropped, changed and mixed for training.
    """
    if any(name not in curves for name in PHOTOS):
        return None
    plain, residual = (_as_measured(run_of(name, curves[name])) for name in PHOTOS)
    return plain, residual


def _as_measured(run: TrainedDepth) -> TrainedDepth:
    card = read_card(run.name)
    return replace(run, training=1 - card["train_accuracy"], test=1 - card["test_accuracy"])


def norms(name: str, curve: pd.DataFrame, epoch: int) -> Norms | None:
    """The gradient norms of an epoch, or of the last epoch before it; None if the curve has no gradient norms."""
    table = block_norms(curve)
    if table.empty:
        return None
    epochs = [int(each) for each in table.columns]
    chosen = max((each for each in epochs if each <= epoch), default=epochs[0])
    values = table.to_numpy(np.float32)
    blocks = tuple(str(block) for block in table.index)
    least = float((values.min(0) / values.max(0)).min())
    return Norms(run_of(name, curve), chosen, blocks, values[:, epochs.index(chosen)], values.min(1), values.max(1), least)
