"""The signal on its way through the network: the pictures of every block's equation, in one forward pass.

An `Inspection` holds every channel of a block, 200 MB of a deep network; this holds the mean over the channels of each tensor,
which is what a block's equation shows first, of all blocks at once: what is needed to watch the signal pass.
"""

from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from resnet_viz.analyses.activations import Array, array
from resnet_viz.analyses.capture import Tape, capture
from resnet_viz.nets.blocks import ShortcutKind
from resnet_viz.nets.net import Net
from resnet_viz.progress import OnProgress


@dataclass(frozen=True, eq=False)
class BlockPassage:
    """A block's tensors, each as the mean over its channels, float32 (H, W).

    `identity` is x, or the shortcut's output where shapes change; None in a plain block, whose `sum` is its residual.
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
    """What a network makes of an image, block by block."""

    model: str
    title: str
    blocks: tuple[BlockPassage, ...]

    @property
    def nbytes(self) -> int:
        """Memory of all arrays in bytes."""
        return sum(block.nbytes for block in self.blocks)


def passage(net: Net, image: Image.Image, *, on_block: OnProgress | None = None) -> Passage:
    """Follow the image through the network; the means are those of `inspect`'s maps, bit for bit.

    `on_block(done, total)` is called after each block; an exception that it raises cancels.
    """
    twin = net.twin()
    # As in an inspection: a pass without gradients may take other kernels, which round differently.
    with torch.inference_mode(mode=False), torch.enable_grad(), capture(twin, on_block) as tapes:
        twin(net.preprocess(image).requires_grad_())
    return Passage(net.name, net.title, tuple(map(_block, tapes)))


def _block(tape: Tape) -> BlockPassage:
    identity = None if tape.identity is None else _mean(tape.identity)
    return BlockPassage(tape.name, tape.shortcut, identity, _mean(tape.residual), _mean(tape.sum), _mean(tape.output))


def _mean(tensor: Tensor) -> Array:
    """The mean over channels of (1, C, H, W), as figures take it of an inspection's maps."""
    mean: Array = array(tensor).mean(0)
    return mean
