"""A network divided into stem, blocks, the layers between them, and head; and whether it forms a chain."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import fx, nn

from resnet_viz.nets.residual_graph.finding import Addition, data_inputs, parameters_of
from resnet_viz.nets.residual_graph.operations import NORMS, is_pool, operation

STEM, HEAD = "stem", "head"


@dataclass(frozen=True)
class Section:
    """A part of a network that is not a block: "stem", "head", or "before layer2.0" between two blocks.

    `input` and `output` are the shapes of the tensors of one image; `layers` and `parameters` are names in the network;
    `multiply_adds` are those for one image.
    """

    name: str
    input: tuple[int, ...]
    output: tuple[int, ...]
    layers: tuple[str, ...]
    parameters: tuple[str, ...]
    parameter_count: int
    multiply_adds: int


def find_sections(
    graph: fx.Graph, tree: nn.Module, additions: list[Addition], names: list[str], images: int
) -> tuple[Section, ...]:
    """Divide everything that is not a block into sections, in order; a section between two blocks has layers of its own."""
    inside = {node for addition in additions for node in (*addition.region, addition.node)}
    order = {node: number for number, node in enumerate(graph.nodes)}
    ends = [order[addition.node] for addition in additions]
    nodes: list[list[fx.Node]] = [[] for _ in range(len(additions) + 1)]
    for node in graph.nodes:
        if node not in inside and node.meta["data"]:
            nodes[sum(end < order[node] for end in ends)].append(node)
    titles = [STEM, *(f"before {name}" for name in names[1:]), HEAD]
    starts = [next(node for node in graph.nodes if node.op == "placeholder"), *(addition.node for addition in additions)]
    stops = [*(addition.fork for addition in additions), next(iter(reversed(graph.nodes))).all_input_nodes[0]]
    found = [
        _section(title, group, tree, (start.meta["shape"][1:], stop.meta["shape"][1:]), images)
        for title, group, start, stop in zip(titles, nodes, starts, stops, strict=True)
    ]
    return tuple(each for each in found if each.name in (STEM, HEAD) or each.parameters or each.multiply_adds)


def layer_paths(nodes: Iterable[fx.Node], tree: nn.Module) -> tuple[str, ...]:
    """Name the modules that nodes call or whose parameters they use, in order, without normalisations and activations."""
    found: dict[str, None] = {}
    for node in nodes:
        name = operation(node, tree)
        if name in NORMS or name.startswith(("batchnorm", "layernorm")):
            continue
        if node.op == "call_module":
            found[str(node.target)] = None
        elif not is_pool(name):
            paths = {parameter.rpartition(".")[0] for parameter in parameters_of(node, tree)}
            found |= dict.fromkeys(path for path, _ in tree.named_modules() if path in paths)
    return tuple(path for path in found if path)


def is_chain(graph: fx.Graph, additions: list[Addition]) -> bool:
    """Whether every layer after a block uses only the output of that block, and no tensor from before or beside it.

    If so, images can join the batch between two blocks: no tensor with fewer images enters from before.
    """
    sums = {addition.node for addition in additions}
    # The last block before each node; None before the first one.
    passed: dict[fx.Node, fx.Node | None] = {}
    for node in graph.nodes:
        if not node.meta["data"]:
            continue
        before = {passed[source] for source in data_inputs(node)} or {None}
        if len(before) > 1:
            return False
        passed[node] = node if node in sums else before.pop()
    return True


def _section(
    name: str, nodes: list[fx.Node], tree: nn.Module, ends: tuple[tuple[int, ...], tuple[int, ...]], images: int
) -> Section:
    parameters: dict[str, nn.Parameter] = {}
    for node in nodes:
        parameters |= parameters_of(node, tree)
    return Section(
        name,
        *ends,
        layers=layer_paths(nodes, tree),
        parameters=tuple(parameters),
        parameter_count=sum(parameter.numel() for parameter in set(parameters.values())),
        multiply_adds=sum(node.meta["multiply_adds"] for node in nodes) // images,
    )
