"""Removal of residual branches for some images of a batch, each image computed from the input: works for every network.

In a network that is a chain of blocks, a batch that grows from block to block computes the same result in less time.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from functools import partial

import torch
from torch import Tensor, nn

from resnet_viz.analyses.context import batch_of
from resnet_viz.nets.blocks import ResidualBlock, blocks_of
from resnet_viz.nets.net import Net
from resnet_viz.nets.residual_graph.network import findings_of

# The names of the blocks whose branch is removed for one image.
Removed = Collection[str]


def is_chain(module: nn.Module) -> bool:
    """Whether images can join the batch between two blocks: the network is a chain, and no connection bypasses the blocks."""
    return findings_of(module).chain


def does_not_grow(error: RuntimeError) -> bool:
    """Whether an error can result from a batch that grew in a network that stores its initial batch size."""
    return not isinstance(error, torch.OutOfMemoryError)


def without_branches(
    net: Net, x: Tensor, removed: Sequence[Removed], on_image: Callable[[int, int], None] | None = None
) -> Tensor:
    """Run a preprocessed image (1, 3, H, W) once per entry, without the branches that it names -> (entries, classes).

    `on_image(done, total)` is called after each pass; an exception that it raises cancels.
    """
    twin = net.frugal_twin()
    size, found = batch_of(x), []
    for start in range(0, len(removed), size):
        chunk = removed[start : start + size]
        with ExitStack() as hooks:
            for name, block in blocks_of(twin).items():
                gone = [number for number, names in enumerate(chunk) if name in names]
                hooks.callback(block.sum.register_forward_pre_hook(partial(_drop, block, gone)).remove)
            found.append(twin(x.expand(len(chunk), -1, -1, -1).contiguous()))
        if on_image is not None:
            on_image(min(start + size, len(removed)), len(removed))
    return torch.cat(found)


def _drop(block: ResidualBlock, gone: list[int], _: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    if not gone:
        return args
    residual = args[1].clone()
    for number in gone:
        block.layout.of_image(residual, number).zero_()
    return args[0], residual
