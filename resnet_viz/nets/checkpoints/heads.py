"""The classification layer of a checkpoint: a linear layer of any name, a head of several layers, or none."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from resnet_viz.nets.checkpoints.assembly import TensorShape
from resnet_viz.nets.checkpoints.errors import CheckpointError, listed
from resnet_viz.nets.checkpoints.parts import NamedTensor

LAST_CONVOLUTION = re.compile(r"^layer(\d+)\.(\d+)\.conv(\d+)\.weight$")
NUMBERED = re.compile(r"^(.*?)(\d+)\.(weight|bias|running_mean|running_var)$")
MOST_NUMBERED = 64


@dataclass(frozen=True)
class _HeadTensor:
    """Where a tensor is kept: in the network's names or beside them."""

    group: dict[str, NamedTensor]
    name: str

    @property
    def shape(self) -> TensorShape:
        return self.group[self.name].shape


def find_head(
    tensors: dict[str, NamedTensor], outside: dict[str, NamedTensor], ignored: Callable[[str, NamedTensor], bool]
) -> None:
    """Call the head's layers fc, or fc.0, fc.3 and so on where it has several; leave a network without one as it is.

    `outside` are tensors beside the network's prefix, `ignored` says which belong to no network. CheckpointError if several
    layers read the last stage.
    """
    places = {(int(m[1]), int(m[2]), int(m[3])): m[0] for m in map(LAST_CONVOLUTION.match, tensors) if m}
    if not places:
        return
    channels = tensors[places[max(places)]].shape[0]
    found = [
        _HeadTensor(group, name)
        for group in (tensors, outside)
        for name, tensor in group.items()
        if not name.startswith(("layer", "conv1", "bn1")) and not ignored(name, tensor)
    ]
    if (head := _sequence(found, channels)) is not None:
        moved = {f"fc.{number}.{part}": place.group.pop(place.name) for (number, part), place in head.items()}
        tensors |= moved
        return
    heads = [place for place in found if place.shape[1:] == (channels,) and place.name.endswith("weight")]
    if len(heads) > 1:
        names = [place.group[place.name].name for place in heads]
        raise CheckpointError(
            f"The checkpoint has several layers that read its last stage ({listed(names)}): save the network with a single"
            " classification layer."
        )
    for place in heads:
        tensors["fc.weight"] = place.group.pop(place.name)
        bias = place.name.removesuffix("weight") + "bias"
        if bias in place.group:
            tensors["fc.bias"] = place.group.pop(bias)


def _sequence(places: list[_HeadTensor], channels: int) -> dict[tuple[int, str], _HeadTensor] | None:
    """Return the tensors of several numbered layers that lead from the last stage to the logits, by number and part."""
    groups: dict[str, dict[tuple[int, str], _HeadTensor]] = {}
    for place in places:
        match = NUMBERED.match(place.name)
        if match and int(match[2]) < MOST_NUMBERED:
            groups.setdefault(match[1], {})[int(match[2]), match[3]] = place
    for group in groups.values():
        weights = {number: place.shape for (number, part), place in sorted(group.items()) if part == "weight"}
        if len(weights) > 1 and (_leads(weights, channels) or _leads(weights, 2 * channels)):
            return group
    return None


def _leads(weights: Mapping[int, TensorShape], channels: int) -> bool:
    """Whether linear layers and norms follow one another, the first of them reading the given number of channels."""
    for shape in weights.values():
        if len(shape) == 2 and shape[1] == channels:
            channels = shape[0]
        elif shape != (channels,):
            return False
    return len([*weights.values()][-1]) == 2
