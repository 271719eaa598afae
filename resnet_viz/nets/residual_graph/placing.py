"""The place in the image of the entries of a tensor in the graph, from its shape and from the operations around it."""

import math
from collections.abc import Iterator

from torch import fx, nn

from resnet_viz.nets.layouts import TensorLayout
from resnet_viz.nets.residual_graph.finding import data_inputs
from resnet_viz.nets.residual_graph.operations import ADDITIONS, operation

_JOINS = {"cat", "concat", "concatenate"}
# Layers that expect the channels last, and thus show where they are if the shape does not.
_CHANNELS_LAST = {"linear", "layernorm", "nativelayernorm"}
_WORDS = {"cls": "class", "dist": "distillation", "reg": "register", "tokens": "token"}


def layout_of(node: fx.Node, tree: nn.Module, images: int) -> TensorLayout:
    """Return the layout of the tensors of a node, from a pass of this many images; nodes need the data of `measure_nodes`."""
    shape: tuple[int, ...] = node.meta["shape"]
    axis, rows = image_axis(shape, images) or (0, 1)
    if len(shape) == 4 and axis == 0:
        first = not _channels_last(node, tree)
        if rows == 1:
            return TensorLayout("channels first" if first else "channels last")
        return TensorLayout("row", rows=rows, channels=-3 if first else -1, note=_folded(rows))
    if len(shape) == 3 and rows == 1:
        return _tokens(node, tree, images, axis)
    note = "its tensors hold one number per channel" if len(shape) == 2 else f"its tensors have {len(shape)} axes"
    channels = -1 if len(shape) < 5 else 1 - len(shape)
    return TensorLayout("row", axis=axis, rows=rows, channels=channels, note=_folded(rows) if rows > 1 else note)


def image_axis(shape: tuple[int, ...], images: int) -> tuple[int, int] | None:
    """Return the axis of the images and how many of its entries one image has; None if there is no such axis."""
    if shape[0] == images:
        return 0, 1
    if len(shape) == 3 and shape[1] == images:
        return 1, 1
    return None if shape[0] % images else (0, shape[0] // images)


def _folded(rows: int) -> str:
    return f"it works on {rows} parts of the image at a time, and their places are unknown"


def _channels_last(node: fx.Node, tree: nn.Module) -> bool:
    _, first, second, last = node.meta["shape"]
    if not first == second == last:
        return bool(first == second)
    # If there are as many channels as rows and columns, the layer after the tensor, or the other sums, decide.
    if any(operation(user, tree) in _CHANNELS_LAST for user in node.users):
        return True
    shapes = [other.meta["shape"] for other in node.graph.nodes if operation(other, tree) in ADDITIONS]
    telling = [shape for shape in shapes if shape is not None and len(shape) == 4 and len(set(shape[1:])) == 2]
    last = [shape for shape in telling if shape[1] == shape[2]]
    return len(last) > len(telling) / 2


def _tokens(node: fx.Node, tree: nn.Module, images: int, axis: int) -> TensorLayout:
    count = node.meta["shape"][1 - axis]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    source, patches = node, count
    for ancestor in _ancestors(node):
        if operation(ancestor, tree) in _JOINS and count in (ancestor.meta["shape"] or ()):
            found = _joined(ancestor)
            if found is None:
                break
            source, before, after = found
            patches = count - len(before) - len(after)
            break
    grid = _grid(source, patches, images)
    if grid is None or patches < 2:
        what = "one token" if count == 1 else f"{count} tokens"
        note = f"it works on {what}, and their places in the image are unknown"
        return TensorLayout("row", axis=axis, note=note)
    return TensorLayout("tokens", grid, before, after, axis=axis)


def _ancestors(node: fx.Node) -> Iterator[fx.Node]:
    """Yield a node and the tensors that it is computed from, the latest first."""
    order = {each: number for number, each in enumerate(node.graph.nodes)}
    front = {node}
    while front:
        latest = max(front, key=order.__getitem__)
        front.remove(latest)
        yield latest
        front.update(data_inputs(latest))


def _joined(node: fx.Node) -> tuple[fx.Node, tuple[str, ...], tuple[str, ...]] | None:
    """Separate patches and learned tokens of a concatenation; None for any other concatenation."""
    pieces = node.args[0] if node.args else node.kwargs.get("tensors")
    if not isinstance(pieces, list | tuple):
        return None
    nodes = [piece for piece in pieces if isinstance(piece, fx.Node)]
    computed = [piece for piece in nodes if piece.meta["data"]]
    if len(computed) != 1:
        return None
    position = nodes.index(computed[0])
    # The concatenated tensors differ only in the axis of the tokens.
    whole, part = node.meta["shape"], computed[0].meta["shape"]
    axis = next((index for index, (one, other) in enumerate(zip(whole, part, strict=True)) if one != other), 1)
    before = tuple(name for piece in nodes[:position] for name in _names(piece, axis))
    after = tuple(name for piece in nodes[position + 1 :] for name in _names(piece, axis))
    return computed[0], before, after


def _names(piece: fx.Node, axis: int) -> list[str]:
    """Name learned tokens after their parameter: "class token" for cls_token, "register token 1" for the first of several."""
    count = piece.meta["size"][axis]
    waiting, name = [piece], "learned token"
    while waiting:
        node = waiting.pop()
        if node.op == "get_attr":
            words = str(node.target).rpartition(".")[2].split("_")
            name = " ".join(_WORDS.get(word, word) for word in words if word)
            break
        waiting += node.all_input_nodes
    return [name] if count == 1 else [f"{name} {number}" for number in range(1, count + 1)]


def _grid(source: fx.Node, patches: int, images: int) -> tuple[int, int] | None:
    """Return the rows and columns of the patches: a square, as the image is, that is also the size of maps in the network.

    If the network has no maps but cuts the image itself into patches, any square is accepted.
    """
    side = math.isqrt(patches)
    if side * side != patches:
        return None
    maps = False
    for node in _ancestors(source):
        shape = node.meta["shape"]
        if node.op == "placeholder" or shape is None or len(shape) != 4 or shape[0] != images:
            continue
        if (side, side) in (shape[2:], shape[1:3]):
            return side, side
        maps = True
    return None if maps else (side, side)
