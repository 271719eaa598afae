"""Which network a checkpoint's tensors are of: family, depth, classes, and the ways they can be wired up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn

from resnet_viz.nets.blocks import BasicBlock, Bottleneck, ZeroPad
from resnet_viz.nets.checkpoint_file import CheckpointError
from resnet_viz.nets.cifar import STAGE_CHANNELS, CifarResNet, ShortcutOption
from resnet_viz.nets.imagenet import ARCHITECTURES, Architecture, assemble
from resnet_viz.nets.preprocessing import Preprocessing
from resnet_viz.nets.wiring import Wiring
from resnet_viz.nets.zoo import CIFAR_PREPROCESSING

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


def find_layout(tensors: Mapping[str, Tensor]) -> Layout:
    """Find out the network from torchvision's names and their tensors' shapes, not yet whether every tensor fits.

    CheckpointError with a sentence where it is none that is known here.
    """
    for name, dimensions in (("conv1.weight", 4), ("fc.weight", 2), ("layer1.0.conv1.weight", 4), ("layer1.0.conv2.weight", 4)):
        if name not in tensors:
            raise CheckpointError(
                f"The tensor {name} is missing, as torchvision calls it: the checkpoint begins with"
                f" {', '.join(list(tensors)[:3])} and is not of a ResNet that is known here."
            )
        if tensors[name].ndim != dimensions:
            raise CheckpointError(
                f"The tensor {name} has the shape {shape_of(tensors[name])}, and {dimensions} dimensions are wanted."
            )
    blocks = _count_blocks(tensors)
    if len(blocks) == len(STAGE_CHANNELS):
        return _cifar(tensors, blocks)
    if len(blocks) == 4:
        return _torchvision(tensors, blocks)
    raise CheckpointError(
        f"The checkpoint has {len(blocks)} stages of blocks: networks with 3 (CIFAR) or 4 (ImageNet) are known here."
    )


def _count_blocks(tensors: Mapping[str, Tensor]) -> list[int]:
    places = {tuple(name.split(".")[:2]) for name in tensors if name.startswith("layer")}
    stages = sorted({stage for stage, _ in places})
    return [sum(stage == other for other, _ in places) for stage in stages]


def _cifar(tensors: Mapping[str, Tensor], blocks: list[int]) -> Layout:
    if "layer1.0.conv3.weight" in tensors:
        raise CheckpointError(
            "The tensor layer1.0.conv3.weight is unexpected: CIFAR networks of bottleneck blocks are not known here."
        )
    if len(set(blocks)) > 1:
        raise CheckpointError(
            f"The stages have {', '.join(map(str, blocks))} blocks: a CIFAR ResNet has the same number in each."
        )
    depth, classes = 6 * blocks[0] + 2, len(tensors["fc.weight"])

    def build(shortcut: ShortcutOption, zeros_before: int | None = None) -> Callable[[], nn.Module]:
        def module() -> nn.Module:
            net = CifarResNet(depth, shortcut, classes)
            for layer in net.modules():
                if isinstance(layer, ZeroPad) and zeros_before is not None:
                    layer.before = zeros_before
            return net

        return module

    wirings: dict[Wiring, Callable[[], nn.Module]]
    if "layer1.0.downsample.0.weight" in tensors:
        wirings, kind = {"as saved": build("C")}, " C"
    elif "layer2.0.downsample.0.weight" in tensors:
        wirings, kind = {"as saved": build("B")}, " B"
    else:
        wirings = {"zero-pad": build("A"), "zero-pad, zeros last": build("A", 0), "no shortcut": build("plain")}
        kind = ""
    return Layout(f"CIFAR ResNet-{depth}{kind}", depth, classes, wirings, CIFAR_PREPROCESSING)


def _torchvision(tensors: Mapping[str, Tensor], blocks: list[int]) -> Layout:
    block = Bottleneck if "layer1.0.conv3.weight" in tensors else BasicBlock
    second = tensors["layer1.0.conv2.weight"]
    groups, width = (len(second) // max(1, second.shape[1]), second.shape[1]) if block is Bottleneck else (1, 64)
    first, second_stage, third, fourth = blocks
    depth = sum(blocks) * (3 if block is Bottleneck else 2) + 2
    found = Architecture(f"ResNet-{depth}", depth, block, (first, second_stage, third, fourth), max(1, groups), width)
    arch = next((known for known in ARCHITECTURES.values() if replace(known, title=found.title) == found), found)
    classes = len(tensors["fc.weight"])

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
    if tensors["conv1.weight"].shape[-1] == 3:
        wirings = {"3x3 stem": build(3, nn.Identity()), "3x3 stem, max pool": build(3, None)}
    usual = IMAGENET_PREPROCESSING if "as saved" in wirings else CIFAR_PREPROCESSING
    return Layout(arch.title, depth, classes, wirings, usual)


def shape_of(tensor: Tensor) -> str:
    """Write a shape for a sentence."""
    return "×".join(map(str, tensor.shape)) or "of a single number"
