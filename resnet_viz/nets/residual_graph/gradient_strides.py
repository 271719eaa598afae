"""Batch and instance norms whose gradient is right, however their input and the gradient that they receive lie in memory.

torch's batch norm in evaluation mode returns wrong gradients on the CPU for a single image if its input or the gradient of its
output has the channels last and another step from image to image than its size implies (torch 2.14). Such tensors come from
transposed tokens, so networks that join convolutions and attention have them. Its instance norm returns wrong ones for every
gradient with the channels last, which some analyses use for any network.
"""

import torch
from torch import Tensor, fx, nn

from resnet_viz.nets.residual_graph.operations import operation

# Without one of these, no tensor changes the order of its axes.
_REORDER = {"permute", "transpose", "t", "movedim", "moveaxis", "swapaxes", "swapdims", "rearrange", "einsum", "contiguous",
            "asstrided", "adjoint", "getattr"}  # fmt: skip


def guard_norms(graph: fx.Graph, tree: nn.Module) -> None:
    """Let every instance norm get gradients that lie as their size implies, and every batch norm if the network reorders axes.

    A batch norm's input gets the usual strides too.
    """
    names = {node: operation(node, tree) for node in graph.nodes}
    reorders = not _REORDER.isdisjoint(names.values())
    for node, name in names.items():
        if node.meta["shape"] is None:
            continue
        if name.startswith("instancenorm"):
            _insert_behind(node, with_contiguous_gradient)
        elif reorders and name.startswith(("batchnorm", "syncbatchnorm")):
            source = node.all_input_nodes[0]
            with graph.inserting_before(node):
                guarded = graph.call_function(with_usual_strides, (source,))
            guarded.meta = {**source.meta, "multiply_adds": 0}
            node.replace_input_with(source, guarded)
            _insert_behind(node, with_usual_gradient)


def _insert_behind(node: fx.Node, guard: object) -> None:
    with node.graph.inserting_after(node):
        guarded = node.graph.call_function(guard, (node,))  # type: ignore[arg-type]  # one of the functions below
    guarded.meta = {**node.meta, "multiply_adds": 0}
    node.replace_all_uses_with(guarded, delete_user_cb=lambda user: user is not guarded)


def with_contiguous_gradient(x: Tensor) -> Tensor:
    """Return the same tensor, whose gradient is made contiguous."""
    if x.requires_grad:
        x.register_hook(Tensor.contiguous)
    return x


def with_usual_gradient(x: Tensor) -> Tensor:
    """Return the same tensor, whose gradient gets the strides that its size implies for the first axis."""
    if x.requires_grad and x.shape[0] == 1:
        x.register_hook(with_usual_strides)
    return x


def with_usual_strides(x: Tensor) -> Tensor:
    """Change the first stride of a tensor of a single image, which no number depends on, where torch would go wrong."""
    if x.ndim not in (4, 5) or x.shape[0] != 1 or x.stride(0) == (size := x[0].numel()):
        return x
    formats = (torch.contiguous_format, torch.channels_last if x.ndim == 4 else torch.channels_last_3d)
    if not any(x.is_contiguous(memory_format=each) for each in formats):
        return x
    return x.as_strided(x.shape, (size, *x.stride()[1:]))
