"""Batch norms whose gradient is right, however the gradient that they receive lies in memory.

torch's batch norm in evaluation mode returns wrong gradients on the CPU for a single image if the gradient of its output has
the channels last and another step from image to image than its size implies (torch 2.14). Such a gradient comes through
transposed tokens, so networks that join convolutions and attention have it.
"""

import torch
from torch import Tensor, fx, nn

from resnet_viz.nets.residual_graph.operations import operation

# Without one of these, no tensor changes the order of its axes.
_REORDER = {"permute", "transpose", "t", "movedim", "moveaxis", "swapaxes", "swapdims", "rearrange", "einsum", "contiguous"}


def guard_batch_norms(graph: fx.Graph, tree: nn.Module) -> None:
    """Let the gradient of every batch norm's output have the usual strides, if the network reorders axes."""
    names = {node: operation(node, tree) for node in graph.nodes}
    if _REORDER.isdisjoint(names.values()):
        return
    for node, name in names.items():
        if name.startswith(("batchnorm", "syncbatchnorm")) and node.meta["shape"] is not None:
            with graph.inserting_after(node):
                guarded = graph.call_function(_with_usual_strides, (node,))
            guarded.meta = {**node.meta, "multiply_adds": 0}
            node.replace_all_uses_with(guarded, delete_user_cb=lambda user, kept=guarded: user is not kept)


def _with_usual_strides(x: Tensor) -> Tensor:
    """Return the same tensor, whose gradient gets the strides that its size implies for the first axis."""
    if x.requires_grad and x.shape[0] == 1:
        x.register_hook(_restrided)
    return x


def _restrided(gradient: Tensor) -> Tensor:
    """Change the first stride of a gradient of a single image, which no number depends on, where torch would go wrong."""
    size = gradient[0].numel()
    usual = gradient.ndim != 4 or gradient.stride(0) == size or gradient.is_contiguous()
    if usual or not gradient.is_contiguous(memory_format=torch.channels_last):
        return gradient
    return gradient.as_strided(gradient.shape, (size, *gradient.stride()[1:]))
