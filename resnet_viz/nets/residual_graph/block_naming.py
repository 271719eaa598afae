"""The names of blocks, from the modules that contain them, and the stage of each."""

import re
from collections import Counter

from torch import fx, nn

from resnet_viz.nets.residual_graph.finding import Addition, parameters_of

# A numbered stage that contains something numbered.
_STAGE = re.compile(r"((?:.*\.)?(?:layer|stage|level|group)s?[._]?\d+)\..*\d")


def block_names(additions: list[Addition], tree: nn.Module) -> list[str]:
    """Name each block after its module, "layer1.0"; if a module has several blocks, after the part of it that is the branch.

    "blocks.3.attn" and "blocks.3.mlp" are the two blocks of a transformer layer, "blocks.3#1" and "blocks.3#2" those of a
    module that runs twice.
    """
    paths = [addition.path for addition in additions]
    parts = [_with_part(addition, tree) for addition in additions]
    names = [path if _alone(path, paths, parts) else part for path, part in zip(paths, parts, strict=True)]
    counts = Counter(names)
    numbers: Counter[str] = Counter()
    for index, name in enumerate(names):
        if counts[name] > 1:
            numbers[name] += 1
            names[index] = f"{name}#{numbers[name]}"
    return names


def stages(additions: list[Addition]) -> list[int]:
    """Number the stages from 1: by the blocks' paths if these have two numbers, "layer2.0", else by the spatial size."""
    keys: list[object] = [_stage_of_path(addition.path) for addition in additions]
    telling = all(re.search(r"\d", str(key)) for key in keys) and len(set(keys)) > 1
    if not telling or _runs(keys) != len(set(keys)):
        keys = [spatial_size(addition.node) for addition in additions]
    found, number = [], 0
    for previous, key in zip([None, *keys], keys, strict=False):
        number += key != previous
        found.append(number)
    return found


def spatial_size(node: fx.Node) -> tuple[int, ...]:
    """Return (H, W) of a tensor, channels first or last, or its number of tokens."""
    _, *sizes = node.meta["shape"]
    if len(sizes) != 3:
        return tuple(sizes[:1])
    channels_last = sizes[0] == sizes[1] != sizes[2]
    return tuple(sizes[:2] if channels_last else sizes[1:])


def _alone(path: str, paths: list[str], parts: list[str]) -> bool:
    """Whether a path belongs to one block only: no block with another branch is in the same module or in a part of it."""
    branches = {part for other, part in zip(paths, parts, strict=True) if other == path or other.startswith(f"{path}.")}
    return path != "" and len(branches) == 1


def _with_part(addition: Addition, tree: nn.Module) -> str:
    """Add the part of the module that contains most of the branch's parameters."""
    learned: Counter[str] = Counter()
    for node in addition.branch:
        for name, parameter in parameters_of(node, tree).items():
            learned[_part(name, addition.path, tree)] += parameter.numel()
        learned[_part(_called(node), addition.path, tree)] += 0
    del learned[""]
    part = max(learned, key=lambda name: (learned[name], name), default="")
    return ".".join(filter(None, (addition.path, part))) or "sum"


def _called(node: fx.Node) -> str:
    return f"{node.target}.call" if node.op == "call_module" else f"{node.meta['path']}.call"


def _part(name: str, path: str, tree: nn.Module) -> str:
    """Return the first name below a path, with its numbers in a list: "layers.0.1" of "net.layers.0.1.fn.bias" below "net"."""
    if path and not name.startswith(f"{path}."):
        return ""
    steps = name.removeprefix(f"{path}.").split(".")[:-1] if path else name.split(".")[:-1]
    length = 1
    while length < len(steps) and isinstance(_module(tree, path, steps[:length]), nn.ModuleList | nn.ModuleDict):
        length += 1
    return ".".join(steps[:length])


def _module(tree: nn.Module, path: str, steps: list[str]) -> nn.Module | None:
    try:
        return tree.get_submodule(".".join(filter(None, (path, *steps))))
    except AttributeError:
        return None


def _stage_of_path(path: str) -> str:
    """Return the part of a path that identifies the stage: "layer2" of "layer2.0", "stages.1" of "stages.1.blocks.0"."""
    named = _STAGE.match(path)
    if named:
        return named[1]
    numbers = list(re.finditer(r"\d+", path))
    return path[: numbers[-1].start()].rstrip("._") if numbers else ""


def _runs(keys: list[object]) -> int:
    return sum(previous != key for previous, key in zip([None, *keys], keys, strict=False))
