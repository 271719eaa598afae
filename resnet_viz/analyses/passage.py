"""The signal on its way through the network: the images of the equations of all blocks, from one forward pass.

An `Inspection` holds every channel of a block, 200 MB for a deep network. A `Passage` holds only the mean over the channels of
each tensor, which the equation of a block shows first, for all blocks at once. That is enough for Play.
"""

from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from resnet_viz.analyses.activations import Array, array
from resnet_viz.analyses.capture import Tape, recording
from resnet_viz.nets.blocks import ShortcutKind
from resnet_viz.nets.layouts import TensorLayout
from resnet_viz.nets.net import Net
from resnet_viz.progress import OnProgress


@dataclass(frozen=True, eq=False)
class BlockPassage:
    """The tensors of a block, each as the mean over its channels, float32 (H, W).

    `identity` is x, or the output of the shortcut where shapes change. It is None in a plain block, whose `sum` is its
    residual.
    """

    name: str
    shortcut: ShortcutKind
    identity: Array | None
    residual: Array
    sum: Array
    output: Array

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return sum(values.nbytes for values in (self.identity, self.residual, self.sum, self.output) if values is not None)


@dataclass(frozen=True, eq=False)
class Passage:
    """The path of an image through a network, block by block."""

    model: str
    title: str
    blocks: tuple[BlockPassage, ...]

    @property
    def nbytes(self) -> int:
        """Memory of all arrays in bytes."""
        return sum(block.nbytes for block in self.blocks)


def passage(net: Net, image: Image.Image, *, on_block: OnProgress | None = None) -> Passage:
    """Follow an image through a network; the means equal those of the maps of `inspect`, bit for bit.

    `on_block(done, total)` is called after each block; an exception that it raises cancels.
    """
    # As in an inspection, with gradients: without them, torch may choose other kernels, which round differently.
    with torch.inference_mode(mode=False), torch.enable_grad(), recording(net, on_block) as (run, tapes):
        run(net.preprocess(image).requires_grad_())
    return Passage(net.name, net.title, tuple(map(_block, tapes)))


def _block(tape: Tape) -> BlockPassage:
    identity = None if tape.identity is None else _mean(tape.identity, tape.layout)
    residual, total, output = (_mean(tensor, tape.layout) for tensor in (tape.residual, tape.sum, tape.output))
    return BlockPassage(tape.name, tape.shortcut, identity, residual, total, output)


def _mean(tensor: Tensor, layout: TensorLayout) -> Array:
    """The mean over the channels of one image's tensor, computed as figures compute it from the maps of an inspection."""
    mean: Array = array(layout.maps(tensor.detach())).mean(0)
    return mean
