"""Blocks without a shortcut: no addition shows them in a graph, so the modules that hold them say where they are."""

from collections.abc import Container

from torch import fx, nn

from resnet_viz.nets.layers import PlainBlock
from resnet_viz.nets.residual_graph.activation_modules import is_activation_module
from resnet_viz.nets.residual_graph.finding import Addition, data_inputs


def find_plain_blocks(graph: fx.Graph, tree: nn.Module) -> list[Addition]:
    """Find every `PlainBlock` that a network runs, in the order of computation.

    The residual of such a block is what its last activation gets; a node there stands for the addition that the block lacks.
    """
    places = [path for path, module in tree.named_modules() if isinstance(module, PlainBlock)]
    inside: dict[str, list[fx.Node]] = {path: [] for path in places}
    for node in graph.nodes:
        path = _place(str(node.meta["path"]), inside) if node.meta["data"] else ""
        if path:
            inside[path].append(node)
    return [_block(graph, tree, path, nodes) for path, nodes in inside.items() if nodes]


def _place(path: str, places: Container[str]) -> str:
    """Return the one of the places that a module's path is or lies in, "" for none."""
    while path and path not in places:
        path = path.rpartition(".")[0]
    return path


def _block(graph: fx.Graph, tree: nn.Module, path: str, inside: list[fx.Node]) -> Addition:
    fork = next(source for node in inside for source in data_inputs(node) if source not in inside)
    *branch, last = inside
    if not is_activation_module(last, tree):
        branch = inside
    residual = branch[-1]
    with graph.inserting_after(residual):
        end = graph.call_function(_pass_on, (residual,))
    end.meta = {**residual.meta, "multiply_adds": 0}
    residual.replace_all_uses_with(end, delete_user_cb=lambda user: user is not end)
    nodes = frozenset(branch)
    return Addition(
        node=end,
        fork=fork,
        identity=None,
        residual=residual,
        shortcut=frozenset(),
        branch=nodes,
        path=path,
        region=nodes,
        alike=False,
        both_learn=False,
    )


def _pass_on(residual: object) -> object:
    """Stand in for the sum until it is a place of the block."""
    return residual
