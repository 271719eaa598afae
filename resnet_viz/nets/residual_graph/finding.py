"""The residual additions of a graph: where a network adds a tensor to something that it computed from that same tensor.

The nearest common ancestor of an addition's two arguments is the fork. The path with fewer operations is the shortcut, the
other one the residual branch (He et al. 2015, https://arxiv.org/abs/1512.03385, Fig. 2).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import fx, nn

from resnet_viz.nets.residual_graph.memory_sharing import overwritten
from resnet_viz.nets.residual_graph.operations import (
    ADDITIONS,
    IDLE,
    SHAPINGS,
    function_name,
    operation,
)


@dataclass(frozen=True, eq=False)
class Addition:
    """A residual addition: `shortcut` and `branch` are the nodes strictly between the fork and the addition on each path.

    `identity` and `residual` are the two arguments; `path` is the module that contains the addition. A node on both paths
    belongs to the branch. `alike` says whether both paths have the same layers of the same sizes, `both_learn` whether both
    have parameters. A plain block, which has no shortcut, has no `identity`, and `node` hands its residual on.
    """

    node: fx.Node
    fork: fx.Node
    identity: fx.Node | None
    residual: fx.Node
    shortcut: frozenset[fx.Node]
    branch: frozenset[fx.Node]
    path: str
    region: frozenset[fx.Node]
    alike: bool
    both_learn: bool


@dataclass(frozen=True)
class Hidden:
    """A residual addition that is not shown as a block: its position and the reason."""

    path: str
    reason: str


def find_additions(graph: fx.Graph, tree: nn.Module) -> tuple[list[Addition], list[Hidden]]:
    """Find every residual addition, in the order of computation, and those whose tensors do not stay as they are.

    Nodes need `meta["shape"]`, the shape of a tensor that depends on the input, and `meta["data"]`, whether a node holds such a
    tensor or several. Scales and biases computed from parameters do not hide a fork, because they do not depend on the input.
    """
    order = {node: number for number, node in enumerate(graph.nodes)}
    writers = overwritten(graph, tree)
    found: list[Addition] = []
    hidden: list[Hidden] = []
    for node in graph.nodes:
        addition = _addition(node, order, tree)
        if addition is None:
            continue
        writer = next((writers[each] for each in (node, *data_inputs(node), addition.fork) if each in writers), None)
        if writer is None:
            found.append(addition)
        else:
            hidden.append(Hidden(addition.path, _why_hidden(writer, tree)))
    return found, hidden


def data_inputs(node: fx.Node) -> list[fx.Node]:
    """Return the inputs of a node that depend on the image."""
    return [source for source in node.all_input_nodes if source.meta["data"]]


def is_addition(node: fx.Node, tree: nn.Module) -> bool:
    """Whether a node adds two tensors of one shape, both of which depend on the image."""
    if node.op not in ("call_function", "call_method") or operation(node, tree) not in ADDITIONS:
        return False
    return not node.meta.get("in_place") and _adds_two(node)


def _adds_two(node: fx.Node) -> bool:
    inputs = data_inputs(node)
    shapes = {each.meta["shape"] for each in (node, *inputs)}
    plain = len(inputs) == 2 == len(node.args) and not node.kwargs
    return plain and len(shapes) == 1 and None not in shapes


def _addition(node: fx.Node, order: dict[fx.Node, int], tree: nn.Module) -> Addition | None:
    if node.op not in ("call_function", "call_method") or not _adds(node, tree) or not _adds_two(node):
        return None
    first, second = data_inputs(node)
    fork = common_ancestor((first, second), order)
    if fork is None:
        return None
    ways = {argument: between(fork, argument) for argument in (first, second)}
    identity, residual = sorted((first, second), key=lambda argument: _length(ways[argument], tree))
    branch = ways[residual]
    return Addition(
        node=node,
        fork=fork,
        identity=identity,
        residual=residual,
        shortcut=frozenset(ways[identity] - branch),
        branch=frozenset(branch),
        path=str(node.meta["path"]),
        region=frozenset(ways[identity] | branch),
        alike=_layers(ways[identity], order, tree) == _layers(branch, order, tree) != [],
        both_learn=all(any(learned_numbers(node, tree) for node in way) for way in ways.values()),
    )


def _adds(node: fx.Node, tree: nn.Module) -> bool:
    """Whether a node adds, also if it overwrites one of its arguments."""
    return operation(node, tree) in ADDITIONS


def _why_hidden(writer: fx.Node, tree: nn.Module) -> str:
    name = operation(writer, tree) if writer.op == "call_module" else function_name(writer.target)
    where = f" in {writer.meta['path']}" if writer.meta["path"] else ""
    return f"its input, one of its paths or its sum is overwritten by the in-place operation `{name}`{where}"


def common_ancestor(nodes: Iterable[fx.Node], order: dict[fx.Node, int]) -> fx.Node | None:
    """Walk back from all nodes, always from the latest one, until one tensor is left; None if there is none."""
    front = set(nodes)
    while len(front) > 1 or next(iter(front)).meta["shape"] is None:
        latest = max(front, key=order.__getitem__)
        front.remove(latest)
        front.update(data_inputs(latest))
        if not front:
            return None
    return front.pop()


def between(fork: fx.Node, end: fx.Node) -> set[fx.Node]:
    """Return the nodes from the fork to a node, including the node but not the fork."""
    found: set[fx.Node] = set()
    waiting = [end]
    while waiting:
        node = waiting.pop()
        if node is not fork and node not in found:
            found.add(node)
            waiting.extend(data_inputs(node))
    return found


def _length(way: Iterable[fx.Node], tree: nn.Module) -> tuple[int, int]:
    """Return how many operations a path has, and how many parameters."""
    nodes = list(way)
    steps = [node for node in nodes if (name := operation(node, tree)) not in IDLE and name not in SHAPINGS]
    return len(steps), sum(learned_numbers(node, tree) for node in nodes)


def _layers(way: set[fx.Node], order: dict[fx.Node, int], tree: nn.Module) -> list[tuple[str, list[torch.Size]]]:
    """Return the operations of a path with the shapes of their parameters."""
    nodes = sorted(way, key=order.__getitem__)
    return [(operation(node, tree), [values.shape for values in parameters_of(node, tree).values()]) for node in nodes]


def learned_numbers(node: fx.Node, tree: nn.Module) -> int:
    """Count the parameters that a node's module or its direct arguments hold."""
    return sum(parameter.numel() for parameter in parameters_of(node, tree).values())


def parameters_of(node: fx.Node, tree: nn.Module) -> dict[str, nn.Parameter]:
    """Return the names in the network of the parameters that a node uses, also through what is computed from them alone."""
    if node.op == "call_module":
        module = tree.get_submodule(str(node.target))
        return {f"{node.target}.{name}": parameter for name, parameter in module.named_parameters()}
    found: dict[str, nn.Parameter] = {}
    waiting = [source for source in node.all_input_nodes if not source.meta["data"]]
    seen: set[fx.Node] = set()
    while waiting:
        source = waiting.pop()
        if source in seen or source.meta["data"]:
            continue
        seen.add(source)
        waiting.extend(source.all_input_nodes)
        if source.op == "get_attr":
            owner, _, name = str(source.target).rpartition(".")
            value = getattr(tree.get_submodule(owner), name)
            if isinstance(value, nn.Parameter):
                found[str(source.target)] = value
        elif source.op == "call_module":
            module = tree.get_submodule(str(source.target))
            found |= {f"{source.target}.{name}": parameter for name, parameter in module.named_parameters()}
    return found
