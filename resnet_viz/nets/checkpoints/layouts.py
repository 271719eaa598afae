"""Which network a checkpoint's tensors are of: family, depth, classes, and the ways they can be wired up."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import nn

from resnet_viz.nets.blocks import BasicBlock, Bottleneck, ZeroPad
from resnet_viz.nets.checkpoints.errors import CheckpointError, shape_text, shown
from resnet_viz.nets.checkpoints.wiring import Wiring
from resnet_viz.nets.cifar import STAGE_CHANNELS, CifarResNet, ShortcutOption
from resnet_viz.nets.imagenet import ARCHITECTURES, Architecture, assemble
from resnet_viz.nets.preprocessing import Preprocessing
from resnet_viz.nets.zoo import CIFAR_PREPROCESSING

MOST_CLASSES = 100_000
# By the number of stages: ResNet-1202 of He et al. 2015 has 600 blocks, ResNet-152 has 50 and timm's largest 90.
MOST_BLOCKS = {3: 600, 4: 150}
IMAGENET_PREPROCESSING = Preprocessing(256, 224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True, eq=False)
class Layout:
    """A network by its title: a way to build it, without weights, for each way its tensors can be wired up.

    `depth` counts layers with weights; `preprocessing` is the usual one of its family.
    """

    title: str
    depth: int
    classes: int
    wirings: Mapping[Wiring, Callable[[], nn.Module]]
    preprocessing: Preprocessing


Shapes = Mapping[str, Sequence[int]]


def find_layout(shapes: Shapes) -> Layout:
    """Find out the network from torchvision's names and the shapes of the tensors, not yet whether every tensor fits.

    CheckpointError with a sentence where it is none of the supported ones, or larger than any that was ever trained.
    """
    for name, dimensions in (("conv1.weight", 4), ("fc.weight", 2), ("layer1.0.conv1.weight", 4), ("layer1.0.conv2.weight", 4)):
        if name not in shapes:
            raise CheckpointError(
                f"The checkpoint lacks the tensor {name} (in torchvision's naming). Its names begin with"
                f" {', '.join(map(shown, list(shapes)[:3]))}: it is not a supported ResNet."
            )
        if len(shapes[name]) != dimensions:
            raise CheckpointError(
                f"The tensor {name} (in torchvision's naming) has the shape {shape_text(shapes[name])}, where a ResNet has"
                f" {dimensions} dimensions."
            )
    if shapes["fc.weight"][0] > MOST_CLASSES:
        raise CheckpointError(
            f"The checkpoint's classification layer has {shapes['fc.weight'][0]:,} classes; at most {MOST_CLASSES:,} are"
            " supported."
        )
    blocks = _count_blocks(shapes)
    most = MOST_BLOCKS.get(len(blocks))
    if most is None:
        raise CheckpointError(
            f"The checkpoint has {len(blocks)} stages of blocks: networks with 3 (CIFAR) or 4 (ImageNet) are supported."
        )
    if sum(blocks) > most:
        raise CheckpointError(
            f"The checkpoint names {sum(blocks):,} blocks; the largest supported network of {len(blocks)} stages has {most}."
        )
    return (_cifar if len(blocks) == len(STAGE_CHANNELS) else _torchvision)(shapes, blocks)


def _count_blocks(shapes: Shapes) -> list[int]:
    places = {tuple(name.split(".")[:2]) for name in shapes if name.startswith("layer")}
    counts = Counter(stage for stage, *_ in places)
    return [counts[stage] for stage in sorted(counts)]


def _cifar(shapes: Shapes, blocks: list[int]) -> Layout:
    if "layer1.0.conv3.weight" in shapes:
        raise CheckpointError(
            "The checkpoint is a CIFAR ResNet of bottleneck blocks (it has layer1.0.conv3.weight): those are not supported yet."
        )
    if len(set(blocks)) > 1:
        raise CheckpointError(
            f"The stages have {', '.join(map(str, blocks))} blocks: a CIFAR ResNet has the same number in each."
        )
    depth, classes = 6 * blocks[0] + 2, shapes["fc.weight"][0]

    def build(shortcut: ShortcutOption, zeros_before: int | None = None) -> Callable[[], nn.Module]:
        def module() -> nn.Module:
            net = CifarResNet(depth, shortcut, classes, seed=None)
            for layer in net.modules():
                if isinstance(layer, ZeroPad) and zeros_before is not None:
                    layer.before = zeros_before
            return net

        return module

    wirings: dict[Wiring, Callable[[], nn.Module]]
    if "layer1.0.downsample.0.weight" in shapes:
        wirings, kind = {"as saved": build("C")}, " C"
    elif "layer2.0.downsample.0.weight" in shapes:
        wirings, kind = {"as saved": build("B")}, " B"
    else:
        wirings = {"zero-pad": build("A"), "zero-pad, zeros last": build("A", 0), "no shortcut": build("plain")}
        kind = ""
    return Layout(f"CIFAR ResNet-{depth}{kind}", depth, classes, wirings, CIFAR_PREPROCESSING)


def _torchvision(shapes: Shapes, blocks: list[int]) -> Layout:
    block = Bottleneck if "layer1.0.conv3.weight" in shapes else BasicBlock
    outputs, inputs = shapes["layer1.0.conv2.weight"][:2]
    groups, width = (outputs // inputs, inputs) if block is Bottleneck else (1, 64)
    first, second_stage, third, fourth = blocks
    depth = sum(blocks) * (3 if block is Bottleneck else 2) + 2
    found = Architecture(f"ResNet-{depth}", depth, block, (first, second_stage, third, fourth), max(1, groups), width)
    arch = next((known for known in ARCHITECTURES.values() if replace(known, title=found.title) == found), found)
    classes = shapes["fc.weight"][0]

    def build(kernel: int, pool: nn.Module | None) -> Callable[[], nn.Module]:
        def module() -> nn.Module:
            net = assemble(arch, classes)
            if kernel == 3:
                net.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False, device="meta")
            if pool is not None:
                net.maxpool = pool
            return net

        return module

    wirings: dict[Wiring, Callable[[], nn.Module]] = {"as saved": build(7, None)}
    if shapes["conv1.weight"][-1] == 3:
        wirings = {"3x3 stem": build(3, nn.Identity()), "3x3 stem, max pool": build(3, None)}
    usual = IMAGENET_PREPROCESSING if "as saved" in wirings else CIFAR_PREPROCESSING
    return Layout(arch.title, depth, classes, wirings, usual)
