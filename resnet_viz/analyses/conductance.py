"""How much of the logit does each block carry? Conductance of all blocks from one sweep, divided into shortcut and branch.

Dhamdhere et al. 2018 (https://arxiv.org/abs/1805.12233, equation 2): along the straight line from a baseline to the image, the
gradient of the logit at a layer is multiplied by the layer's own change, and summed. Over all of a block's output this adds up
to the difference of the logit. At the sum, identity + residual, the change divides exactly into that of the identity and that
of the residual.
"""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from resnet_viz.analyses.activations import Array, array, at_least_float32
from resnet_viz.analyses.baselines import Baseline
from resnet_viz.analyses.capture import Tape, capture
from resnet_viz.analyses.context import Explained, explain
from resnet_viz.analyses.methods import gauss_legendre
from resnet_viz.nets.net import Net
from resnet_viz.progress import OnProgress


@dataclass(frozen=True, eq=False)
class BlockConductance:
    """One block's conductance, float32 (C, H, W), in logits.

    `total` is measured at the output; `identity` and `residual` are the two parts at the sum. A plain block has no identity.
    `delta` is the total's sum minus the logit's difference.
    """

    name: str
    total: Array
    identity: Array | None
    residual: Array
    delta: float

    @property
    def kink(self) -> float:
        """The part of the difference due to the last ReLU: the total's sum minus that of the two parts.

        Between two points of the line a sum may change its sign, and there the output's change does not follow the gradient.
        """
        shares = _sum(self.residual) + (0.0 if self.identity is None else _sum(self.identity))
        return _sum(self.total) - shares


@dataclass(frozen=True, eq=False)
class Conductance:
    """Every block's conductance, first to last, for one class and one baseline.

    `difference` is logit(image) - logit(baseline); `delta` is that of the block with the largest error.
    """

    model: str
    target: int
    target_label: str
    baseline: Baseline
    steps: int
    difference: float
    blocks: tuple[BlockConductance, ...]

    @property
    def delta(self) -> float:
        """The largest error of a block's total, with its sign."""
        return max((block.delta for block in self.blocks), key=abs)

    @property
    def nbytes(self) -> int:
        """Memory of all arrays in bytes."""
        arrays = (values for block in self.blocks for values in (block.total, block.identity, block.residual))
        return sum(values.nbytes for values in arrays if values is not None)


def conductance(
    net: Net,
    image: Image.Image,
    target: int | str | None = None,
    steps: int = 32,
    *,
    baseline: Baseline = "black",
    seed: int = 0,
    on_point: OnProgress | None = None,
) -> Conductance:
    """Sweep the line from a baseline to the image once and return every block's conductance for a class (default: predicted).

    The points are those of captum's LayerConductance, and the result at a block's output equals its result. ValueError for a
    class that the network does not have, fewer than one step, or an unknown baseline.
    """
    if steps < 1:
        raise ValueError(f"steps={steps} is too few: choose 1 or more")
    with torch.inference_mode(mode=False), torch.enable_grad():
        explained = explain(net, image, target)
        start = explained.baseline(baseline, seed)
        sweep = _Sweep()
        alphas = torch.from_numpy(gauss_legendre(steps + 1)[0]).float().to(explained.x.device)
        for chunk in explained.chunks(steps + 1, explained.kept_batch):
            points = start + alphas[chunk].view(-1, 1, 1, 1) * (explained.x - start)
            _sweep_points(explained, points, sweep)
            if on_point is not None:
                on_point(chunk.stop, steps + 1)
        difference = explained.difference(start)
    blocks = tuple(_block(name, totals, difference) for name, totals in sweep.totals.items())
    label = net.labels[explained.target]
    return Conductance(net.name, explained.target, label, baseline, steps, difference, blocks)


@dataclass(frozen=True)
class _Place:
    """The tensors of a place at some points of the line, and the gradients there, both (N, C, H, W)."""

    values: Tensor
    gradients: Tensor

    def steps(self, before: "_Place | None") -> Tensor:
        """Sum of gradient at a point times change to the next, continuing from the point before these, (1, C, H, W)."""
        change = self.values[1:] - self.values[:-1]
        found = torch.einsum("n...,n...->...", self.gradients[:-1], change)[None]
        return found if before is None else found + before.gradients * (self.values[:1] - before.values)

    def last(self) -> "_Place":
        """Return the last point alone, as a copy; a view would keep all of them in memory."""
        return _Place(self.values[-1:].clone(), self.gradients[-1:].clone())


class _Sweep:
    """Sums up the steps of every place, also across the boundary between two passes; `totals` by block and place."""

    def __init__(self) -> None:
        self.totals: dict[str, dict[str, Tensor]] = {}
        self._last: dict[tuple[str, str], _Place] = {}

    def add(self, block: str, places: dict[str, _Place]) -> None:
        totals = self.totals.setdefault(block, {})
        for name, place in places.items():
            new = place.steps(self._last.get((block, name)))
            totals[name] = totals[name] + new if name in totals else new
            self._last[block, name] = place.last()


def _sweep_points(explained: Explained, x: Tensor, sweep: _Sweep) -> None:
    with capture(explained.twin) as tapes:
        logits = explained.logit(x.requires_grad_())
        places = [*(tape.output for tape in tapes), *(tape.sum for tape in tapes)]
        gradients = iter(torch.autograd.grad(logits.sum(), places))
    at_outputs = [next(gradients) for _ in tapes]
    for tape, at_output, at_sum in zip(tapes, at_outputs, gradients, strict=True):
        sweep.add(tape.name, _places(tape, at_output, at_sum))


def _places(tape: Tape, at_output: Tensor, at_sum: Tensor) -> dict[str, _Place]:
    at_output, at_sum = at_least_float32(at_output), at_least_float32(at_sum)
    places = {"output": _place(tape.output, at_output), "residual": _place(tape.residual, at_sum)}
    if tape.identity is not None:
        places["identity"] = _place(tape.identity, at_sum)
    return places


def _place(values: Tensor, gradients: Tensor) -> _Place:
    return _Place(at_least_float32(values.detach()), gradients)


def _block(name: str, totals: dict[str, Tensor], difference: float) -> BlockConductance:
    identity = array(totals["identity"]) if "identity" in totals else None
    total = array(totals["output"])
    return BlockConductance(name, total, identity, array(totals["residual"]), _sum(total) - difference)


def _sum(values: Array) -> float:
    return float(values.sum(dtype=np.float64))
