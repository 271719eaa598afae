"""Which network a checkpoint's tensors belong to: family, depth, classes, and what its shapes leave open."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

from torchvision.models.resnet import BasicBlock, Bottleneck

from resnet_viz.nets.checkpoints.assembly import CheckpointResNet, Plan
from resnet_viz.nets.checkpoints.errors import FROM_CODE, CheckpointError, listed, shape_text, shown
from resnet_viz.nets.checkpoints.options import Axis, built, name_of, open_questions
from resnet_viz.nets.cifar import STAGE_CHANNELS
from resnet_viz.nets.families.signatures import Shapes
from resnet_viz.nets.imagenet import ARCHITECTURES, Architecture
from resnet_viz.nets.preprocessing import Preprocessing
from resnet_viz.nets.zoo import CIFAR_PREPROCESSING

MOST_CLASSES = 100_000
# By the number of stages: ResNet-1202 of He et al. 2015 has 600 blocks, ResNet-152 has 50 and timm's largest 90.
MOST_BLOCKS = {3: 600, 4: 150}
IMAGENET_PREPROCESSING = Preprocessing(256, 224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# ImageNet's mean and deviation of grey images.
GREY_MEAN, GREY_STD = (0.449,) * 3, (0.226,) * 3


@dataclass(frozen=True, eq=False)
class Layout:
    """A network by its title, and the questions that its tensors leave open.

    `depth` counts layers with weights; `preprocessing` is the usual one of its family.
    """

    title: str
    plan: Plan
    preprocessing: Preprocessing

    @property
    def depth(self) -> int:
        """How many layers with weights the network has."""
        return self.plan.depth

    @property
    def classes(self) -> int:
        """How many logits the network has."""
        return self.plan.classes

    @property
    def headless(self) -> bool:
        """Whether there is no classification layer."""
        return self.plan.headless

    @cached_property
    def questions(self) -> tuple[Axis, ...]:
        """What the tensors leave open."""
        return open_questions(self.plan)

    @property
    def usual(self) -> tuple[int, ...]:
        """The usual answers."""
        return (0,) * len(self.questions)

    def name(self, chosen: Sequence[int]) -> str:
        """Name the network with these answers."""
        return name_of(self.title, self.questions, chosen)

    def module(self, chosen: Sequence[int] | None = None) -> CheckpointResNet:
        """Return the network with these answers, by default the usual ones, on the meta device."""
        return built(self.plan, self.questions, self.usual if chosen is None else chosen)

    def neighbours(self) -> list[tuple[int, ...]]:
        """Return the usual network first, then all that differ from it in one answer."""
        found = [self.usual]
        for question, axis in enumerate(self.questions):
            found += [(*self.usual[:question], answer, *self.usual[question + 1 :]) for answer in range(1, len(axis.options))]
        return found

    def answers(self, architecture: str) -> tuple[int, ...]:
        """Return the answers that a candidate's name gives, with or without the title, in any order.

        CheckpointError, with the names of all single choices as candidates, where it holds something else.
        """
        text = architecture.strip()
        rest = text.removeprefix(self.title).strip(" ,")
        # Some names hold commas: whole combinations are compared.
        wanted = _normal(rest)
        for chosen in product(*(range(len(axis.options)) for axis in self.questions)):
            if _normal(self.name(chosen).removeprefix(self.title)) == wanted:
                return chosen
        if not rest and text:
            return self.usual
        candidates = [self.name(chosen) for chosen in self.neighbours()]
        raise CheckpointError(
            f"architecture={shown(architecture)!r} does not fit these tensors: take {self.name(self.usual)!r}, or one of the"
            f" {len(candidates) - 1} variants in the error's candidates.",
            candidates,
        )


def find_layout(shapes: Shapes) -> Layout:
    """Find out the network from torchvision's names and the shapes of the tensors, not yet whether every tensor fits.

    CheckpointError with a sentence if it is not supported, or larger than any network that was ever trained.
    """
    first = next((name for name in ("conv1.weight", "conv1.0.weight") if name in shapes), "conv1.weight")
    for name, dimensions in ((first, 4), ("fc.weight", 2), ("layer1.0.conv1.weight", 4), ("layer1.0.conv2.weight", 4)):
        if name == "fc.weight" and name not in shapes:
            continue
        if name not in shapes:
            raise CheckpointError(
                f"The checkpoint lacks the tensor {name} (in torchvision's naming) of a ResNet, and its tensors"
                f" ({listed(shapes, 2)}) are not those of another network that is known here. {FROM_CODE}"
            )
        if len(shapes[name]) != dimensions:
            raise CheckpointError(
                f"The tensor {name} (in torchvision's naming) has the shape {shape_text(shapes[name])}, where a ResNet has"
                f" {dimensions} dimensions. {FROM_CODE}"
            )
    plan = Plan.of(shapes)
    most = MOST_BLOCKS.get(len(plan.blocks))
    if most is None:
        raise CheckpointError(
            f"The checkpoint has {len(plan.blocks)} stages of blocks, and the supported ResNets have 3 (CIFAR) or 4 (ImageNet)."
            f" {FROM_CODE}"
        )
    if sum(plan.blocks) > most:
        raise CheckpointError(
            f"The checkpoint names {sum(plan.blocks):,} blocks, and the largest supported network of {len(plan.blocks)} stages"
            f" has {most}. Check that the file is the one that you meant."
        )
    if not plan.headless and plan.classes > MOST_CLASSES:
        raise CheckpointError(
            f"The checkpoint's classification layer has {plan.classes:,} classes, and at most {MOST_CLASSES:,} are supported."
            f" {FROM_CODE}"
        )
    if plan.channels not in (1, 3):
        raise CheckpointError(
            f"The network takes images of {plan.channels} channels, and photos have 3: nothing says what the others would hold."
            " If you know, wrap the model in a module that makes them from a photo, and open it with rv.from_module(module)."
        )
    small = len(plan.blocks) == len(STAGE_CHANNELS) or (plan.shapes[first][-1] == 3 and len(plan.stem) == 1)
    usual = CIFAR_PREPROCESSING if small else IMAGENET_PREPROCESSING
    if plan.channels == 1:
        usual = replace(usual, mean=GREY_MEAN, std=GREY_STD)
    return Layout(_cifar_title(plan) if len(plan.blocks) == len(STAGE_CHANNELS) else _title(plan), plan, usual)


def _cifar_title(plan: Plan) -> str:
    if len(set(plan.blocks)) > 1:
        raise CheckpointError(
            f"The stages have {', '.join(map(str, plan.blocks))} blocks, and a CIFAR ResNet, the nearest supported network, has"
            f" the same number in each. {FROM_CODE}"
        )
    depth = 3 * plan.blocks[0] * (3 if plan.bottleneck else 2) + 2
    option = ""
    if not plan.bottleneck and "layer1.0.downsample.0.weight" in plan.shapes:
        option = " C"
    elif not plan.bottleneck and plan.projects:
        option = " B"
    width = plan.shapes["layer1.0.conv1.weight"][0] / STAGE_CHANNELS[0]
    wide = "" if width == 1 else f" of {width:g} times the width"
    kind = (" of bottlenecks" if plan.bottleneck else "") + _extras(plan)
    return f"CIFAR ResNet-{depth}{option}{kind}{wide}"


def _title(plan: Plan) -> str:
    block = Bottleneck if plan.bottleneck else BasicBlock
    outputs, inputs = plan.shapes["layer1.0.conv2.weight"][:2]
    groups, width = (max(1, outputs // inputs), inputs) if plan.bottleneck else (1, outputs)
    first, second, third, fourth = plan.blocks
    found = Architecture(f"ResNet-{plan.depth}", plan.depth, block, (first, second, third, fourth), groups, width)
    known = next((arch.title for arch in ARCHITECTURES.values() if replace(arch, title=found.title) == found), None)
    title = known or found.title + ("" if (groups, width) == (1, 64) else f", {groups}x{width}")
    return title + _extras(plan) + (", deep stem" if len(plan.stem) > 1 else "")


def _extras(plan: Plan) -> str:
    squeezed = any(".se.0." in name for name in plan.shapes)
    return (" with pre-activation" if plan.preactivation else "") + (" with squeeze and excitation" if squeezed else "")


def _normal(text: str) -> str:
    """Compare names by what they hold, in any order."""
    return ", ".join(sorted(filter(None, (part.strip().lower() for part in text.split(",")))))
