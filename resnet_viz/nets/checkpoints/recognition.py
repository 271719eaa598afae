"""Which supported network a part of a checkpoint is, decided on names and shapes before any number is read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from resnet_viz.nets.checkpoints.assembly import Plan
from resnet_viz.nets.checkpoints.errors import FROM_CODE, CheckpointError, shape_text, shown
from resnet_viz.nets.checkpoints.fitting import expected_shapes, norm_parts
from resnet_viz.nets.checkpoints.heads import find_head
from resnet_viz.nets.checkpoints.known import KnownLayout, find_known
from resnet_viz.nets.checkpoints.layouts import Layout, find_layout
from resnet_viz.nets.checkpoints.naming import torchvision_names
from resnet_viz.nets.checkpoints.ordering import names_by_order
from resnet_viz.nets.checkpoints.parts import CheckpointPart, NamedTensor
from resnet_viz.nets.checkpoints.squeezing import find_squeezes

COUNTER = ".num_batches_tracked"

# Losses and metrics that training code keeps beside the network, and so in its state dict.
BESIDE = re.compile(
    r"(?:^|\.)(?:criterion\w*|criteria|\w*loss\w*|\w*metrics?\w*|class_weights?|\w*(?:accuracy|acc|auroc|auc|f1|confmat)\d*"
    r"|(?:train|val|valid|validation|test)_\w+)(?:\.|$)",
    re.IGNORECASE,
)
CONVOLUTION_BIAS = re.compile(r"^(conv1|conv1\.[036]|layer\d+\.\d+\.(?:conv\d|downsample\.0))\.bias$")
# The tensors whose shapes tell the architecture: what they claim is checked against the file first.
DEFINING = ("conv1.weight", "fc.weight", "layer1.0.conv1.weight", "layer1.0.conv2.weight")
PARAMETERS = ("weight", "bias")
BLOCK = re.compile(r"^layer\d+\.\d+")


@dataclass(frozen=True, eq=False)
class Recognised:
    """A part that fits a supported network: tensors by torchvision's names, and what was left out or is to be folded.

    The tensors of a network that is no ResNet have the names of its own library.

    `biases` are those of convolutions, by the convolution's name. `ignored` names tensors that are not part of the network.
    `by_order` says that the names were unknown, so that order and shapes decided.
    """

    part: CheckpointPart
    layout: Layout | KnownLayout
    tensors: Mapping[str, NamedTensor]
    biases: Mapping[str, NamedTensor]
    ignored: tuple[str, ...]
    by_order: bool = False


def recognise(part: CheckpointPart) -> Recognised:
    """Return the network that a part's tensors belong to: a ResNet by their names, another known network, or a ResNet by order.

    CheckpointError names the first tensor that does not fit.
    """
    try:
        return _recognised(part, torchvision_names(list(part.inside)))
    except ValueError as error:
        by_name = CheckpointError(f"The checkpoint has several layers where a supported network has one: {error}. {FROM_CODE}")
        by_name.__cause__ = error
    except CheckpointError as error:
        by_name = error
    shapes = {name: tensor.shape for name, tensor in part.inside.items()}
    # A tensor that cannot be read has no shape to go by, and its own sentence.
    readable = not any(tensor.stored.problem for tensor in part.inside.values())
    known = find_known(shapes) if readable else None
    if known is not None:
        return _recognised_as_known(part, *known)
    names = names_by_order(shapes)
    if names is None:
        raise by_name
    try:
        return replace(_recognised(part, names), by_order=True)
    except CheckpointError:
        # What does not fit by the names that people know says more.
        raise by_name from None


def _recognised(part: CheckpointPart, names: Mapping[str, str]) -> Recognised:
    tensors = {official: part.inside[name] for official, name in names.items()}
    outside = dict(part.outside)
    if "fc.weight" not in tensors:
        find_head(tensors, outside, _is_beside)
    find_squeezes(tensors)
    biases = {match[1]: tensors.pop(match[0]) for name in list(tensors) if (match := CONVOLUTION_BIAS.match(name))}
    for name in DEFINING:
        if name in tensors:
            tensors[name].check()
    layout = find_layout({name: tensor.shape for name, tensor in tensors.items()})
    _check_blocks(tensors, layout.plan)
    try:
        expected = expected_shapes(layout.plan)
    except KeyError as error:
        raise CheckpointError(_missing(str(error.args[0]))) from error
    used = {*expected, *(name for name in tensors if name.endswith(COUNTER))}
    surplus = {name: tensors.pop(name) for name in list(tensors) if name not in used} | outside
    ignored = [tensor.name for name, tensor in surplus.items() if _is_beside(name, tensor)]
    _check(tensors, biases, expected, layout)
    unexpected = next((tensor for name, tensor in surplus.items() if not _is_beside(name, tensor)), None)
    if unexpected is not None:
        raise CheckpointError(
            f"The checkpoint has a layer that no supported architecture has ({shown(unexpected.name)}). The nearest is"
            f" {layout.title}. {FROM_CODE}"
        )
    return Recognised(part, layout, tensors, biases, tuple(ignored))


def _recognised_as_known(part: CheckpointPart, layout: KnownLayout, prefix: str) -> Recognised:
    inside = {name: part.inside[prefix + name] for name in layout.shapes}
    # Tables of positions and counters are whole numbers, which the library's own module has.
    tensors = {name: tensor for name, tensor in inside.items() if name.endswith(PARAMETERS) or not tensor.is_whole}
    beside = {name: tensor for name, tensor in part.inside.items() if not name.startswith(prefix)} | dict(part.outside)
    unexpected = next((tensor for name, tensor in beside.items() if not _is_beside(name, tensor)), None)
    if unexpected is not None:
        raise CheckpointError(
            f"The checkpoint holds a {layout.title} and beside it a tensor that does not belong to it"
            f" ({shown(unexpected.name)}). {FROM_CODE}"
        )
    for tensor in tensors.values():
        tensor.check()
    return Recognised(part, layout, tensors, {}, tuple(tensor.name for tensor in beside.values()))


def _is_beside(name: str, tensor: NamedTensor) -> bool:
    """Whether a tensor belongs to a loss, a metric or a counter and not to the network's computation."""
    return (not tensor.shape and tensor.is_whole) or BESIDE.search(name) is not None


def _check_blocks(tensors: Mapping[str, NamedTensor], plan: Plan) -> None:
    """Refuse blocks that are only named: building a network of many blocks takes time, and each needs its layers anyway."""
    depth = 3 if "layer1.0.conv3.weight" in tensors else 2
    places = dict.fromkeys(match[0] for match in map(BLOCK.match, tensors) if match)
    for place in places:
        for number in range(1, depth + 1):
            for layer in (f"conv{number}.weight", *(f"bn{number}.{part}" for part in norm_parts(plan))):
                if f"{place}.{layer}" not in tensors:
                    raise CheckpointError(_missing(f"{place}.{layer}"))


def _check(
    tensors: Mapping[str, NamedTensor],
    biases: Mapping[str, NamedTensor],
    expected: Mapping[str, tuple[int, ...]],
    layout: Layout,
) -> None:
    """Refuse, by its name in the file, the first tensor that does not fit."""
    for key, wanted in expected.items():
        if key == "fc.bias" and key not in tensors:
            continue
        if key not in tensors:
            raise CheckpointError(_missing(key))
        _check_shape(tensors[key], wanted, layout)
    for layer, bias in biases.items():
        _check_shape(bias, expected.get(f"{layer}.weight", ())[:1], layout)


def _check_shape(tensor: NamedTensor, wanted: tuple[int, ...], layout: Layout) -> None:
    if tensor.shape != wanted:
        raise CheckpointError(
            f"The tensor {shown(tensor.name)} has the shape {shape_text(tensor.shape)} where {layout.title}, the nearest"
            f" supported network, has {shape_text(wanted)}. {FROM_CODE}"
        )
    tensor.check()


def _missing(key: str) -> str:
    if "running_" in key:
        return (
            f"The checkpoint lacks the running statistics of a batch norm ({key} in torchvision's naming), which others have."
            f" {FROM_CODE}"
        )
    return (
        f"The checkpoint lacks the tensor {key} (in torchvision's naming), which a network of these stages and blocks has."
        f" {FROM_CODE}"
    )
