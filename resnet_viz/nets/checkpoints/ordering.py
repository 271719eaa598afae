"""A ResNet whose tensors have names that nobody knows, found by their order and shapes.

Convolutions follow one another: a stem that reads the image, then blocks of two 3x3 or of 1x1, 3x3 and 1x1 convolutions, each
block with or without a 1x1 convolution from its input to its output. Only one way to read the shapes fits together.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

WeightShape = tuple[int, ...]
NUMBER = re.compile(r"(\d+)")
COUNTER = "num_batches_tracked"
# A stem has one to three convolutions.
STEMS = (1, 3, 2)
MOST_LAYERS = 2000


@dataclass(eq=False)
class _Layer:
    """A layer by its name, and the shape of its weight."""

    name: str
    shape: WeightShape
    norm: str = ""

    @property
    def kernel(self) -> int:
        return self.shape[2]

    @property
    def outputs(self) -> int:
        return self.shape[0]

    def reads(self, channels: int) -> bool:
        return self.shape[1] == channels


@dataclass(eq=False)
class _Block:
    convolutions: Sequence[_Layer]
    shortcut: _Layer | None
    places: int = field(default=0)


def names_by_order(shapes: Mapping[str, WeightShape]) -> dict[str, str] | None:
    """Map torchvision's names to those given, by order and shape; None where they are no ResNet's.

    Names that have no place in it are kept as they are. Files of safetensors hold their tensors in the order of the alphabet:
    numbers in names then count as numbers.
    """
    names = list(shapes)
    if names == sorted(names):
        names.sort(key=_natural)
    convolutions = [_Layer(name.removesuffix(".weight"), shapes[name]) for name in names if _is_convolution(name, shapes[name])]
    start = next((index for index, layer in enumerate(convolutions) if layer.shape[1] <= 3), None)
    if start is None or len(convolutions) > MOST_LAYERS:
        return None
    # In the order of the alphabet a stem may stand last.
    convolutions = convolutions[start:] + convolutions[:start]
    if not _give_norms(convolutions, _norms(names, shapes), shapes):
        return None
    for length in STEMS:
        stem = convolutions[:length]
        blocks = _blocks(convolutions[length:], stem[-1].outputs) if _is_stem(stem) else None
        if blocks:
            return _named(stem, blocks, shapes)
    return None


def _natural(name: str) -> list[tuple[int, int | str]]:
    return [(0, int(part)) if part.isdigit() else (1, part) for part in NUMBER.split(name) if part]


def _is_convolution(name: str, shape: WeightShape) -> bool:
    return name.endswith(".weight") and len(shape) == 4 and shape[2] == shape[3]


def _norms(names: Sequence[str], shapes: Mapping[str, WeightShape]) -> list[str]:
    """Return the norms in order: what keeps statistics, or, where nothing does, what has a flat weight and a bias."""
    kept = [name.removesuffix(".running_mean") for name in names if name.endswith(".running_mean")]
    if not kept:
        kept = [name.removesuffix(".weight") for name in names if name.endswith(".weight") and len(shapes[name]) == 1]
        kept = [name for name in kept if f"{name}.bias" in shapes]
    return [name for name in kept if f"{name}.weight" in shapes and len(shapes[f"{name}.weight"]) == 1]


def _give_norms(convolutions: Sequence[_Layer], norms: Sequence[str], shapes: Mapping[str, WeightShape]) -> bool:
    """Give each convolution the first norm of its channels that is nearest in the tree of names; False where one has none.

    Those that stand closest together are matched first. Norms that are left may belong to a head.
    """
    under: dict[tuple[str, ...], list[str]] = {}
    for norm in norms:
        parents = tuple(norm.split(".")[:-1])
        for depth in range(len(parents) + 1):
            under.setdefault(parents[:depth], []).append(norm)
    used: set[str] = set()
    for depth in range(max(map(len, under), default=0), -1, -1):
        for layer in convolutions:
            parents = tuple(layer.name.split(".")[:-1])
            if layer.norm or len(parents) < depth:
                continue
            near = under[parents[:depth]] = [norm for norm in under.get(parents[:depth], []) if norm not in used]
            layer.norm = next((norm for norm in near if shapes[f"{norm}.weight"] == (layer.outputs,)), "")
            used.add(layer.norm)
    return all(layer.norm for layer in convolutions)


def _shared(first: str, second: str) -> int:
    """How many modules two names stand in together."""
    shared = 0
    for mine, other in zip(first.split(".")[:-1], second.split(".")[:-1], strict=False):
        if mine != other:
            break
        shared += 1
    return shared


def _is_stem(stem: Sequence[_Layer]) -> bool:
    following = all(layer.reads(before.outputs) for before, layer in pairwise(stem))
    return stem[0].kernel > 1 and following and all(layer.kernel == 3 for layer in stem[1:])


def _blocks(layers: Sequence[_Layer], channels: int) -> list[_Block] | None:
    """Read the layers after the stem as blocks of one kind; None where they are none."""
    for read in (_bottleneck, _basic):
        found: list[_Block] = []
        index, inputs = 0, channels
        while index < len(layers) and (block := read(layers[index : index + 4], inputs)) is not None:
            found.append(block)
            index += block.places
            inputs = block.convolutions[-1].outputs
        if found and index == len(layers):
            return found
    return None


def _basic(layers: Sequence[_Layer], channels: int) -> _Block | None:
    return _block(layers, channels, (3, 3))


def _bottleneck(layers: Sequence[_Layer], channels: int) -> _Block | None:
    return _block(layers, channels, (1, 3, 1))


def _block(layers: Sequence[_Layer], channels: int, kernels: tuple[int, ...]) -> _Block | None:
    """Read a block at the beginning of the layers, its shortcut's convolution behind the others, before them, or missing."""
    count = len(kernels)
    for convolutions, shortcut in (
        (layers[:count], layers[count : count + 1]),
        (layers[1 : count + 1], layers[:1]),
        (layers[:count], ()),
    ):
        if tuple(layer.kernel for layer in convolutions) != kernels:
            continue
        if not _follow(convolutions, channels):
            continue
        last = convolutions[-1].outputs
        if not shortcut:
            return _Block(convolutions, None, count)
        only = shortcut[0]
        beside = _shared(only.name, convolutions[0].name) >= _shared(convolutions[0].name, convolutions[-1].name)
        # A convolution of the next block may have the same shape: it stands in another module.
        if only.kernel == 1 and only.reads(channels) and only.outputs == last and beside:
            return _Block(convolutions, only, count + 1)
    return None


def _follow(convolutions: Sequence[_Layer], channels: int) -> bool:
    """Whether each reads what the one before it returns; the middle one of a bottleneck may do so in groups."""
    inputs = channels
    for index, layer in enumerate(convolutions):
        grouped = len(convolutions) == 3 and index == 1 and inputs % layer.shape[1] == 0
        if not layer.reads(inputs) and not grouped:
            return False
        inputs = layer.outputs
    return True


def _named(stem: Sequence[_Layer], blocks: Sequence[_Block], shapes: Mapping[str, WeightShape]) -> dict[str, str]:
    owners: dict[str, str] = {}
    for index, layer in enumerate(stem):
        last = index == len(stem) - 1
        owners["conv1" if len(stem) == 1 else f"conv1.{3 * index}"] = layer.name
        owners["bn1" if last else f"conv1.{3 * index + 1}"] = layer.norm
    stage, number, channels = 0, 0, 0
    for block in blocks:
        outputs = block.convolutions[-1].outputs
        stage, number = (stage, number + 1) if outputs == channels else (stage + 1, 0)
        channels = outputs
        place = f"layer{stage}.{number}"
        for index, layer in enumerate(block.convolutions, 1):
            owners |= {f"{place}.conv{index}": layer.name, f"{place}.bn{index}": layer.norm}
        if block.shortcut is not None:
            owners |= {f"{place}.downsample.0": block.shortcut.name, f"{place}.downsample.1": block.shortcut.norm}
    official = {given: name for name, given in owners.items()}
    found: dict[str, str] = {}
    for name in shapes:
        owner, _, part = name.rpartition(".")
        if part != COUNTER:
            # A tensor without a place keeps its name, unless that is the name of a place.
            kept = f"surplus.{name}" if owner in owners else name
            found[f"{official[owner]}.{part}" if owner in official else kept] = name
    return found
