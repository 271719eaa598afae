"""What does every block compute? Identity, residual, sum and output from one forward pass."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from resnet_viz.analyses.capture import Tape, recording
from resnet_viz.nets.blocks import ShortcutKind
from resnet_viz.nets.net import Net, check_net
from resnet_viz.progress import OnProgress

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class BlockActivations:
    """One block's tensors, float32 (C, H, W): `sum` is identity + residual, `output` what its activation makes of it.

    A plain block has no shortcut: `identity` is None and `sum` is the residual.
    """

    name: str
    stage: int
    shortcut: ShortcutKind
    identity: Array | None
    residual: Array
    sum: Array
    output: Array


@dataclass(frozen=True, eq=False)
class Activations:
    """Every block's tensors, first to last, and the logits, float32 (classes,)."""

    blocks: tuple[BlockActivations, ...]
    logits: Array


def activations(net: Net, image: Image.Image, *, on_block: OnProgress | None = None) -> Activations:
    """Run one forward pass and keep the four tensors of every block (He et al. 2015, equations 1 and 2).

    The result's `blocks`, first to last, have a `name` and the float32 arrays (C, H, W) `identity` (None in a plain block),
    `residual`, `sum` and `output`; `logits` is float32 (classes,). `on_block(done, total)` is called after each block; an
    exception that it raises cancels.

    ImageError for an image that cannot be used; TypeError for what is no network or no PIL image.
    Source: https://arxiv.org/abs/1512.03385.
    """
    check_net(net)
    x = net.preprocess(image)
    with recording(net, on_block) as (run, tapes), torch.inference_mode():
        logits = run(x)
    return Activations(tuple(_block(tape) for tape in tapes), array(logits))


def array(tensor: Tensor) -> Array:
    """(1, ...) tensor -> numpy array without the batch axis; on the CPU it shares the tensor's memory.

    Half precision becomes float32, which holds the same numbers.
    """
    values: Array = at_least_float32(tensor.detach()[0]).cpu().numpy()
    return values


def at_least_float32(tensor: Tensor) -> Tensor:
    """Return a tensor of half precision as float32, in which sums neither overflow nor lose their last terms."""
    return tensor.float() if tensor.dtype.itemsize < 4 else tensor


def _block(tape: Tape) -> BlockActivations:
    places = (tape.identity, tape.residual, tape.sum, tape.output)
    identity, residual, total, output = (None if values is None else array(tape.layout.maps(values)) for values in places)
    assert residual is not None and total is not None and output is not None  # noqa: S101, PT018 - for the type checker
    return BlockActivations(tape.name, tape.stage, tape.shortcut, identity, residual, total, output)
