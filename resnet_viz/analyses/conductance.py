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
from resnet_viz.analyses.method_options import checked_count
from resnet_viz.analyses.methods import gauss_legendre
from resnet_viz.analyses.removals import is_chain
from resnet_viz.display import InNotebooks
from resnet_viz.nets.layouts import TensorLayout
from resnet_viz.nets.net import Net
from resnet_viz.progress import OnProgress


@dataclass(frozen=True, eq=False)
class BlockConductance:
    """The conductance of one block, float32 (C, H, W), in logits.

    `total` is measured at the output; `identity` and `residual` are the two parts at the sum. A plain block has no identity.
    `delta` is the sum of the total minus the difference of the logit. Tokens that are not patches of the image, such as a class
    token, are not in the maps: `total_apart`, `identity_apart` and `residual_apart` are their sums.
    """

    name: str
    total: Array
    identity: Array | None
    residual: Array
    delta: float
    total_apart: float = 0.0
    identity_apart: float = 0.0
    residual_apart: float = 0.0

    @property
    def total_sum(self) -> float:
        """The sum of the total over the maps and the tokens apart."""
        return _sum(self.total) + self.total_apart

    @property
    def identity_sum(self) -> float:
        """The sum of the identity's share over the maps and the tokens apart; 0 in a plain block."""
        return self.identity_apart + (0.0 if self.identity is None else _sum(self.identity))

    @property
    def residual_sum(self) -> float:
        """The sum of the residual's share over the maps and the tokens apart."""
        return _sum(self.residual) + self.residual_apart

    @property
    def kink(self) -> float:
        """The part of the difference due to the last activation: the total's sum minus that of the two parts.

        Between two points of the line a sum may change its sign, and there the output's change does not follow the gradient.
        """
        return self.total_sum - (self.residual_sum + self.identity_sum)


@dataclass(frozen=True, eq=False, repr=False)
class Conductance(InNotebooks):
    """The conductance of every block, first to last, for one class and one baseline.

    `difference` is logit(image) - logit(baseline); `delta` is that of the block with the largest error. `whole` says whether
    every path through the network passes every block. If connections bypass blocks, each block carries a part of the
    difference, and its delta is not an error.
    """

    model: str
    target: int
    target_label: str
    baseline: Baseline
    steps: int
    difference: float
    blocks: tuple[BlockConductance, ...]
    whole: bool = True

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
    class that the network does not have, a number of steps that is not possible, or an unknown baseline.
    """
    checked_count("steps", steps)
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
    layouts = {name: block.layout for name, block in net.blocks.items()}
    blocks = tuple(_block(name, layouts[name], totals, difference) for name, totals in sweep.totals.items())
    label = net.labels[explained.target]
    return Conductance(net.name, explained.target, label, baseline, steps, difference, blocks, whole=is_chain(net.module))


@dataclass(frozen=True)
class _Place:
    """The tensors of a place at some points of the line, and the gradients there; the first axis has one entry per point."""

    values: Tensor
    gradients: Tensor

    def steps(self, before: "_Place | None") -> Tensor:
        """Sum of gradient at a point times change to the next, continuing from the point before these, (1, ...)."""
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
        gradients = iter(torch.autograd.grad(logits.sum(), places, materialize_grads=True))
    at_outputs = [next(gradients) for _ in tapes]
    for tape, at_output, at_sum in zip(tapes, at_outputs, gradients, strict=True):
        sweep.add(tape.name, _places(tape, at_output, at_sum))


def _places(tape: Tape, at_output: Tensor, at_sum: Tensor) -> dict[str, _Place]:
    at_output, at_sum = at_least_float32(at_output), at_least_float32(at_sum)
    places = {"output": _place(tape, tape.output, at_output), "residual": _place(tape, tape.residual, at_sum)}
    if tape.identity is not None:
        places["identity"] = _place(tape, tape.identity, at_sum)
    return places


def _place(tape: Tape, values: Tensor, gradients: Tensor) -> _Place:
    return _Place(tape.layout.images(at_least_float32(values.detach())), tape.layout.images(gradients))


def _block(name: str, layout: TensorLayout, totals: dict[str, Tensor], difference: float) -> BlockConductance:
    native = {place: layout.native(values) for place, values in totals.items()}
    maps = {place: array(layout.maps(values)) for place, values in native.items()}
    apart = {place: _sum(array(layout.others(values))) for place, values in native.items() if layout.apart}
    whole = _sum(maps["output"]) + apart.get("output", 0.0)
    return BlockConductance(
        name=name,
        total=maps["output"],
        identity=maps.get("identity"),
        residual=maps["residual"],
        delta=whole - difference,
        total_apart=apart.get("output", 0.0),
        identity_apart=apart.get("identity", 0.0),
        residual_apart=apart.get("residual", 0.0),
    )


def _sum(values: Array) -> float:
    return float(values.sum(dtype=np.float64))
