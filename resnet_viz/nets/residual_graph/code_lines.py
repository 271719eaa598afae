"""The lines of Python code that compute a block, from the calls that led to each operation of its graph."""

from collections.abc import Iterator

from torch import fx

from resnet_viz.nets.blocks import BlockPlace, FunctionLines
from resnet_viz.nets.residual_graph.finding import Addition
from resnet_viz.nets.source_code import Call

# A node, the part of the block that it belongs to, and whether it computes the tensor of that place.
_Placed = tuple[fx.Node, BlockPlace, bool]


def code_lines(addition: Addition, activation: fx.Node | None) -> tuple[FunctionLines, ...]:
    """Return the lines that compute a block: of the innermost function around all of it, and of those that it calls to add.

    Nodes have the calls that led to them in `meta["calls"]`. Nothing is returned if the tracer did not record the block's.
    """
    stacks = [calls for node in (*addition.region, addition.node) if (calls := _calls(node))]
    stack = _calls(addition.node)
    if not stack:
        return ()
    found = []
    for depth in range(_common_depth(stacks), len(stack)):
        around, function = stack[:depth], stack[depth]
        places: dict[tuple[int, BlockPlace], bool] = {}
        for node, place, computes in _placed(addition, activation):
            calls = _calls(node)
            if calls[:depth] == around and len(calls) > depth and calls[depth].same_run(function):
                key = (calls[depth].line, place)
                places[key] = places.get(key, False) or computes
        lines = tuple((line, place, computes) for (line, place), computes in sorted(places.items()))
        found.append(FunctionLines(function, lines))
    return tuple(found)


def _calls(node: fx.Node) -> tuple[Call, ...]:
    calls: tuple[Call, ...] = node.meta.get("calls", ())
    return calls


def _common_depth(stacks: list[tuple[Call, ...]]) -> int:
    """The depth of the innermost function that all calls were in; the calls up to there are the same."""
    depth = 0
    for calls in zip(*stacks, strict=False):
        if len(set(calls)) > 1:
            return depth if all(call.same_run(calls[0]) for call in calls) else max(depth - 1, 0)
        depth += 1
    return max(depth - 1, 0)


def _placed(addition: Addition, activation: fx.Node | None) -> Iterator[_Placed]:
    yield addition.fork, "x", True
    for node in addition.shortcut:
        yield node, "identity", node is addition.identity
    for node in addition.branch:
        yield node, "residual", node is addition.residual
    if addition.identity is not None:
        yield addition.node, "sum", True
    if activation is not None:
        yield activation, "output", True
