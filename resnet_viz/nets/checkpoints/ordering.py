"""A ResNet whose tensors have unknown names, found by their order and shapes.

Convolutions follow one another: a stem that reads the image, then blocks of two 3x3 or of 1x1, 3x3 and 1x1 convolutions, each
block with or without a 1x1 convolution from its input to its output. Only one way to read the shapes fits together.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, zip_longest

from resnet_viz.nets.checkpoints.squeezing import squeezes

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

    @property
    def depth(self) -> int:
        """How many modules all its convolutions stand in together."""
        first, *others = (layer.name for layer in self.convolutions)
        return min(_shared(first, other) for other in others)

    @property
    def modules(self) -> list[str]:
        """The modules that hold all its convolutions, the outermost first, each with a dot behind."""
        parts = self.convolutions[0].name.split(".")[: self.depth]
        return ["".join(f"{part}." for part in parts[:depth]) for depth in range(1, self.depth + 1)]


def names_by_order(shapes: Mapping[str, WeightShape]) -> dict[str, str] | None:
    """Map torchvision's names to those given, by order and shape; None if they do not belong to a ResNet.

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
    convolutions = _without_squeezes(convolutions[start:] + convolutions[:start], shapes)
    norms = _norms(names, shapes)
    for length in STEMS:
        stem = convolutions[:length]
        blocks = _blocks(convolutions[length:], stem[-1].outputs) if _is_stem(stem) else None
        if not blocks:
            continue
        after = _give_norms([(layer, layer.outputs) for layer in convolutions], norms, shapes)
        if after is not None and _stand_in_their_blocks(blocks, after):
            return _named(stem, blocks, shapes, after)
        # Each norm before its convolution, as in networks with pre-activation; their shortcuts and stems have none.
        inside = [(layer, layer.shape[1]) for block in blocks for layer in block.convolutions]
        before = _give_norms(inside, norms, shapes)
        if before is not None and _stand_in_their_blocks(blocks, before):
            return _named(stem, blocks, shapes, before | _last_norm(blocks, norms, before, shapes))
        if after is not None:
            return _named(stem, blocks, shapes, after)
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


def _without_squeezes(convolutions: Sequence[_Layer], shapes: Mapping[str, WeightShape]) -> list[_Layer]:
    """Leave out pairs of 1x1 convolutions that squeeze and excite: they have biases and a module of their own."""
    left: list[_Layer] = []
    skip = False
    for layer, following in zip_longest(convolutions, convolutions[1:]):
        if skip:
            skip = False
        elif following is not None and _is_squeeze(layer, following, convolutions, shapes):
            skip = True
        else:
            left.append(layer)
    return left


def _is_squeeze(first: _Layer, second: _Layer, convolutions: Sequence[_Layer], shapes: Mapping[str, WeightShape]) -> bool:
    biased = all(f"{layer.name}.bias" in shapes for layer in (first, second))
    if not biased or first.outputs >= second.outputs or not squeezes(first.shape, second.shape):
        return False
    module = ".".join(first.name.split(".")[: _shared(first.name, second.name)]) + "."
    return len(module) > 1 and sum(layer.name.startswith(module) for layer in convolutions) == 2


def _give_norms(
    wanted: Sequence[tuple[_Layer, int]], norms: Sequence[str], shapes: Mapping[str, WeightShape]
) -> dict[str, str] | None:
    """Give each convolution, by its name, the first norm with its number of channels that is nearest in the tree of names.

    Those that stand closest together are matched first. None where a convolution has no norm; norms that are left may belong to
    a head.
    """
    under: dict[tuple[str, ...], list[str]] = {}
    for norm in norms:
        parents = tuple(norm.split(".")[:-1])
        for depth in range(len(parents) + 1):
            under.setdefault(parents[:depth], []).append(norm)
    given: dict[str, str] = {}
    used: set[str] = set()
    for depth in range(max(map(len, under), default=0), -1, -1):
        for layer, channels in wanted:
            parents = tuple(layer.name.split(".")[:-1])
            if layer.name in given or len(parents) < depth:
                continue
            near = under[parents[:depth]] = [norm for norm in under.get(parents[:depth], []) if norm not in used]
            norm = next((norm for norm in near if shapes[f"{norm}.weight"] == (channels,)), "")
            if norm:
                given[layer.name] = norm
                used.add(norm)
    return given if len(given) == len(wanted) else None


def _stand_in_their_blocks(blocks: Sequence[_Block], norms: Mapping[str, str]) -> bool:
    """Whether the norms of each block's convolutions stand in the same module as all of them."""
    return all(_shared(layer.name, norms[layer.name]) >= block.depth for block in blocks for layer in block.convolutions)


def _last_norm(
    blocks: Sequence[_Block], norms: Sequence[str], given: Mapping[str, str], shapes: Mapping[str, WeightShape]
) -> dict[str, str]:
    """Return the norm behind the last block of a network with pre-activation, under the empty name; none where it has none."""
    channels = blocks[-1].convolutions[-1].outputs
    left = [norm for norm in norms if norm not in given.values() and shapes[f"{norm}.weight"] == (channels,)]
    return {"": left[-1]} if left else {}


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
    """Read the layers after the stem as blocks of one kind; None if they do not form any."""
    for read in (_bottleneck, _basic):
        found: list[_Block] = []
        index, inputs = 0, channels
        while index < len(layers) and (block := read(layers[index : index + 5], inputs)) is not None:
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
        fits = only.kernel == 1 and only.reads(channels) and only.outputs == last
        if fits and _stands_beside(only, convolutions, layers[count + 1 : count + 2]):
            return _Block(convolutions, only, count + 1)
    return None


def _stands_beside(only: _Layer, convolutions: Sequence[_Layer], following: Sequence[_Layer]) -> bool:
    """Whether it is the block's own: a convolution of the next block may have the same shape, in another module."""
    first, last = convolutions[0].name, convolutions[-1].name
    own = _shared(only.name, first)
    # The branch may have a module of its own, in which the shortcut does not stand.
    return own >= _shared(first, last) or (own > 0 and all(own > _shared(only.name, layer.name) for layer in following))


def _follow(convolutions: Sequence[_Layer], channels: int) -> bool:
    """Whether each reads what the one before it returns; the middle one of a bottleneck may do so in groups."""
    inputs = channels
    for index, layer in enumerate(convolutions):
        grouped = len(convolutions) == 3 and index == 1 and inputs % layer.shape[1] == 0
        if not layer.reads(inputs) and not grouped:
            return False
        inputs = layer.outputs
    return True


def _named(
    stem: Sequence[_Layer], blocks: Sequence[_Block], shapes: Mapping[str, WeightShape], norms: Mapping[str, str]
) -> dict[str, str]:
    """Name everything; `norms` are by their convolutions' names, the one behind the last block under the empty name."""
    owners: dict[str, str] = {}
    for index, layer in enumerate(stem):
        last = index == len(stem) - 1
        owners["conv1" if len(stem) == 1 else f"conv1.{3 * index}"] = layer.name
        owners["bn1" if last else f"conv1.{3 * index + 1}"] = norms.get(layer.name, "")
    if "" in norms:
        owners["bn1"] = norms[""]
    counts = Counter(module for block in blocks for module in block.modules)
    modules: dict[str, str] = {}
    stage, number, channels = 0, 0, 0
    for block in blocks:
        outputs = block.convolutions[-1].outputs
        stage, number = (stage, number + 1) if outputs == channels else (stage + 1, 0)
        channels = outputs
        place = f"layer{stage}.{number}"
        # The outermost module that holds no other block: whatever else is in it belongs to this one.
        modules |= {module: place for module in block.modules if counts[module] == 1}
        for index, layer in enumerate(block.convolutions, 1):
            owners |= {f"{place}.conv{index}": layer.name, f"{place}.bn{index}": norms[layer.name]}
        if block.shortcut is not None:
            owners |= {
                f"{place}.downsample.0": block.shortcut.name,
                f"{place}.downsample.1": norms.get(block.shortcut.name, ""),
            }
    official = {given: name for name, given in owners.items() if given}
    found: dict[str, str] = {}
    for name in shapes:
        owner, _, part = name.rpartition(".")
        if part != COUNTER:
            found[f"{official[owner]}.{part}" if owner in official else _kept(name, owners, modules)] = name
    return found


def _kept(name: str, owners: Mapping[str, str], modules: Mapping[str, str]) -> str:
    """Name a tensor without a place: in its block as it is called there, else as it is, unless that is the name of a place."""
    parts = name.split(".")
    for depth in range(len(parts) - 1, 0, -1):
        module = "".join(f"{part}." for part in parts[:depth])
        if module in modules:
            return f"{modules[module]}.beside.{name.removeprefix(module)}"
    return f"surplus.{name}" if name.rpartition(".")[0] in owners else name
