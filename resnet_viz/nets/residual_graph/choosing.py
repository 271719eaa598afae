"""Which residual additions are blocks: of several nested ones, the one that describes what the network does."""

from collections.abc import Callable

from torch import fx

from resnet_viz.nets.residual_graph.finding import Addition, Hidden, data_inputs
from resnet_viz.nets.residual_graph.placing import image_axis


def choose_blocks(additions: list[Addition], images: int) -> tuple[list[Addition], list[Hidden]]:
    """Return the additions that are blocks, in order, and the rest with a reason each.

    The outermost addition of a module is its block: one inside (Res2Net's scales, ConvNeXt V2's response normalisation) is a
    detail of the branch. One that joins paths which hold blocks of their own (HRNet's fusions), or leads past a chain of them
    (a skip connection around a whole stage), would hide the blocks, and is not shown itself. `images` is the number of images
    that the graph was measured with.
    """

    def unshowable(addition: Addition, _: list[Addition]) -> str:
        if any(image_axis(node.meta["shape"], images) is None for node in (addition.fork, addition.node)):
            return "it adds tensors that have no axis of images"
        if any(node.meta["complex"] for node in (addition.fork, addition.node, *data_inputs(addition.node))):
            return "it adds complex numbers, which the measures and maps of a block cannot show"
        return ""

    left, hidden = additions, list[Hidden]()
    rules: tuple[Callable[[Addition, list[Addition]], str], ...] = (
        unshowable,
        _entangled,
        _twofold,
        _heads,
        _joins,
        _detail,
        _overlaps,
    )
    for rule in rules:
        reasons = {addition: rule(addition, left) for addition in left}
        hidden += [Hidden(addition.path, reason) for addition, reason in reasons.items() if reason]
        left = [addition for addition, reason in reasons.items() if not reason]
    return left, hidden


def _entangled(addition: Addition, _: list[Addition]) -> str:
    apart = addition.identity is addition.fork or any(addition.fork in node.all_input_nodes for node in addition.shortcut)
    return "" if apart else "both of its paths begin with the same operations"


def _twofold(addition: Addition, _: list[Addition]) -> str:
    return "both of its paths have the same layers, so neither is a shortcut" if addition.alike else ""


def _heads(addition: Addition, _: list[Addition]) -> str:
    node = addition.node
    while len(node.users) == 1 and next(iter(node.users)).op != "output":
        node = next(iter(node.users))
        if (
            any(source.meta["data"] and source is not addition.node for source in node.all_input_nodes)
            or node.op == "call_module"
        ):
            return ""
    logits = any(user.op == "output" for user in node.users)
    return "it adds the logits of two heads" if logits and addition.both_learn else ""


def _joins(addition: Addition, others: list[Addition]) -> str:
    def in_other_module(other: Addition) -> bool:
        return other.path != addition.path or addition.path == ""

    if any(other.node in addition.shortcut and in_other_module(other) for other in others):
        return "it joins two paths that have blocks of their own"
    inside = [other for other in others if other.node in addition.region and in_other_module(other)]
    for first in inside:
        for second in inside:
            if (
                first.node not in second.region
                and first is not second
                and _comes_before(first.node, second.fork, addition.region)
            ):
                return "it skips several blocks"
    return ""


def _detail(addition: Addition, others: list[Addition]) -> str:
    outer = next((other for other in others if addition.node in other.region), None)
    return "" if outer is None else f"it is a part of the block at {outer.path or 'the network itself'}"


def _overlaps(addition: Addition, others: list[Addition]) -> str:
    outer = next((other for other in others if other is not addition and addition.fork in other.region), None)
    return "" if outer is None else f"its input is inside the block at {outer.path or 'the network itself'}"


def _comes_before(node: fx.Node, later: fx.Node, region: frozenset[fx.Node]) -> bool:
    """Whether `later` is a node or is computed from it within a region."""
    waiting, seen = [later], set()
    while waiting:
        current = waiting.pop()
        if current is node:
            return True
        if current in region and current not in seen:
            seen.add(current)
            waiting.extend(data_inputs(current))
    return False
