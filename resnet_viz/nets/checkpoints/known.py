"""Checkpoints whose tensors have the names and shapes of a residual network of torchvision or timm that is no ResNet.

For RegNet, ConvNeXt, EfficientNet and the like, the library's own module computes the forward pass, and its residual blocks are
found in its graph.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from resnet_viz.nets.checkpoints.errors import FROM_CODE, CheckpointError, shape_text, shown
from resnet_viz.nets.checkpoints.prefixes import common_prefix
from resnet_viz.nets.families import timm, torchvision
from resnet_viz.nets.families.seeded import build_seeded
from resnet_viz.nets.families.signatures import Signed, find_signed, prepare_index
from resnet_viz.nets.net import WeightsError
from resnet_viz.nets.official import best_weights
from resnet_viz.nets.own_modules import USUAL
from resnet_viz.nets.preprocessing import Preprocessing
from resnet_viz.nets.residual_graph import ResidualNetwork, find_blocks

# The index is read at the start: while a checkpoint is read, nothing else is opened.
prepare_index()

KnownShapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class KnownLayout:
    """The networks that fit, by their names in `rv.load`, with the classes of the file; they differ in their forward pass."""

    signed: Signed
    shapes: KnownShapes

    @property
    def title(self) -> str:
        """The first network's name as its library or paper writes it."""
        return self.name(self.usual)

    @property
    def depth(self) -> int:
        """How many layers with weights the network has."""
        return sum(len(shape) > 1 and name.endswith("weight") for name, shape in self.shapes.items())

    @property
    def classes(self) -> int:
        """How many logits the network has."""
        return self.shapes[f"{self.signed.head}.weight"][0]

    @property
    def headless(self) -> bool:
        """Whether there is no classification layer: such files are refused."""
        return False

    @property
    def usual(self) -> tuple[int, ...]:
        """The first network."""
        return (0,)

    @property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing that the library states for its own weights."""
        name = self.signed.names[0]
        if not timm.is_name(name):
            return Preprocessing.of(best_weights(name).transforms())
        try:
            return timm.configuration(name).preprocessing
        except (ValueError, WeightsError):
            return USUAL

    def neighbours(self) -> list[tuple[int, ...]]:
        """Return all networks that fit."""
        return [(index,) for index in range(len(self.signed.names))]

    def name(self, chosen: Sequence[int]) -> str:
        """Return the name of one of the networks."""
        name = self.signed.names[chosen[0]]
        return name if timm.is_name(name) else torchvision.title_of(name)

    def answers(self, architecture: str) -> tuple[int, ...]:
        """Return which network a name means; CheckpointError with all names as candidates where it is none of them."""
        candidates = [self.name(chosen) for chosen in self.neighbours()]
        for index, name in enumerate(self.signed.names):
            if architecture.strip() in (name, name.removeprefix(timm.PREFIX), candidates[index]):
                return (index,)
        raise CheckpointError(
            f"architecture={shown(architecture)!r} does not fit these tensors: take {candidates[0]!r}, or another of the"
            " error's candidates.",
            candidates,
        )

    def filled(self, chosen: Sequence[int], tensors: Mapping[str, Tensor]) -> nn.Module:
        """Return one of the networks as its library has it, sharing the tensors; CheckpointError where it cannot be built."""
        name = self.signed.names[chosen[0]]
        try:
            module = build_seeded(lambda: self._module(name), 0)
            # Tables of positions and counters of batches are whole numbers, and the same in every copy of the network.
            fixed = {key: value for key, value in module.state_dict().items() if not value.is_floating_point()}
            module.load_state_dict(fixed | dict(tensors), assign=True)
        except (RuntimeError, ValueError, WeightsError) as error:
            raise self._refusal(chosen, error) from error
        return module.eval().requires_grad_(requires_grad=False)

    def traced(self, chosen: Sequence[int], tensors: Mapping[str, Tensor]) -> ResidualNetwork:
        """Return such a network with its residual blocks; CheckpointError where none are found."""
        crop = self.preprocessing.crop
        try:
            return find_blocks(self.filled(chosen, tensors), (3, crop, crop))
        except ValueError as error:
            raise self._refusal(chosen, error) from error

    def _refusal(self, chosen: Sequence[int], error: Exception) -> CheckpointError:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return CheckpointError(
            f"The tensors are those of {self.name(chosen)}, which cannot be opened here: {reason.rstrip('.')}. {FROM_CODE}"
        )

    def _module(self, name: str) -> nn.Module:
        if timm.is_name(name):
            return timm.without_weights(name, self.classes)
        return torchvision.module(name, self.classes)


def find_known(shapes: KnownShapes) -> tuple[KnownLayout, str] | None:
    """Return what is known of some tensors, and the prefix of their names; None where no network has these names and shapes.

    CheckpointError for a network that is known and lacks its classification layer.
    """
    prefix = ""
    for _ in range(4):
        inside = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
        signed = find_signed(inside)
        if signed is not None:
            return _with_head(signed, inside), prefix
        longer = common_prefix(inside)
        if not longer:
            return None
        prefix += longer
    return None


def _with_head(signed: Signed, shapes: KnownShapes) -> KnownLayout:
    layout = KnownLayout(signed, shapes)
    shape = shapes.get(f"{signed.head}.weight")
    if shape is None:
        raise CheckpointError(
            f"The tensors are those of {layout.title} without its classification layer ({signed.head}), so that there is no"
            " class to explain: save the whole network, or open it from Python with rv.from_module(model)."
        )
    if len(shape) < 2 or not shape[0]:
        raise CheckpointError(
            f"The tensor {signed.head}.weight has the shape {shape_text(shape)}, where the classification layer of"
            f" {layout.title} has a row for each class."
        )
    return layout
