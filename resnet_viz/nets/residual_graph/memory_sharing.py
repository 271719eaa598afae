"""Which nodes of a graph have the same memory, and which of them are overwritten."""

from collections.abc import Iterable, Iterator

from torch import fx, nn
from torch._ops import OpOverload

from resnet_viz.nets.residual_graph.operations import IDLE, VIEWS, may_write, operation

# Operations that may return their input, or a view of it, in addition to VIEWS and IDLE.
_MORE_VIEWS = {"diagonal", "unfold", "asstrided", "ravel", "swapdims", "moveaxis", "hsplit", "vsplit", "dsplit", "broadcastto",
               "broadcasttensors", "real", "imag", "viewasreal", "viewascomplex", "adjoint", "conj", "unsafeview",
               "unsafechunk", "unsafesplit", "unsafesplitwithsizes", "pos", "positive", "double", "half", "bfloat16", "cpu",
               "cuda", "asarray", "astensor", "atleast1d", "atleast2d", "atleast3d", "resolveconj", "resolveneg"}  # fmt: skip
_VIEWING_ATTRIBUTES = ("T", "mT", "H", "mH", "data", "real", "imag")


def shares_memory(node: fx.Node, tree: nn.Module) -> bool:
    """Whether the result of a node may be its first input, or a view of it."""
    if node.op not in ("call_module", "call_function", "call_method"):
        return False
    if node.target is getattr:
        return node.args[1] in _VIEWING_ATTRIBUTES
    name = operation(node, tree)
    return may_write(node) or name in VIEWS or name in _MORE_VIEWS or (name in IDLE and name != "clone")


def relatives(node: fx.Node, tree: nn.Module) -> Iterator[fx.Node]:
    """Yield the nodes next to a node that may have its memory."""
    if shares_memory(node, tree):
        yield from dict.fromkeys([*node.all_input_nodes[:1], *_written(node)])
    for user in node.users:
        if shares_memory(user, tree) and (user.all_input_nodes[0] is node or node in _written(user)):
            yield user


def overwritten(graph: fx.Graph, tree: nn.Module) -> dict[fx.Node, fx.Node]:
    """Return every node with memory that an operation overwrites, and that operation."""
    found: dict[fx.Node, fx.Node] = {}
    for writer in graph.nodes:
        waiting = _written(writer) if may_write(writer) else []
        while waiting:
            node = waiting.pop()
            if node not in found:
                found[node] = writer
                waiting.extend(relatives(node, tree))
    return found


def _written(node: fx.Node) -> list[fx.Node]:
    """Return what an operation that overwrites its arguments writes to."""
    if "out" in node.kwargs:
        return _nodes([node.kwargs["out"]])
    if isinstance(node.target, OpOverload):
        arguments = node.target._schema.arguments  # noqa: SLF001 - the schema has no other name
        places = [number for number, each in enumerate(arguments) if each.alias_info is not None and each.alias_info.is_write]
        return _nodes(node.args[number] for number in places if number < len(node.args))
    return _nodes(node.args[:1]) if may_write(node) else []


def _nodes(values: Iterable[object]) -> list[fx.Node]:
    found: list[fx.Node] = []
    for value in values:
        if isinstance(value, fx.Node):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += _nodes(value)
    return found
