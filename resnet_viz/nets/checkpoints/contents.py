"""The content of a checkpoint: every mapping from names to tensors, at any depth, and the plain values next to them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from resnet_viz.nets.checkpoints.errors import CheckpointError
from resnet_viz.nets.checkpoints.numpy_values import array_tensor
from resnet_viz.nets.checkpoints.tensors import StoredTensor
from resnet_viz.nets.checkpoints.values import StandIn

DEEPEST = 40
MOST_VISITS = 1_000_000
LONGEST_NAME = 300
PARTS_OF_MODULES = ("_parameters", "_buffers", "_modules")


@dataclass(frozen=True, eq=False)
class TensorMapping:
    """Tensors by name, and the keys that lead to them in the file ("ema.module"; "" for the file itself).

    `classes` are the layers' classes by name, where the file holds a whole model.
    """

    path: str
    tensors: Mapping[str, StoredTensor]
    classes: Mapping[str, str]


def find_mappings(content: object) -> list[TensorMapping]:
    """Return every mapping that holds tensors, in the order in which they stand in the file.

    A whole model that was pickled is one mapping, named as its `state_dict` would name it. CheckpointError where names are
    longer than any network's, or where everything refers to everything.
    """
    found: list[TensorMapping] = []
    seen: set[int] = set()
    waiting: list[tuple[object, str, int]] = [(content, "", 0)]
    visits = 0
    while waiting:
        value, path, depth = waiting.pop()
        if id(value) in seen or depth > DEEPEST:
            continue
        seen.add(id(value))
        if isinstance(value, StandIn) and is_module(value):
            mapping = _module_mapping(value, path)
            inside: list[tuple[str, object]] = []
        else:
            inside = list(_inside(value))
            mapping = _mapping(inside if isinstance(value, (dict, StandIn)) else [], path)
        visits += 1 + len(inside)
        if visits > MOST_VISITS:
            raise CheckpointError(
                "The objects in the checkpoint refer to one another too often to be searched. Save only model.state_dict()."
            )
        if mapping.tensors:
            found.append(mapping)
        waiting.extend(
            (other, joined(path, name), depth + 1) for name, other in reversed(inside) if isinstance(other, CONTAINERS)
        )
    return found


CONTAINERS = (dict, list, tuple, StandIn)


def joined(path: str, name: str) -> str:
    """Return the path to what stands under `name` inside of `path`; it does not grow beyond the length of a name."""
    return (f"{path}.{name}" if path else name)[: LONGEST_NAME + 1]


def is_module(stand_in: StandIn) -> bool:
    """Whether the object is a torch.nn.Module: they keep their tensors in attributes of these names."""
    attributes = stand_in.attributes or {}
    return any(isinstance(attributes.get(part), dict) for part in PARTS_OF_MODULES)


def _inside(value: object) -> Iterator[tuple[str, object]]:
    """Yield what an object holds, with the names by which it is reached."""
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, (list, tuple)):
        yield from ((str(index), item) for index, item in enumerate(value) if isinstance(item, CONTAINERS))
    elif isinstance(value, StandIn):
        yield from (value.attributes or {}).items()
        yield from (value.entries or {}).items()
        yield from (("", part) for part in (value.elements, value.arguments, value.state) if isinstance(part, CONTAINERS))


def _mapping(inside: list[tuple[str, object]], path: str) -> TensorMapping:
    tensors: dict[str, StoredTensor] = {}
    for name, value in inside:
        tensor = value if isinstance(value, StoredTensor) else array_tensor(value) if isinstance(value, StandIn) else None
        if tensor is not None:
            tensors[_checked(name)] = tensor
    return TensorMapping(path, tensors, {})


def _module_mapping(module: StandIn, path: str) -> TensorMapping:
    """Collect a module's tensors as `state_dict` does: its own, then its children's, by dotted names."""
    tensors: dict[str, StoredTensor] = {}
    classes: dict[str, str] = {}
    waiting: list[tuple[str, StandIn, int]] = [("", module, 0)]
    visits = 0
    while waiting:
        prefix, layer, depth = waiting.pop()
        classes[prefix.removesuffix(".")] = layer.name
        attributes = layer.attributes or {}
        parameters, buffers, children = (_dict(attributes.get(part)) for part in PARTS_OF_MODULES)
        for name, value in (*parameters.items(), *buffers.items()):
            if isinstance(value, StoredTensor):
                tensors[_checked(prefix + name)] = value
        visits += 1 + len(children)
        if visits > MOST_VISITS // 10 or depth > DEEPEST:
            raise CheckpointError(
                "The model in the checkpoint has more nested layers than any network. Save only model.state_dict()."
            )
        waiting.extend(
            (_checked(f"{prefix}{name}."), child, depth + 1)
            for name, child in reversed(children.items())
            if isinstance(child, StandIn)
        )
    return TensorMapping(path, tensors, classes)


def _dict(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _checked(name: str) -> str:
    if len(name) > LONGEST_NAME:
        raise CheckpointError(
            f"A tensor's name in the checkpoint has {len(name):,} characters, more than in any network. The file is damaged, "
            f"or is not a checkpoint of a network."
        )
    return name
