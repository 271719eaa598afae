"""The measures of `measures.py` for all images of a batch at once, equal to those of `inspect` up to rounding."""

import numpy as np
import torch
from torch import Tensor

from resnet_viz.analyses.activations import Array, at_least_float32
from resnet_viz.analyses.capture import Tape
from resnet_viz.analyses.measures import MEANINGS, ForkGradients, cuts, derived
from resnet_viz.nets.layouts import TensorLayout

# These are the same for every image and are stored once per block.
CONSTANT = ("parameters", "multiply_adds")
# These need passes of their own, which a survey does not run.
REMOVALS = ("logit_drop", "probability_drop")
MEASURED = tuple(name for name in MEANINGS if name not in CONSTANT + REMOVALS)


def measure_batch(tapes: list[Tape], gradients: list[ForkGradients]) -> Array:
    """Measure every block for every image: float32 (N, blocks, measures), the last axis in the order of `MEASURED`."""
    sums = torch.stack([_sums(tape, grads) for tape, grads in zip(tapes, gradients, strict=True)]).cpu().double().numpy()
    sizes = [tape.residual.numel() // tape.layout.count(tape.residual) for tape in tapes]
    blocks = [derived(row, size) for row, size in zip(sums, sizes, strict=True)]
    return np.stack([np.stack([found[name] for name in MEASURED], 1) for found in blocks], 1).astype(np.float32)


def _sums(tape: Tape, grads: ForkGradients) -> Tensor:
    """Reduce the tensors of one block to (11, N) numbers from which its measures follow."""
    missing = torch.full((tape.layout.count(tape.sum),), torch.nan, device=tape.sum.device)
    places = (tape.identity, tape.residual, tape.sum, tape.output)
    identity, residual, total, output = (_rows(each, tape.layout) for each in places)
    ways = (grads.identity, grads.residual, grads.input)
    shortcut, branch, whole = (_rows(each, tape.input_layout) for each in ways)
    return torch.stack(
        [
            missing if identity is None else _norms(identity),
            _norms(residual),
            _norms(total),
            _norms(output),
            missing if identity is None or residual is None else _products(identity, residual),
            residual.mean(1),
            _negative(total) if cuts(tape) else missing,
            missing if shortcut is None else _norms(shortcut),
            _norms(branch),
            _norms(whole),
            grads.cam.flatten(1).sum(1),
        ]
    )


def _rows(tensor: Tensor | None, layout: TensorLayout) -> Tensor:
    """A tensor of any layout -> (N, entries). None stays None, as with the shortcut tensors of a plain block."""
    return None if tensor is None else layout.images(at_least_float32(tensor.detach())).flatten(1)  # type: ignore[return-value]


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
