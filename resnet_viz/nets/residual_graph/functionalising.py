"""Replaces in-place operations by ones that keep their input, so that a tensor that a hook sees is not overwritten later."""

import inspect
import operator
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload

from resnet_viz.nets.residual_graph.memory_sharing import relatives
from resnet_viz.nets.residual_graph.operations import IDLE, may_write, operation, out_of_place, overwrites


def leave_inputs_alone(graph: fx.Graph, tree: nn.Module) -> None:
    """Turn `x += y`, `F.relu(x, inplace=True)`, `nn.ReLU(inplace=True)`, `x[0] = y` ... into operations that return a copy.

    Later uses of x get the new tensor. If another view of x is used later, the operation stays, marked by `meta["in_place"]`:
    only overwriting gives what the network computes then. So does one that has no known form that returns a copy.
    """
    order = {node: number for number, node in enumerate(graph.nodes)}
    # Found before anything changes: a module that is called twice works in place both times.
    for node in [node for node in graph.nodes if _works_in_place(node, tree)]:
        node.meta["in_place"] = True
        written = node.args[0] if node.args and "out" not in node.kwargs else None
        if not isinstance(written, fx.Node) or _seen_elsewhere(written, node, order, tree) or not _separated(node, tree):
            continue
        del node.meta["in_place"]
        for user in [user for user in written.users if order[user] > order[node]]:
            user.replace_input_with(written, node)


def take_any_memory_format(graph: fx.Graph) -> None:
    """Turn every `view` into a `reshape`, which works for any memory format: an analysis may use another one.

    `view_as`, and a view as numbers of another type, stay.
    """
    for node in graph.nodes:
        if node.op == "call_method" and node.target == "view":
            if not any(isinstance(value, torch.dtype) for value in (*node.args, *node.kwargs.values())):
                node.target = "reshape"
        elif node.target is torch.ops.aten.view.default:
            node.target = torch.ops.aten.reshape.default


def on_a_copy(method: str, x: Tensor, *arguments: Any, **named: Any) -> Tensor:  # noqa: ANN401 - whatever the method takes
    """Return a copy of x that a method which overwrites a tensor was called on."""
    copy = x.clone()
    getattr(copy, method)(*arguments, **named)
    return copy


def _works_in_place(node: fx.Node, tree: nn.Module) -> bool:
    if node.op == "call_module":
        return bool(getattr(tree.get_submodule(str(node.target)), "inplace", False)) and operation(node, tree) not in IDLE
    if node.op not in ("call_function", "call_method"):
        return False
    return may_write(node) or bool(_argument(node, "inplace"))


def _separated(node: fx.Node, tree: nn.Module) -> bool:
    """Make a node return a new tensor; False if that is not known to give the same."""
    if node.op == "call_module":
        vars(tree.get_submodule(str(node.target)))["inplace"] = False
        return True
    if overwrites(node.target, node.op):
        return _separated_by_name(node)
    if "inplace" in node.kwargs:
        node.kwargs = {**node.kwargs, "inplace": False}
        return True
    position = list(inspect.signature(cast("Callable[..., Any]", node.target)).parameters).index("inplace")
    node.args = (*node.args[:position], False, *node.args[position + 1 :])
    return True


def _separated_by_name(node: fx.Node) -> bool:
    replacement = out_of_place(node.target, node.op)
    if replacement is not None:
        node.target = replacement
        return True
    method = "__setitem__" if node.target is operator.setitem else str(node.target) if node.op == "call_method" else ""
    if method:
        node.op, node.target, node.args = "call_function", on_a_copy, (method, *node.args)
    return bool(method)


def _argument(node: fx.Node, name: str) -> Any:  # noqa: ANN401 - whatever the argument is
    """Return an argument of a call of a Python function, or None if it is left out."""
    if name in node.kwargs:
        return node.kwargs[name]
    if node.op != "call_function" or isinstance(node.target, OpOverload) or not inspect.isfunction(node.target):
        return None
    names = list(inspect.signature(node.target).parameters)
    position = names.index(name) if name in names else len(node.args)
    return node.args[position] if position < len(node.args) else None


def _seen_elsewhere(node: fx.Node, writer: fx.Node, order: dict[fx.Node, int], tree: nn.Module) -> bool:
    """Whether the memory of a node is used after it is overwritten under another node's name."""
    family, waiting, moment = {node}, [node], order[writer]
    while waiting:
        for relative in relatives(waiting.pop(), tree):
            if relative not in family and order[relative] < moment:
                family.add(relative)
                waiting.append(relative)
    return any(order[user] > moment for member in family - {node} for user in member.users)
