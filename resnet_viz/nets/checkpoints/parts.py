"""The parts of a checkpoint that may be a network: a mapping of tensors, or the tensors under one prefix of its names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from resnet_viz.nets.checkpoints.contents import TensorMapping, joined
from resnet_viz.nets.checkpoints.errors import CheckpointError, shape_text, shown
from resnet_viz.nets.checkpoints.prefixes import network_prefixes, split
from resnet_viz.nets.checkpoints.reading import CheckpointFile
from resnet_viz.nets.checkpoints.tensors import StoredTensor

# A network has more tensors than an optimizer keeps for one of its parameters.
FEWEST_TENSORS = 10
MOST_PARTS = 8
# ResNet-1202 with projections everywhere has 10,808 with its counters.
MOST_TENSORS = 12_000
READABLE = ("float16", "bfloat16", "float32", "float64")
# The names with which torch.nn.utils.prune replaces a pruned tensor.
ORIGINAL, MASK = "_orig", "_mask"
AVERAGED = re.compile(r"(?:^|[._])(?:ema|swa|avg|averaged?|shadow)(?:$|[._])", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class NamedTensor:
    """A tensor and its name in the file; `mask` is the mask to multiply it by, if it was pruned."""

    name: str
    stored: StoredTensor
    mask: StoredTensor | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.stored.shape

    @property
    def is_whole(self) -> bool:
        """Whether it holds whole numbers or flags."""
        return self.stored.type.name.startswith(("int", "uint", "bool"))

    @property
    def size(self) -> int:
        """Bytes that are read for it."""
        return self.stored.size + (self.mask.size if self.mask else 0)

    def check(self) -> None:
        """Raise CheckpointError if its values cannot be numbers of a network; nothing is read yet."""
        masks = (self.mask,) if self.mask else ()
        problem = next((stored.problem for stored in (self.stored, *masks) if stored.problem), "")
        if problem:
            raise CheckpointError(f"The tensor {shown(self.name)} cannot be used: {problem}.")
        if 0 in self.shape:
            raise CheckpointError(
                f"The tensor {shown(self.name)} is empty (its shape is {shape_text(self.shape)}). Save the network again."
            )
        if self.mask is not None and self.mask.shape != self.shape:
            raise CheckpointError(f"The tensor {shown(self.name)} was pruned, but its mask has another shape. Save it again.")
        if self.stored.type.name not in READABLE:
            raise CheckpointError(
                f"The tensor {shown(self.name)} holds {self.stored.type.name} numbers. Save the network as float32 or "
                f"float16 (model.float())."
            )

    def values(self) -> Tensor:
        """Return float32 numbers of its shape; CheckpointError for values that no trained network has."""
        self.check()
        values = self.stored.values().float()
        if self.mask is not None:
            values = values * self.mask.values().float()
        if not torch.isfinite(values).all():
            raise CheckpointError(
                f"The tensor {shown(self.name)} contains NaN or infinity, so every output would be NaN; the training has "
                f"probably diverged. Use an earlier checkpoint."
            )
        if self.name.endswith("running_var") and values.numel() and values.min() < 0:
            raise CheckpointError(
                f"The tensor {shown(self.name)} contains a negative variance, so the checkpoint is "
                f"damaged. Copy or save it again."
            )
        return values


@dataclass(frozen=True, eq=False)
class CheckpointPart:
    """Tensors of a file that may be a network: `inside` by their names without the prefix, `outside` the other ones.

    `label` is the name by which the part is chosen: the keys that lead to the mapping, and the prefix.
    """

    label: str
    inside: Mapping[str, NamedTensor]
    outside: Mapping[str, NamedTensor]

    @property
    def averaged(self) -> bool:
        """Whether its name says that it is a moving average of another part."""
        return AVERAGED.search(self.label) is not None


def parts_of(file: CheckpointFile) -> list[CheckpointPart]:
    """Return the parts with most tensors, the largest first; among equal ones, those that are no average come first."""
    mappings = [mapping for mapping in file.mappings if len(mapping.tensors) >= FEWEST_TENSORS] or list(file.mappings)
    mappings.sort(key=lambda mapping: -len(mapping.tensors))
    _check_count(len(mappings[0].tensors), 4 * MOST_TENSORS)
    sizes = accumulate(len(mapping.tensors) for mapping in mappings)
    near = [mapping for mapping, size in zip(mappings[:MOST_PARTS], sizes, strict=False) if size <= 4 * MOST_TENSORS]
    parts = [part for mapping in near for part in _parts(mapping)]
    parts.sort(key=lambda part: (-len(part.inside), part.averaged))
    _check_count(len(parts[0].inside), MOST_TENSORS)
    sizes = accumulate(len(part.inside) + len(part.outside) for part in parts[:MOST_PARTS])
    return [part for part, size in zip(parts, sizes, strict=False) if part is parts[0] or size <= MOST_TENSORS]


def _check_count(tensors: int, most: int) -> None:
    """Refuse a mapping that cannot be a network before its names are processed one by one."""
    if tensors > most:
        raise CheckpointError(
            f"The checkpoint has {tensors:,} tensors in one place, more than any supported network. Save only the network."
        )


def _parts(mapping: TensorMapping) -> list[CheckpointPart]:
    named = _unpruned(mapping.tensors)
    prefixes = network_prefixes(named)
    found = []
    for prefix in prefixes:
        inside, outside = split(named, prefix, prefixes)
        label = mapping.path if len(prefixes) == 1 else joined(mapping.path, prefix.removesuffix("."))
        stripped = {name.removeprefix(prefix): named[name] for name in inside}
        found.append(CheckpointPart(label, stripped, {name: named[name] for name in outside}))
    return found


def _unpruned(tensors: Mapping[str, StoredTensor]) -> dict[str, NamedTensor]:
    """Combine each pruned tensor and its mask under the name that it had before."""
    found: dict[str, NamedTensor] = {}
    for name, tensor in tensors.items():
        base = name.removesuffix(ORIGINAL)
        if name != base and base + MASK in tensors:
            found[base] = NamedTensor(base, tensor, tensors[base + MASK])
        elif not (name.endswith(MASK) and name.removesuffix(MASK) + ORIGINAL in tensors):
            found[name] = NamedTensor(name, tensor)
    return found
