"""Additions of three and more terms: x + a(x) + b(x) is written as the two additions (x + a(x)) + b(x) of a residual block.

Its identity is x, and its residual is the sum of the other terms, so they are added first here.
"""

import operator

from torch import fx, nn

from resnet_viz.nets.residual_graph.finding import between, common_ancestor, data_inputs, is_addition
from resnet_viz.nets.residual_graph.operations import ADDITIONS, IDLE, NORMS, SHAPINGS, may_write, operation


def gather_residuals(graph: fx.Graph, tree: nn.Module) -> bool:
    """Add the residual branches of a block to one another before they are added to its identity.

    Nodes need the data of `measure_nodes`. Returns whether the order changed: the sum of three numbers rounds otherwise then.
    """
    gathered = [_gather(graph, node, tree) for node in list(graph.nodes) if is_addition(node, tree)]
    if any(gathered):
        graph.eliminate_dead_code(lambda node: operation(node, tree) not in ADDITIONS or may_write(node))
    return any(gathered)


def _gather(graph: fx.Graph, node: fx.Node, tree: nn.Module) -> bool:
    """Take the identity out of an inner addition, if it is there and all terms have one fork."""
    if any(_is_part(node, user, tree) for user in node.users):
        return False
    terms = _terms(node, tree)
    if len(terms) < 3:
        return False
    fork = common_ancestor(terms, {each: number for number, each in enumerate(graph.nodes)})
    if fork is None:
        return False
    passed = [term for term in terms if all(_passes_on(step, tree) for step in between(fork, term))]
    if len(passed) != 1 or passed[0] in node.args:
        return False
    identity = passed[0]
    first, *others = [term for term in terms if term is not identity]
    with graph.inserting_before(node):
        for term in others:
            first = _added(graph, node, first, term)
        total = _added(graph, node, *((identity, first) if terms[0] is identity else (first, identity)))
    node.replace_all_uses_with(total)
    graph.erase_node(node)
    return True


def _added(graph: fx.Graph, like: fx.Node, first: fx.Node, second: fx.Node) -> fx.Node:
    node = graph.call_function(operator.add, (first, second))
    node.meta = dict(like.meta)
    return node


def _terms(node: fx.Node, tree: nn.Module) -> list[fx.Node]:
    terms: list[fx.Node] = []
    for term in data_inputs(node):
        terms += _terms(term, tree) if _is_part(term, node, tree) else [term]
    return terms


def _is_part(node: fx.Node, total: fx.Node, tree: nn.Module) -> bool:
    """Whether a node is an addition that only another addition of the same module uses."""
    alone = len(node.users) == 1 and node.meta["path"] == total.meta["path"]
    return alone and is_addition(node, tree) and is_addition(total, tree)


def _passes_on(node: fx.Node, tree: nn.Module) -> bool:
    name = operation(node, tree)
    return name in IDLE or name in SHAPINGS or name in NORMS or name.startswith(("batchnorm", "layernorm"))
