"""The scalar measures of a block: their names, their meanings, and how they are computed.

Norms are L2 over all entries of a tensor. Everything is computed on the tensors' device; one transfer brings the numbers back.
"""

import math
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resnet_viz.analyses.activations import at_least_float32
from resnet_viz.analyses.capture import Tape
from resnet_viz.nets.costs import count_parameters

Float64Array = NDArray[np.float64]

# The activations that set to 0 what is negative.
CUTTING = ("ReLU", "ReLU6")


@dataclass(frozen=True)
class Meaning:
    """How a measure is shown: a symbol for axes and tables, its unit, and a sentence."""

    symbol: str
    unit: str
    sentence: str


def _measure(symbol: str, unit: str, sentence: str, **default: Any) -> Any:  # noqa: ANN401 - a dataclass field takes its place
    return field(metadata={"meaning": Meaning(symbol, unit, sentence)}, **default)


@dataclass(frozen=True)
class Measures:
    """Every scalar measure of one block; NaN if a plain block has no shortcut to measure.

    The decrease of the target without the block takes separate passes: it is NaN until `AblationSweep.added_to` adds it.
    """

    identity_norm: float = _measure("|x|", "L2 norm", "Norm of the identity: x, or the output of the shortcut.")
    residual_norm: float = _measure("|F|", "L2 norm", "Norm of the residual branch's output F(x).")
    sum_norm: float = _measure("|x + F|", "L2 norm", "Norm of identity + residual.")
    output_norm: float = _measure("|output|", "L2 norm", "Norm of the block's output, after its last activation.")
    ratio: float = _measure("|F| / |x|", "ratio", "Norm of the correction relative to what it corrects.")
    cosine: float = _measure(
        "cos(x, F)", "-1 to 1", "Whether the correction points along the identity (1), across it (0) or against it (-1)."
    )
    response_std: float = _measure(
        "std of F",
        "standard deviation",
        "Standard deviation of the layer response after its last batch norm (He et al. 2015, Fig. 7).",
    )
    cut: float = _measure(
        "zeroed by ReLU",
        "share of entries",
        "Share of the sum that is negative, so that the ReLU sets it to 0; none where no ReLU follows.",
    )
    grad_identity_norm: float = _measure(
        "|g shortcut|", "logit per unit of x", "Norm of the gradient that reaches the block's input through the shortcut."
    )
    grad_residual_norm: float = _measure(
        "|g F|", "logit per unit of x", "Norm of the gradient that reaches the block's input through the residual branch."
    )
    grad_input_norm: float = _measure(
        "|g|", "logit per unit of x", "Norm of the total gradient at the block's input: the sum of both paths."
    )
    shortcut_share: float = _measure(
        "gradient through the shortcut", "0 to 1", "The shortcut's part of the gradient: |g shortcut| / (|g shortcut| + |g F|)."
    )
    residual_share: float = _measure(
        "gradient through F", "0 to 1", "The residual branch's part of the gradient: |g F| / (|g shortcut| + |g F|)."
    )
    cam_mass: float = _measure("Grad-CAM mass", "logits", "Sum of the block's Grad-CAM over all pixels, after its ReLU.")
    parameters: int = _measure("parameters", "count", "Trainable parameters of the block, including its shortcut.")
    multiply_adds: int = _measure("multiply-adds", "count", "Multiply-adds of the block's layers for this image.")
    logit_drop: float = _measure(
        "logit lost without F",
        "logits",
        "By how much the target's logit falls when the residual branch is removed; negative where it rises.",
        default=math.nan,
    )
    probability_drop: float = _measure(
        "probability lost without F",
        "0 to 1",
        "By how much the target's probability falls when the residual branch is removed; negative where it rises.",
        default=math.nan,
    )


MEANINGS: dict[str, Meaning] = {entry.name: entry.metadata["meaning"] for entry in fields(Measures)}


@dataclass(frozen=True)
class ForkGradients:
    """d logit / d x of one block, (1, C, H, W): through the shortcut, through F, and in total; and its Grad-CAM, (1, H, W)."""

    identity: Tensor | None
    residual: Tensor
    input: Tensor
    cam: Tensor


def measure(tapes: list[Tape], gradients: list[ForkGradients]) -> list[Measures]:
    """Measure every block, in the order of the tapes."""
    sums = torch.stack([_sums(tape, grads) for tape, grads in zip(tapes, gradients, strict=True)], 1).cpu().double().numpy()
    found = derived(sums, np.array([tape.residual.numel() for tape in tapes]))
    return [
        Measures(
            **{name: float(values[number]) for name, values in found.items()},
            parameters=count_parameters(tape.block),
            multiply_adds=block_multiply_adds(tape),
        )
        for number, tape in enumerate(tapes)
    ]


def derived(sums: Float64Array, size: Float64Array | int) -> dict[str, Float64Array]:
    """Return the measures of blocks or images that follow from eleven numbers of each, (11, N), as `_sums` orders them.

    `size` is the number of entries of one residual.
    """
    x, f, total, output, dot, mean, cut, g_shortcut, g_branch, g_input, cam = sums
    return {
        "identity_norm": x,
        "residual_norm": f,
        "sum_norm": total,
        "output_norm": output,
        "ratio": _divide(f, x),
        "cosine": _divide(dot, x * f),
        "response_std": np.sqrt(np.maximum(0.0, f**2 / size - mean**2)),
        "cut": cut,
        "grad_identity_norm": g_shortcut,
        "grad_residual_norm": g_branch,
        "grad_input_norm": g_input,
        "shortcut_share": _divide(g_shortcut, g_shortcut + g_branch),
        "residual_share": _divide(g_branch, g_shortcut + g_branch),
        "cam_mass": cam,
    }


def cuts(tape: Tape) -> bool:
    """Whether a block's activation sets to 0 what is negative, so that a share of its sum is cut."""
    return tape.block.activation in CUTTING


def _sums(tape: Tape, grads: ForkGradients) -> Tensor:
    """Reduce the tensors of one block to the eleven numbers from which its measures are computed."""
    missing = torch.full((), math.nan, device=tape.sum.device)
    identity = None if tape.identity is None else at_least_float32(tape.identity.detach())
    residual, total, output = (at_least_float32(each.detach()) for each in (tape.residual, tape.sum, tape.output))
    return torch.stack(
        [
            missing if identity is None else _norm(identity),
            _norm(residual),
            _norm(total),
            _norm(output),
            missing if identity is None else torch.dot(_entries(identity), _entries(residual, identity)),
            _entries(residual).mean(),
            _negative(_entries(total)) if cuts(tape) else missing,
            missing if grads.identity is None else _norm(grads.identity),
            _norm(grads.residual),
            _norm(grads.input),
            grads.cam.sum(),
        ]
    )


def _norm(tensor: Tensor) -> Tensor:
    # This takes half the time of torch.linalg.vector_norm.
    entries = _entries(at_least_float32(tensor))
    return torch.dot(entries, entries).sqrt()


def _negative(entries: Tensor) -> Tensor:
    # Compared as floats: booleans are summed as 64-bit integers, which takes twice as long.
    return torch.lt(entries, 0, out=torch.empty_like(entries)).mean()


def _entries(tensor: Tensor, like: Tensor | None = None) -> Tensor:
    return in_memory_order(tensor, like).flatten()


def in_memory_order(tensor: Tensor, like: Tensor | None = None) -> Tensor:
    """Permute all axes but the first, so that flattening takes no copy also where the channels are last.

    `like` is another tensor whose order is taken.
    """
    strides = (tensor if like is None else like).stride()
    order = sorted(range(1, tensor.ndim), key=lambda axis: -strides[axis])
    return tensor.permute(0, *order)


def block_multiply_adds(tape: Tape) -> int:
    """Multiply-adds of the block for one image of the size that its network was opened for."""
    return tape.block.facts.multiply_adds


def _divide(numerator: Float64Array, denominator: Float64Array) -> Float64Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator == 0, np.nan, numerator / denominator)
