"""What does a network predict for one image with several of its residual branches removed at once?

Veit et al. 2016 (https://arxiv.org/abs/1605.06431, section 4.2, figure 5a) delete random sets of blocks from a trained network:
the error grows smoothly with the number of deleted blocks, as in an ensemble of paths. Here, the same is done for a given
image: random sets of every size, or all sets of a size if there are few. A plain block that changes the shape cannot be removed
and stays.
"""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from resnet_viz.analyses.ablation import faded, is_removable, probabilities
from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.context import batch_of
from resnet_viz.nets.net import Net, WeightsOrigin, check_net
from resnet_viz.progress import OnProgress

SETS = 12


@dataclass(frozen=True)
class Deletion:
    """One set of removed blocks: the probability of the target without them, and the predicted class."""

    removed: tuple[str, ...]
    probability: float
    prediction: str


@dataclass(frozen=True, eq=False)
class Deletions:
    """Random sets of blocks removed from one network for one image; `removable` names the blocks that can be removed."""

    model: str
    title: str
    weights: WeightsOrigin
    target: int
    target_label: str
    prediction: str
    removable: tuple[str, ...]
    seed: int
    rows: tuple[Deletion, ...]

    @property
    def nbytes(self) -> int:
        """Approximate memory in bytes."""
        return sum(60 + 60 * len(row.removed) for row in self.rows)

    def table(self) -> pd.DataFrame:
        """Return one row per set: the number of removed blocks, their names, the probability of the target, the prediction."""
        columns = ["removed", "blocks", "probability", "prediction"]
        rows = [(len(row.removed), " ".join(row.removed), row.probability, row.prediction) for row in self.rows]
        return pd.DataFrame(rows, columns=columns)

    def mean(self, count: int) -> float:
        """Return the mean probability of the target with this many blocks removed."""
        return float(np.mean([row.probability for row in self.rows if len(row.removed) == count]))


def deletions(
    net: Net,
    image: Image.Image,
    target: int | str | None = None,
    sets: int = SETS,
    seed: int = 0,
    *,
    on_pass: OnProgress | None = None,
) -> Deletions:
    """Remove up to `sets` random sets of blocks of every size, from none to all, and measure the probability of the target.

    The target is by default the predicted class. A size with no more than `sets` possible sets uses all of them. `on_pass(done,
    total)` is called after each forward pass of several networks; an exception that it raises cancels. Raises ValueError for a
    class that the network does not have, and for fewer than 1 set.
    """
    if sets < 1:
        raise ValueError(f"{sets} sets of blocks are too few: choose 1 or more")
    check_net(net)
    chosen = None if target is None else net.class_index(target)
    names = tuple(net.blocks)
    removable = tuple(name for name, block in net.blocks.items() if is_removable(block))
    removed = list(_sets(removable, sets, random.Random(seed)))  # noqa: S311 - a choice, not a secret
    kept = torch.tensor([[name not in gone for name in names] for gone in removed], device="cpu")
    logits = logits_with(net, net.preprocess(image), kept, on_pass)
    index = int(logits[0].argmax()) if chosen is None else chosen
    shares = probabilities(logits, net.head)[:, index].tolist()
    best = [net.labels[int(row.argmax())] for row in logits]
    rows = tuple(map(Deletion, removed, shares, best))
    label = net.labels[index]
    return Deletions(net.name, net.title, net.weights, index, label, best[0], removable, seed, rows)


def logits_with(net: Net, x: Tensor, kept: Tensor, on_pass: OnProgress | None = None) -> Array:
    """Run (1, 3, H, W) through several versions of a network: `kept` (rows, blocks) is False if a branch is removed.

    Returns float32 (rows, classes). A plain block that changes the shape cannot be removed and must be kept.
    """
    twin, size = net.twin(), batch_of(x)
    found = []
    for start in range(0, len(kept), size):
        part = kept[start : start + size]
        scales = {
            name: part[:, number].to(x.device, x.dtype)
            for number, name in enumerate(net.blocks)
            if not bool(part[:, number].all())
        }
        with faded(twin, scales), torch.inference_mode():
            found.append(twin(x.expand(len(part), *x.shape[1:])).float().cpu().numpy())
        if on_pass is not None:
            on_pass(start // size + 1, math.ceil(len(kept) / size))
    return np.concatenate(found)


def _sets(names: tuple[str, ...], most: int, draw: random.Random) -> Iterator[tuple[str, ...]]:
    """Sets of every size, the empty set first. If there are more than `most` of a size, different random ones are drawn."""
    for size in range(len(names) + 1):
        if math.comb(len(names), size) <= most:
            yield from combinations(names, size)
        else:
            yield from _different(most, lambda size=size: _in_order(names, draw.sample(names, size)))  # type: ignore[misc]


def _in_order(names: tuple[str, ...], chosen: list[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name in chosen)


def _different(count: int, draw: Callable[[], tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    seen: set[tuple[str, ...]] = set()
    while len(seen) < count:
        found = draw()
        if found not in seen:
            seen.add(found)
            yield found
