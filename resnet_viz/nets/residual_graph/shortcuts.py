"""The kind of a block's shortcut, determined by the operations between its fork and its sum."""

from collections.abc import Iterable

from torch import fx, nn

from resnet_viz.nets.blocks import ShortcutKind
from resnet_viz.nets.residual_graph.operations import (
    CONVOLUTIONS,
    IDLE,
    NORMS,
    PADS,
    SHAPINGS,
    SUBSAMPLINGS,
    is_pool,
    operation,
)


def shortcut_kind(way: Iterable[fx.Node], tree: nn.Module) -> ShortcutKind:
    """Name a shortcut by its operations; "mixed" for several kinds in one, such as pooling before a projection."""
    kinds = {_kind(node, tree) for node in way} - {""}
    # Taking every second pixel counts as a pool if it is the only operation, and as a part of a padding or projection
    # otherwise.
    if "subsampling" in kinds:
        kinds = (kinds - {"subsampling"}) or {"pool"}
    if not kinds:
        return "identity"
    if kinds in ({"projection"}, {"projection", "norm"}):
        return "projection"
    if kinds == {"pool"}:
        return "pool"
    if kinds == {"zero-pad"}:
        return "zero-pad"
    return "norm" if kinds == {"norm"} else "mixed"


def _kind(node: fx.Node, tree: nn.Module) -> str:
    name = operation(node, tree)
    if name in CONVOLUTIONS:
        return "projection"
    if name in NORMS or name.startswith(("batchnorm", "layernorm")):
        return "norm"
    if name in PADS:
        return "zero-pad"
    if is_pool(name):
        return "pool"
    if name in SUBSAMPLINGS:
        return _selection(node.meta["shape"], node.all_input_nodes[0].meta["shape"])
    return "" if name in IDLE or name in SHAPINGS else "other"


def _selection(shape: tuple[int, ...] | None, source: tuple[int, ...] | None) -> str:
    """Distinguish taking every second pixel from taking some of the channels."""
    if shape == source:
        return ""
    fewer_pixels = shape is not None and source is not None and len(shape) == len(source) == 4 and shape[1] == source[1]
    return "subsampling" if fewer_pixels else "other"
