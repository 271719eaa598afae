"""Gives every block of a graph its five places: fork, shortcut, residual, sum and output."""

import operator

from torch import fx, nn

from resnet_viz.nets.blocks import BlockFacts, ResidualBlock
from resnet_viz.nets.residual_graph.activation_modules import (
    give_inputs_of_their_own,
    is_activation_module,
    mark_overwritable,
)
from resnet_viz.nets.residual_graph.block_naming import stages
from resnet_viz.nets.residual_graph.code_lines import code_lines
from resnet_viz.nets.residual_graph.finding import Addition, parameters_of
from resnet_viz.nets.residual_graph.placing import layout_of
from resnet_viz.nets.residual_graph.sections import layer_paths
from resnet_viz.nets.residual_graph.shortcuts import shortcut_kind


def place_blocks(graph: fx.Graph, tree: nn.Module, additions: list[Addition], names: list[str], images: int) -> None:
    """Insert calls of every block's places, and put the blocks on the tree, under their names, in the order of their sums.

    `images` is the number of images with which the graph was measured.
    """
    numbers = stages(additions)
    _dissolve_earlier_blocks(tree)
    home, blocks = _free_name(tree), nn.ModuleList()
    tree.add_module(home, blocks)
    outputs: dict[fx.Node, fx.Node] = {}
    watched: set[fx.Node] = set()
    for index, (addition, name, stage) in enumerate(zip(additions, names, numbers, strict=True)):
        last = _activation_behind(addition, tree)
        facts = _facts(addition, last, tree, images, name=name, stage=stage)
        output = nn.Identity() if last is None else _taken(tree, str(last.target))
        residual_first = addition.identity is not None and addition.node.args[0] is addition.residual
        blocks.append(ResidualBlock(facts, output, residual_first=residual_first))
        place = f"{home}.{index}"
        fork = outputs.get(addition.fork, addition.fork)
        _split(graph, addition, fork, place)
        _name_ends(graph, addition, place)
        outputs[addition.node] = _name_output(graph, addition, last, place)
        watched |= {fork, addition.node, outputs[addition.node], *addition.node.all_input_nodes}
    _drop_unused(graph)
    give_inputs_of_their_own(graph, tree)
    mark_overwritable(graph, tree, watched, {addition.node for addition in additions})


def _dissolve_earlier_blocks(tree: nn.Module) -> None:
    """Make the blocks of an opened network that is a part of this one ordinary modules: its sums are found anew."""
    for module in list(tree.modules()):
        for name, child in module.named_children():
            if isinstance(child, ResidualBlock):
                ordinary = nn.Module()
                for place, layer in child.named_children():
                    ordinary.add_module(place, layer)
                setattr(module, name, ordinary)


def _free_name(tree: nn.Module) -> str:
    name, number = "residual_blocks", 1
    while hasattr(tree, name):
        name, number = f"residual_blocks_{number}", number + 1
    return name


def _activation_behind(addition: Addition, tree: nn.Module) -> fx.Node | None:
    """Return the activation that is the only user of the sum, if there is one."""
    users = list(addition.node.users)
    return users[0] if len(users) == 1 and is_activation_module(users[0], tree) else None


def _taken(tree: nn.Module, path: str) -> nn.Module:
    """Remove a module from the tree, because it is now a place of the block."""
    owner, _, name = path.rpartition(".")
    module = tree.get_submodule(path)
    delattr(tree.get_submodule(owner), name)
    return module


def _facts(addition: Addition, last: fx.Node | None, tree: nn.Module, images: int, *, name: str, stage: int) -> BlockFacts:
    order = {node: number for number, node in enumerate(addition.node.graph.nodes)}
    nodes = sorted(addition.region, key=order.__getitem__)
    parameters: dict[str, nn.Parameter] = {}
    for node in nodes:
        parameters |= parameters_of(node, tree)
    inside = {*nodes, addition.node}
    layers = [str(node.target) for node in nodes if node.op == "call_module"]
    return BlockFacts(
        name=name,
        stage=stage,
        shortcut="none" if addition.identity is None else shortcut_kind(addition.region - addition.branch, tree),
        path=addition.path,
        kind=type(tree.get_submodule(addition.path)).__name__,
        shape=addition.node.meta["shape"][1:],
        layout=layout_of(addition.node, tree, images),
        input_layout=layout_of(addition.fork, tree, images),
        input_shape=addition.fork.meta["shape"][1:],
        activation="" if last is None else type(tree.get_submodule(str(last.target))).__name__,
        layers=tuple(dict.fromkeys(layers if last is None else [*layers, str(last.target)])),
        branch_layers=layer_paths((node for node in nodes if node in addition.branch), tree),
        parameters=tuple(parameters),
        parameter_count=sum(parameter.numel() for parameter in set(parameters.values())),
        input_used_elsewhere=any(user not in inside and user.meta["data"] for user in addition.fork.users),
        ways_share=any(
            source in addition.branch
            for node in (*addition.shortcut, addition.node)
            for source in node.all_input_nodes
            if source is not addition.residual
        ),
        multiply_adds=sum(node.meta["multiply_adds"] for node in nodes) // images,
        code=code_lines(addition, last),
    )


def _split(graph: fx.Graph, addition: Addition, fork: fx.Node, place: str) -> None:
    """Let each path of a block begin at its own end of the fork."""
    with graph.inserting_after(fork):
        both = _data(graph.call_module(f"{place}.fork", (fork,)), fork)
    with graph.inserting_after(both):
        to_branch = _data(graph.call_function(operator.getitem, (both, 1)), fork)
        to_shortcut = _data(graph.call_function(operator.getitem, (both, 0)), fork)
    for node in addition.branch:
        node.replace_input_with(fork, to_branch)
    for node in addition.shortcut:
        node.replace_input_with(fork, to_shortcut)
    if fork in addition.node.all_input_nodes:
        addition.node.replace_input_with(fork, to_shortcut)
    # Sizes are those of the block's own input: images may have joined the batch at the fork.
    for node in list(fork.users):
        if not node.meta["data"]:
            node.replace_input_with(fork, to_branch)


def _name_ends(graph: fx.Graph, addition: Addition, place: str) -> None:
    """Insert the places at the ends of shortcut and branch, and at the sum."""
    node = addition.node
    names: tuple[str, ...] = ("shortcut", "residual")
    if addition.identity is None:
        names = ("residual",)
    elif node.args[0] is addition.residual:
        node.args = node.args[::-1]
    with graph.inserting_before(node):
        ends = tuple(
            _data(graph.call_module(f"{place}.{name}", (end,)), end)
            for name, end in zip(names, node.all_input_nodes, strict=True)
        )
    node.op, node.target, node.args, node.kwargs = "call_module", f"{place}.sum", ends, {}


def _name_output(graph: fx.Graph, addition: Addition, last: fx.Node | None, place: str) -> fx.Node:
    """Insert the place of the output: the activation after the sum, or a module that passes the sum on."""
    if last is not None:
        last.target = f"{place}.output"
        return last
    with graph.inserting_after(addition.node):
        output = _data(graph.call_module(f"{place}.output", (addition.node,)), addition.node)
    addition.node.replace_all_uses_with(output, delete_user_cb=lambda user: user is not output)
    return output


def _data(node: fx.Node, like: fx.Node) -> fx.Node:
    """Record the facts of a new node, which are those of the node it replaces."""
    node.meta = {**like.meta, "multiply_adds": 0}
    return node


def _drop_unused(graph: fx.Graph) -> None:
    for node in reversed(list(graph.nodes)):
        if not node.users and node.op not in ("placeholder", "output") and not node.meta.get("in_place") and _is_pure(node):
            graph.erase_node(node)


def _is_pure(node: fx.Node) -> bool:
    return node.op == "get_attr" or (node.op == "call_function" and node.target in (operator.getitem, getattr))
