"""How many test images does a network still classify correctly with blocks removed or reordered?

The experiment of Veit et al. 2016 (https://arxiv.org/abs/1605.06431, sections 4.2 and 4.3) for any CIFAR-10 network of the
catalogue, residual or plain. Only blocks with outputs of their input's shape are removed or exchanged, and exchanged only
within their stage, so that a residual network and the plain network of the same depth get the same changes. Removing a block
removes its layers. The results shipped in assets/lessons were measured on 2,000 of the test images, and on 500 of them for 56
layers (`--pictures`), by

    python -m resnet_viz.training fewer-blocks resnet20-cifar10 --data DATA
"""

import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, groupby, permutations, product
from pathlib import Path
from typing import Literal, TypeVar

import pandas as pd
import torch
from torch import Tensor, nn

from resnet_viz import assets
from resnet_viz.nets.known_layers import require_known_layers
from resnet_viz.nets.net import Net, WeightsError
from resnet_viz.nets.preprocessing import Preprocessing

MOST_PLANS = 150
BATCH = 100

Change = Literal["removed", "shuffled"]
# The blocks that an image passes through, in order.
BlockOrder = tuple[str, ...]
Drawn = TypeVar("Drawn")


@dataclass(frozen=True)
class Measured:
    """The accuracy of a network with changed blocks. `amount` is the number removed, or Kendall's tau of the order, 1 to -1.

    `names` are the removed blocks, or all blocks in their new order; `accuracy` is the share of images classified correctly.
    """

    change: Change
    amount: float
    names: BlockOrder
    accuracy: float


@dataclass(frozen=True)
class Recorded:
    """All measurements of one network; `pictures` is the number of images that they were made on."""

    model: str
    pictures: int
    removed: tuple[Measured, ...]
    shuffled: tuple[Measured, ...]

    @property
    def intact(self) -> float:
        """The accuracy with every block in its place."""
        return next(row.accuracy for row in self.removed if row.amount == 0)

    @property
    def movable(self) -> int:
        """How many blocks can be removed."""
        return int(max(row.amount for row in self.removed))

    def mean(self, change: Change, amount: float) -> float:
        """Return the mean accuracy over everything measured with this amount of change."""
        rows = self.removed if change == "removed" else self.shuffled
        found = [row.accuracy for row in rows if row.amount == amount]
        return sum(found) / len(found)

    def amounts(self, change: Change) -> list[float]:
        """Return every amount of change that was measured, in ascending order."""
        return sorted({row.amount for row in (self.removed if change == "removed" else self.shuffled)})


def measure(
    net: Net, images: Tensor, labels: Tensor, *, seed: int = 0, on_batch: Callable[[int, int], None] | None = None
) -> tuple[Measured, ...]:
    """Measure every way of removing blocks and every order, or 150 of each, drawn from `seed`, if there are more.

    Images are uint8 (N, 3, 32, 32), the network's input; labels are int64 (N,).
    """
    removals, orders = removal_plans(net, seed), order_plans(net, seed)
    plans = sorted({*removals, *orders})
    right = dict.fromkeys(plans, 0)
    with torch.inference_mode():
        for start in range(0, len(images), BATCH):
            chunk = slice(start, start + BATCH)
            x = normalised(net.preprocessing, images[chunk]).to(net.device)
            for plan, logits in outputs(net, x, plans):
                right[plan] += int((logits.argmax(1).cpu() == labels[chunk]).sum())
            if on_batch is not None:
                on_batch(min(start + BATCH, len(images)), len(images))
    whole = tuple(net.blocks)
    rows = [Measured("removed", len(gone := _missing(whole, plan)), gone, right[plan] / len(images)) for plan in removals]
    rows += [Measured("shuffled", kendall_tau(whole, plan), plan, right[plan] / len(images)) for plan in orders]
    return tuple(rows)


def outputs(net: Net, x: Tensor, plans: Sequence[BlockOrder]) -> Iterator[tuple[BlockOrder, Tensor]]:
    """Run several plans on the same images and return the logits of each; common beginnings of plans are computed once."""
    module = net.twin()
    stem = [getattr(module, name) for name in ("conv1", "bn1", "relu", "maxpool") if hasattr(module, name)]
    for layer in stem:
        x = layer(x)
    yield from _descend(module, x, sorted(plans), 0)


def removal_plans(net: Net, seed: int = 0) -> list[BlockOrder]:
    """Every choice of blocks to leave out, among those that keep their input's shape; a sample of each number if too many."""
    whole, movable = tuple(net.blocks), movable_blocks(net)
    draw = random.Random(seed)  # noqa: S311 - a choice, not a secret
    counts = range(len(movable) + 1)
    all_of_them = 2 ** len(movable) <= MOST_PLANS
    share = max(1, MOST_PLANS // len(counts))
    plans: list[BlockOrder] = []
    for count in counts:
        if all_of_them or math.comb(len(movable), count) <= share:
            chosen: Iterable[BlockOrder] = combinations(movable, count)
        else:
            chosen = _different(share, lambda count=count: tuple(sorted(draw.sample(movable, count))))  # type: ignore[misc]
        plans += [tuple(name for name in whole if name not in gone) for gone in chosen]
    return plans


def order_plans(net: Net, seed: int = 0) -> list[BlockOrder]:
    """Every order of the blocks within their stages; if there are too many, orders drawn with an increasing number of swaps."""
    whole, movable = tuple(net.blocks), movable_blocks(net)
    stages = [list(names) for _, names in groupby(movable, key=lambda name: name.split(".")[0])]
    if math.prod(math.factorial(len(names)) for names in stages) <= MOST_PLANS:
        return [_placed(whole, movable, [*chain(*order)]) for order in product(*map(permutations, stages))]
    draw = random.Random(seed)  # noqa: S311 - a choice, not a secret
    plans = [whole]
    for number in range(1, MOST_PLANS):
        shuffled = [list(names) for names in stages]
        for _ in range(number // 2 + 1):
            names = draw.choice([names for names in shuffled if len(names) > 1])
            one, other = draw.sample(range(len(names)), 2)
            names[one], names[other] = names[other], names[one]
        plans.append(_placed(whole, movable, [*chain(*shuffled)]))
    return sorted(set(plans))


def movable_blocks(net: Net) -> tuple[str, ...]:
    """Name the blocks that output the shape of their input."""
    require_known_layers(net.title, net.module)
    return tuple(name for name, block in net.blocks.items() if block.keeps_shape)


def kendall_tau(whole: BlockOrder, order: BlockOrder) -> float:
    """Rank correlation of an order with the original order: 1 if equal, -1 if reversed (Kendall 1938)."""
    places = [whole.index(name) for name in order]
    pairs = list(combinations(places, 2))
    return sum(1 if one < other else -1 for one, other in pairs) / len(pairs)


def normalised(preprocessing: Preprocessing, images: Tensor) -> Tensor:
    """Uint8 (N, 3, H, W) -> float32, (value / 255 - mean) / std."""
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    return (images.float() / 255 - mean) / std


def write(model: str, pictures: int, rows: Sequence[Measured], folder: Path = assets.LESSONS_FOLDER) -> Path:
    """Write the measurements next to the other recordings."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"fewer-blocks-{model}.csv"
    table = pd.DataFrame(
        [(row.change, row.amount, " ".join(row.names), row.accuracy, pictures) for row in rows],
        columns=["change", "amount", "blocks", "accuracy", "pictures"],
    )
    table.round(6).to_csv(path, index=False)
    return path


def read(model: str, folder: Path = assets.LESSONS_FOLDER) -> Recorded:
    """Read the measurements of a network; WeightsError if there are none or the file is damaged."""
    path = folder / f"fewer-blocks-{model}.csv"
    if not path.exists():
        raise WeightsError(f"{model} was not measured with fewer blocks. Choose another network.")
    try:
        table = pd.read_csv(path, keep_default_na=False)
        columns = (table[name].tolist() for name in ("change", "amount", "blocks", "accuracy"))
        rows = [
            Measured(change, float(amount), tuple(str(names).split()), float(accuracy))
            for change, amount, names, accuracy in zip(*columns, strict=True)
        ]
        kept = {change: tuple(row for row in rows if row.change == change) for change in ("removed", "shuffled")}
        recorded = Recorded(model, int(table["pictures"].iloc[0]), kept["removed"], kept["shuffled"])
        if recorded.intact <= 1 and recorded.shuffled:
            return recorded
    except (ValueError, KeyError, AttributeError, IndexError, StopIteration):
        pass
    raise WeightsError(f"{path.name} is damaged. Restore the file.")


def recorded_models(folder: Path = assets.LESSONS_FOLDER) -> tuple[str, ...]:
    """Name the networks that have measurements."""
    return tuple(sorted(path.stem.removeprefix("fewer-blocks-") for path in folder.glob("fewer-blocks-*.csv")))


def _descend(module: nn.Module, x: Tensor, plans: Sequence[BlockOrder], done: int) -> Iterator[tuple[BlockOrder, Tensor]]:
    finished = [plan for plan in plans if len(plan) == done]
    if finished:
        logits = module.get_submodule("fc")(module.get_submodule("avgpool")(x).flatten(1))
        yield from ((plan, logits) for plan in finished)
    going_on = [plan for plan in plans if len(plan) > done]
    for name, group in groupby(going_on, key=lambda plan: plan[done]):
        yield from _descend(module, module.get_submodule(name)(x), list(group), done + 1)


def _missing(whole: BlockOrder, plan: BlockOrder) -> BlockOrder:
    return tuple(name for name in whole if name not in plan)


def _placed(whole: BlockOrder, movable: BlockOrder, order: Sequence[str]) -> BlockOrder:
    """The movable blocks in a new order; each takes the place of one of them."""
    turn = iter(order)
    return tuple(next(turn) if name in movable else name for name in whole)


def _different(count: int, draw: Callable[[], Drawn]) -> list[Drawn]:
    """Draw until this many are different."""
    found: dict[Drawn, None] = {}
    while len(found) < count:
        found[draw()] = None
    return list(found)
