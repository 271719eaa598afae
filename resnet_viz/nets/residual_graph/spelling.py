"""Additions under other names, written as additions of two tensors, so that identity + residual is exactly the sum.

`torch.add(x, f, alpha=0.5)`, `torch.addcmul(x, gamma, f)`, `torch.lerp(x, f, 0.5)`, `torch.stack([x, f]).sum(0)` or `.mean(0)`,
and x - f add something to x as x + f does.
"""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn

from resnet_viz.nets.residual_graph.finding import Hidden, between, common_ancestor, data_inputs, parameters_of
from resnet_viz.nets.residual_graph.operations import ADDITIONS, operation

# The names of the arguments of these operations, in their order.
_ARGUMENTS = {
    "addcmul": ("input", "tensor1", "tensor2", "value"),
    "lerp": ("input", "end", "weight"),
    "sum": ("input", "dim", "keepdim"),
    "mean": ("input", "dim", "keepdim"),
}
# Another name that NumPy's users know, for the same argument.
_SYNONYMS = {"axis": "dim"}


def spell_out_additions(graph: fx.Graph, tree: nn.Module) -> bool:
    """Give every addition or subtraction two plain arguments: a factor such as `alpha` becomes a multiplication before it.

    Then identity + residual is exactly the sum. Returns whether there was such a factor: the fused operation rounds once less.
    """
    split = False
    for node in graph.nodes:
        if node.op not in ("call_function", "call_method") or operation(node, tree) not in ADDITIONS | {"sub", "subtract"}:
            continue
        arguments = {**dict(zip(("input", "other", "alpha"), node.args, strict=False)), **node.kwargs}
        alpha = arguments.pop("alpha", 1)
        if set(arguments) != {"input", "other"} or not isinstance(arguments["other"], fx.Node):
            continue
        if alpha != 1:
            split = True
            with graph.inserting_before(node):
                arguments["other"] = graph.call_function(torch.mul, (arguments["other"], alpha))
                arguments["other"].meta = {key: node.meta[key] for key in ("path", "calls")}
        node.args, node.kwargs = (arguments["input"], arguments["other"]), {}
    return split


def drop_zeros(graph: fx.Graph, tree: nn.Module) -> None:
    """Erase additions of the number 0, with which Python's `sum` begins."""
    for node in list(graph.nodes):
        if node.op == "call_function" and operation(node, tree) in ADDITIONS and len(node.args) == 2 and not node.kwargs:
            zeros = [each for each in node.args if isinstance(each, int | float) and each == 0]
            kept = [each for each in node.args if isinstance(each, fx.Node)]
            if len(zeros) == len(kept) == 1:
                node.replace_all_uses_with(kept[0])
                graph.erase_node(node)


def spell_out_fused_additions(graph: fx.Graph, tree: nn.Module) -> bool:
    """Write `addcmul`, `lerp`, and sums and means of stacked tensors as additions. Returns whether one rounds otherwise."""
    rounds = False
    for node in list(graph.nodes):
        spell = _SPELLINGS.get(operation(node, tree)) if node.op in ("call_function", "call_method") else None
        if spell is None or node.meta.get("in_place"):
            continue
        names = _ARGUMENTS[operation(node, tree)]
        named = {_SYNONYMS.get(name, name): value for name, value in node.kwargs.items()}
        arguments = {**dict(zip(names, node.args, strict=False)), **named}
        # A bias that something is added to is no identity.
        if not set(arguments) <= set(names) or not _depends_on_the_image(arguments.get("input")):
            continue
        with graph.inserting_before(node):
            terms = spell(_Writer(graph, node), tree, arguments)
        if len(terms) > 1:
            rounds = rounds or spell is not _sum_of_stack or len(terms) > 2
            with graph.inserting_before(node):
                total = terms[0]
                for term in terms[1:]:
                    total = _Writer(graph, node).call(operator.add, total, term)
            node.replace_all_uses_with(total)
            graph.erase_node(node)
    return rounds


def turn_subtractions(graph: fx.Graph, tree: nn.Module) -> list[Hidden]:
    """Write x - f(x) as x + (-f(x)), which is the same number, where layers with weights compute f(x).

    Nodes need the data of `measure_nodes`. Without weights, it is a part of an operation, such as a normalisation. Returns the
    places of f(x) - x, whose shortcut is -x and no identity.
    """
    hidden: list[Hidden] = []
    order = {node: number for number, node in enumerate(graph.nodes)}
    for node in list(graph.nodes):
        inputs = data_inputs(node) if node.op in ("call_function", "call_method") else []
        if operation(node, tree) not in ("sub", "subtract") or len(inputs) != 2 or list(node.args) != inputs or node.kwargs:
            continue
        start, taken = inputs
        if len({each.meta["shape"] for each in (node, start, taken)}) > 1 or node.meta.get("in_place"):
            continue
        # The difference of a `lerp` is a part of its residual.
        backwards = common_ancestor(inputs, order) is taken and "spelled" not in node.meta
        if backwards and any(parameters_of(step, tree) for step in between(taken, start)):
            reason = "it subtracts its input from the branch, so its shortcut is -x and not x"
            hidden.append(Hidden(str(node.meta["path"]), reason))
        if common_ancestor(inputs, order) is start and any(parameters_of(step, tree) for step in between(start, taken)):
            with graph.inserting_before(node):
                negative = graph.call_function(torch.neg, (taken,))
            negative.meta = {**taken.meta, "path": node.meta["path"], "calls": node.meta["calls"], "multiply_adds": 0}
            node.op, node.target, node.args = "call_function", operator.add, (start, negative)
    return hidden


def _depends_on_the_image(value: object) -> bool:
    waiting, seen = [value], set[fx.Node]()
    while waiting:
        node = waiting.pop()
        if isinstance(node, fx.Node) and node not in seen:
            if node.op == "placeholder":
                return True
            seen.add(node)
            waiting += node.all_input_nodes
    return False


class _Writer:
    """Adds calls to a graph in place of a node, whose position in the code they get."""

    def __init__(self, graph: fx.Graph, instead_of: fx.Node) -> None:
        self._graph = graph
        self._meta = {key: instead_of.meta[key] for key in ("path", "calls")} | {"spelled": True}

    def call(self, function: Callable[..., Any], *arguments: Any) -> fx.Node:  # noqa: ANN401 - whatever a function takes
        node = self._graph.call_function(function, arguments)
        node.meta = dict(self._meta)
        return node


def _addcmul(write: _Writer, _: nn.Module, given: dict[str, Any]) -> list[fx.Node]:
    """X + value · a · b."""
    product = write.call(torch.mul, given["tensor1"], given["tensor2"])
    value = given.get("value", 1)
    return [given["input"], product if value == 1 else write.call(torch.mul, product, value)]


def _lerp(write: _Writer, _: nn.Module, given: dict[str, Any]) -> list[fx.Node]:
    """X + weight · (end - x)."""
    difference = write.call(torch.sub, given["end"], given["input"])
    return [given["input"], write.call(torch.mul, difference, given["weight"])]


def _mean_of_stack(write: _Writer, tree: nn.Module, given: dict[str, Any]) -> list[fx.Node]:
    """X + 0.5 · (f - x) for the mean of x and f, stacked in any order, if f is computed from x."""
    tensors = _sum_of_stack(write, tree, given)
    if len(tensors) != 2:
        return []
    start, end = tensors if _is_computed_from(tensors[1], tensors[0]) else tensors[::-1]
    if not _is_computed_from(end, start):
        return []
    return [start, write.call(torch.mul, write.call(torch.sub, end, start), 0.5)]


def _is_computed_from(node: fx.Node, source: fx.Node) -> bool:
    waiting, seen = [node], set[fx.Node]()
    while waiting:
        current = waiting.pop()
        if current is source:
            return node is not source
        if current not in seen:
            seen.add(current)
            waiting += current.all_input_nodes
    return False


def _sum_of_stack(_: _Writer, tree: nn.Module, given: dict[str, Any]) -> list[fx.Node]:
    """The stacked tensors, if the sum is over the axis along which they are stacked."""
    stack, axes = given.get("input"), given.get("dim")
    axes = list(axes) if isinstance(axes, list | tuple) else [axes]
    if not isinstance(stack, fx.Node) or operation(stack, tree) != "stack" or given.get("keepdim"):
        return []
    tensors = stack.args[0] if stack.args else stack.kwargs.get("tensors")
    axis = stack.args[1] if len(stack.args) > 1 else stack.kwargs.get("dim", stack.kwargs.get("axis", 0))
    whole = isinstance(tensors, list | tuple) and all(isinstance(each, fx.Node) for each in tensors)
    return list(tensors) if whole and axes == [axis] else []  # type: ignore[arg-type]  # all of them are nodes


_SPELLINGS: dict[str, Callable[[_Writer, nn.Module, dict[str, Any]], list[fx.Node]]] = {
    "addcmul": _addcmul,
    "lerp": _lerp,
    "sum": _sum_of_stack,
    "mean": _mean_of_stack,
}
