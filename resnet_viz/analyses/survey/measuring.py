"""The measures of `measures.py` for all images of a batch at once, equal to those of `inspect` up to rounding."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.autograd.graph import Node

from resnet_viz.analyses.activations import Array, at_least_float32
from resnet_viz.analyses.cams import cam
from resnet_viz.analyses.capture import Tape
from resnet_viz.analyses.measures import MEANINGS, cuts, derived, in_memory_order
from resnet_viz.nets.layouts import TensorLayout

# These are the same for every image and are stored once per block.
CONSTANT = ("parameters", "multiply_adds")
# These need passes of their own, which a survey does not run.
REMOVALS = ("logit_drop", "probability_drop")
# The place of the output's norm in the numbers of a block.
OUTPUT_NORM = 3
MEASURED = tuple(name for name in MEANINGS if name not in CONSTANT + REMOVALS)


class Meter:
    """Measures every block while a pass makes its tensors: each is reduced to numbers at once, and no gradient is kept.

    `add` takes the blocks in the order of the forward pass; the backward pass then fills in what hooks on their tensors see.
    `inputs` are the blocks' inputs and `outputs` their outputs as maps (N, C, H, W).
    """

    def __init__(self) -> None:
        self.inputs: list[Tensor] = []
        self.outputs: list[Tensor] = []
        self._sums: list[list[Tensor]] = []
        self._sizes: list[int] = []

    def add(self, tape: Tape) -> None:
        """Measure the tensors of the next block, and its gradients as soon as the backward pass has them."""
        missing = torch.full((tape.layout.count(tape.sum),), torch.nan, device=tape.sum.device)
        sums = _forward_sums(tape, self._norm_before(tape), missing)
        output = tape.output.detach()
        for tensor in (tape.to_shortcut, tape.to_branch, tape.input):
            sums.append(missing)
            if tensor is not None:
                tensor.register_hook(partial(_keep_norms, sums, len(sums) - 1, tape.input_layout))
        sums.append(missing)
        # Not the output itself: a hook that holds its own tensor keeps both alive for ever.
        tape.output.register_hook(partial(_keep_cam, sums, output, tape.layout))
        self.inputs.append(tape.input)
        self.outputs.append(tape.layout.maps(output))
        self._sums.append(sums)
        self._sizes.append(tape.residual.numel() // tape.layout.count(tape.residual))

    def _norm_before(self, tape: Tape) -> Tensor | None:
        """The norm of the identity, if it is the output of the block before, which is measured already."""
        if tape.shortcut != "identity" or not self.outputs or tape.layout != tape.input_layout:
            return None
        before = self.outputs[-1]
        same = tape.input.data_ptr() == before.data_ptr() and tape.input.numel() == before.numel()
        return self._sums[-1][OUTPUT_NORM] if same else None

    def measures(self) -> Array:
        """Return the measures of every image, float32 (N, blocks, measures), the last axis in the order of `MEASURED`."""
        sums = torch.stack([torch.stack(each) for each in self._sums]).cpu().double().numpy()
        blocks = [derived(row, size) for row, size in zip(sums, self._sizes, strict=True)]
        return np.stack([np.stack([found[name] for name in MEASURED], 1) for found in blocks], 1).astype(np.float32)


def _keep_norms(sums: list[Tensor], place: int, layout: TensorLayout, gradient: Tensor) -> None:
    sums[place] = _norms(_rows(gradient, layout))


def _keep_cam(sums: list[Tensor], output: Tensor, layout: TensorLayout, gradient: Tensor) -> None:
    sums[-1] = cam(output, gradient, layout).flatten(1).sum(1)


def sources(inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return those of some tensors that do not depend on another: a backward pass to them goes through all of them."""
    found: list[Tensor] = []
    depends: dict[Node, bool] = {}
    for tensor in inputs:
        if tensor.grad_fn is None or not _depends(tensor.grad_fn, depends):
            found.append(tensor)
        if tensor.grad_fn is not None:
            depends[tensor.grad_fn] = True
    return found


def _depends(node: Node, known: dict[Node, bool]) -> bool:
    """Whether a node of the autograd graph depends on one that is known to; `known` remembers what was found."""
    path = [node]
    while path:
        below = [each for each, _ in path[-1].next_functions if each is not None] if path[-1] not in known else []
        unknown = next((each for each in below if each not in known), None)
        if unknown is not None:
            path.append(unknown)
            continue
        last = path.pop()
        known.setdefault(last, any(known[each] for each in below))
    return known[node]


def _forward_sums(tape: Tape, identity_norm: Tensor | None, missing: Tensor) -> list[Tensor]:
    """Reduce the tensors of the forward pass to seven numbers per image, (N,) each."""
    residual, total, output = (_rows(each, tape.layout) for each in (tape.residual, tape.sum, tape.output))
    product = missing
    if tape.identity is None:
        identity_norm = missing
    else:
        identity = _rows(tape.identity, tape.layout)
        identity_norm = _norms(identity) if identity_norm is None else identity_norm
        product = _products(identity, _rows(tape.residual, tape.layout, tape.identity))
    return [
        identity_norm,
        _norms(residual),
        _norms(total),
        _norms(output),
        product,
        residual.mean(1),
        _negative(total) if cuts(tape) else missing,
    ]


def _rows(tensor: Tensor, layout: TensorLayout, like: Tensor | None = None) -> Tensor:
    """A tensor of any layout -> (N, entries), in the order of memory or in that of another tensor."""
    images = layout.images(at_least_float32(tensor.detach()))
    return in_memory_order(images, None if like is None else layout.images(like)).flatten(1)


def _norms(rows: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(rows, dim=1)
    return norms


def _products(left: Tensor, right: Tensor) -> Tensor:
    # One row at a time: on a CPU, a batched product of such long rows takes ten times as long.
    return torch.stack([torch.dot(x, f) for x, f in zip(left, right, strict=True)])


def _negative(rows: Tensor) -> Tensor:
    """The share of negative entries, one image at a time, so that the buffer for the comparison stays in the CPU cache."""
    buffer = torch.empty_like(rows[0])
    return torch.stack([torch.lt(row, 0, out=buffer).mean() for row in rows])
