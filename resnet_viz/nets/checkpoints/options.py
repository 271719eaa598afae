"""What the shapes of a network leave open: its strides, pools, shortcuts and activations, as choices with names.

Each choice changes a `CheckpointResNet` that was built as usual. The options were read in torchvision, timm, Caffe's and
Keras's ResNets and the CIFAR networks of many repositories.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from resnet_viz.nets.checkpoints.assembly import CheckpointResNet, Plan
from resnet_viz.nets.checkpoints.blocks import CheckpointBlock, PlainCheckpointBlock, PreActivationBlock
from resnet_viz.nets.layers import ZeroPad

PADDING = "the padding of the stem"
NO_SHORTCUT = "no shortcut"

NetworkChange = Callable[[CheckpointResNet], None]


@dataclass(frozen=True, eq=False)
class Option:
    """One way to fill in what the tensors leave open: its name, "" for the usual way, and what it does to the network.

    `first` is the index of the first of `CheckpointResNet.parts` that it changes: 0 for the stem, then the stages.
    """

    name: str
    change: NetworkChange
    first: int = 0


@dataclass(frozen=True, eq=False)
class Axis:
    """A question that the tensors leave open, and its answers, the usual one first."""

    question: str
    options: tuple[Option, ...]


def open_questions(plan: Plan) -> tuple[Axis, ...]:
    """Return what the shapes of a network leave open, for this network."""
    shrinks = len(plan.blocks) > 1
    axes = [
        Axis("the stem", _stem_options(plan)),
        Axis(PADDING, _padding_options(plan)),
        Axis("where a block strides", _stride_options(plan) if shrinks else ()),
        Axis("the shortcuts", _shortcut_options(plan)),
        Axis("the last stages", _late_options(len(plan.blocks)) if shrinks else ()),
        Axis("the activation", _activation_options()),
        Axis("the norms", () if plan.statistics else _norm_options()),
        Axis("the projections", _projection_options(plan) if plan.preactivation else ()),
        Axis("the batch norms' epsilon", (Option("", _nothing), Option("epsilon 1e-3", partial(_set_epsilon, 1e-3)))),
    ]
    return tuple(axis for axis in axes if len(axis.options) > 1)


def _nothing(_: CheckpointResNet) -> None:
    """Leave the network as usual."""


def _stem_options(plan: Plan) -> tuple[Option, ...]:
    if len(plan.stem) == 1 and plan.shapes["conv1.weight"][-1] == 3:
        usual = "3x3 stem" if len(plan.blocks) > 3 else ""
        return (
            Option(usual, _nothing),
            Option("3x3 stem, max pool", partial(_set_stem, 1, nn.MaxPool2d(3, 2, 1))),
            Option("3x3 stem, 2x2 max pool", partial(_set_stem, 1, nn.MaxPool2d(2))),
            Option("3x3 stem, stride 2", partial(_set_stem, 2, nn.Identity())),
            Option("3x3 stem, stride 2, max pool", partial(_set_stem, 2, nn.MaxPool2d(3, 2, 1))),
        )
    return (
        Option("", _nothing),
        Option("max pool in ceil mode", partial(_set_stem, 2, nn.MaxPool2d(3, 2, 1, ceil_mode=True))),
        Option("max pool without padding, in ceil mode", partial(_set_stem, 2, nn.MaxPool2d(3, 2, 0, ceil_mode=True))),
        Option("no max pool", partial(_set_stem, 2, nn.Identity())),
        Option("average pool in the stem", partial(_set_stem, 2, nn.AvgPool2d(2))),
        Option("stem with stride 1", partial(_set_stem, 1, nn.MaxPool2d(3, 2, 1))),
        Option("stem with stride 1, no max pool", partial(_set_stem, 1, nn.Identity())),
    )


def _set_stem(stride: int, pool: nn.Module, net: CheckpointResNet) -> None:
    first = net.get_submodule(net.plan.stem[0])
    assert isinstance(first, nn.Conv2d)  # noqa: S101 - a stem begins with a convolution
    first.stride = (stride, stride)
    net.maxpool = pool


def _padding_options(plan: Plan) -> tuple[Option, ...]:
    usual = plan.shapes[f"{plan.stem[0]}.weight"][-1] // 2
    return (
        Option("", _nothing),
        Option(f"stem with padding {usual + 1}", partial(_set_padding, usual + 1)),
        Option("stem with padding 0", partial(_set_padding, 0)),
    )


def _set_padding(padding: int, net: CheckpointResNet) -> None:
    first = net.get_submodule(net.plan.stem[0])
    assert isinstance(first, nn.Conv2d)  # noqa: S101 - a stem begins with a convolution
    first.padding = (padding, padding)


def _stride_options(plan: Plan) -> tuple[Option, ...]:
    # The first stage keeps the size of the map, and pools change the stem too where it has one.
    first = (Option("stride in the first 1x1 convolution", _stride_first, 2),) if plan.bottleneck else ()
    if plan.preactivation:
        return (Option("", _nothing), *first)
    return (
        Option("", _nothing),
        *first,
        Option("average pool for the stride", partial(_smooth, AveragePool)),
        Option("blur pool for the stride", partial(_smooth, BlurPool)),
    )


def _stride_first(net: CheckpointResNet) -> None:
    for block in net.residual_blocks:
        first, second = block.get_submodule("conv1"), block.get_submodule("conv2")
        first.stride, second.stride = second.stride, first.stride


class AveragePool(nn.AvgPool2d):
    """The average of 2x2 pixels in place of a stride (timm's resnetaa)."""

    def __init__(self, channels: int) -> None:
        del channels
        super().__init__(2)


class BlurPool(nn.Module):
    """Every second pixel of a map that was blurred with 1-2-1 (Zhang 2019, https://arxiv.org/abs/1904.11486).

    Two means of neighbours, one after the other, blur so; the border is mirrored.
    """

    def __init__(self, channels: int) -> None:
        del channels
        super().__init__()
        self.border = nn.ReflectionPad2d(1)
        self.first = nn.AvgPool2d(2, 1)
        self.second = nn.AvgPool2d(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, ceil(H / 2), ceil(W / 2))."""
        blurred: Tensor = self.second(self.first(self.border(x)))
        return blurred


def _smooth(pool: type[AveragePool] | type[BlurPool], net: CheckpointResNet) -> None:
    """Let a pool behind the activation make the map smaller, in the blocks and, as timm has it, in the stem."""
    for block in net.residual_blocks:
        key, after = ("conv2", "relu2") if net.plan.bottleneck else ("conv1", "relu1")
        layer = block.get_submodule(key)
        if isinstance(layer, nn.Conv2d) and layer.stride[0] == 2:
            layer.stride = (1, 1)
            setattr(block, after, nn.Sequential(block.get_submodule(after), pool(layer.out_channels)))
    if isinstance(net.maxpool, nn.MaxPool2d):
        channels = net.plan.out_channels(net.plan.stem[-1])
        net.maxpool = nn.AvgPool2d(2) if pool is AveragePool else nn.Sequential(nn.MaxPool2d(3, 1, 1), pool(channels))


def _shortcut_options(plan: Plan) -> tuple[Option, ...]:
    if plan.projects:
        return (Option("", _nothing), Option("average pool before the projection", _pool_before_projection, 2))
    if plan.bottleneck or len({plan.out_channels(f"layer{stage}.0.conv2") for stage in range(1, len(plan.blocks) + 1)}) == 1:
        return ()
    # A wide network pads in its first stage already.
    return (
        Option("zero-pad", partial(_pad, None, 1), 1),
        Option("zero-pad, zeros last", partial(_pad, 0, 1), 1),
        Option("zero-pad, zeros first", partial(_pad, 1, 1), 1),
        Option("zero-pad, average pool", partial(_pad, None, 2), 1),
        Option("zero-pad, average pool, zeros last", partial(_pad, 0, 2), 1),
        *(() if plan.preactivation else (Option(NO_SHORTCUT, _drop_shortcuts, 1),)),
    )


def _pool_before_projection(net: CheckpointResNet) -> None:
    for block in net.residual_blocks:
        if isinstance(block.downsample, nn.Sequential):
            projection = block.downsample[0]
            after = block.downsample[1] if len(block.downsample) > 1 else nn.Identity()
            if isinstance(projection, nn.Conv2d) and projection.stride[0] == 2:
                projection.stride = (1, 1)
                block.downsample = PooledProjection(projection, after)


class PooledProjection(nn.Module):
    """Shortcut of ResNet-D: the average of 2x2 pixels, then a 1x1 convolution (He et al. 2018, https://arxiv.org/abs/1812.01187).

    Its tensors have the names of an ordinary projection's.
    """

    def __init__(self, projection: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)
        self.add_module("0", projection)
        self.add_module("1", norm)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, channels of the projection, ceil(H / 2), ceil(W / 2))."""
        projected: Tensor = self.get_submodule("1")(self.get_submodule("0")(self.pool(x)))
        return projected


class PooledZeroPad(ZeroPad):
    """Zero padding after the average of 2x2 pixels, in place of every second pixel."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C + extra, H / 2, W / 2)."""
        pooled = F.avg_pool2d(x, self.stride) if self.stride > 1 else x
        return F.pad(pooled, (0, 0, 0, 0, self.before, self.extra - self.before))


def _pad(before: int | None, pool: int, net: CheckpointResNet) -> None:
    """Pad with zeros where channels are added: `before` 0 puts all of them last, 1 all of them first, None half of them."""
    for block in net.residual_blocks:
        inputs, outputs = block.get_submodule("conv1"), block.get_submodule("conv2")
        assert isinstance(inputs, nn.Conv2d)  # noqa: S101 - blocks consist of convolutions
        assert isinstance(outputs, nn.Conv2d)  # noqa: S101
        if inputs.in_channels != outputs.out_channels:
            kind = PooledZeroPad if pool == 2 else ZeroPad
            padding = kind(inputs.in_channels, outputs.out_channels, block.stride)
            if before is not None:
                padding.before = before * padding.extra
            block.downsample = padding


def _drop_shortcuts(net: CheckpointResNet) -> None:
    for stage in net.stages:
        for index, block in enumerate(stage):
            if isinstance(block, CheckpointBlock):
                stage[index] = _plain(block)


def _plain(block: CheckpointBlock) -> PlainCheckpointBlock:
    plain = PlainCheckpointBlock(block.layers, block.stride)
    for name, layer in block.named_children():
        setattr(plain, name, layer)
    return plain


def _late_options(stages: int) -> tuple[Option, ...]:
    return (
        Option("", _nothing),
        Option("stride 1 in the last stage", partial(_dilate, 1, dilated=False), stages),
        Option("dilated last stage", partial(_dilate, 1, dilated=True), stages),
        Option("dilated last two stages", partial(_dilate, 2, dilated=True), stages - 1),
    )


def _dilate(stages: int, net: CheckpointResNet, *, dilated: bool) -> None:
    """Take the stride out of the last stages; dilated 3x3 convolutions see as much of the image as before."""
    dilation = 1
    for stage in net.stages[-stages:]:
        for index, block in enumerate(stage):
            # As torchvision's replace_stride_with_dilation: a stage's first block still has the dilation of the stage before.
            _unstride(block, dilation * 2 if dilated and index else dilation)
        dilation *= 2 if dilated else 1


def _unstride(block: nn.Module, dilation: int) -> None:
    for layer in block.modules():
        if isinstance(layer, nn.Conv2d):
            layer.stride = (1, 1)
            if layer.kernel_size[0] == 3:
                layer.dilation = layer.padding = (dilation, dilation)
        elif isinstance(layer, ZeroPad):
            layer.stride = 1


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "GELU": nn.GELU,
    "SiLU": nn.SiLU,
    "Mish": nn.Mish,
    "ELU": nn.ELU,
    "LeakyReLU 0.01": partial(nn.LeakyReLU, 0.01),
    "LeakyReLU 0.1": partial(nn.LeakyReLU, 0.1),
    "LeakyReLU 0.2": partial(nn.LeakyReLU, 0.2),
    "Hardswish": nn.Hardswish,
}


def _activation_options() -> tuple[Option, ...]:
    return (Option("", _nothing), *(Option(name, partial(_activate, make)) for name, make in ACTIVATIONS.items()))


def _activate(make: Callable[[], nn.Module], net: CheckpointResNet) -> None:
    for module in list(net.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, make())


def _norm_options() -> tuple[Option, ...]:
    others = (16, 8, 4, 1)
    return (
        Option("GroupNorm of 32 groups", _nothing),
        *(Option(f"GroupNorm of {groups} group{'s' * (groups > 1)}", partial(_set_groups, groups)) for groups in others),
        Option("norms without running statistics", partial(_set_groups, 0)),
    )


def _set_groups(groups: int, net: CheckpointResNet) -> None:
    """Set the groups of all norms; 0 makes a group of each channel, which for one image is a batch norm without statistics."""
    for layer in net.modules():
        if isinstance(layer, nn.GroupNorm):
            layer.num_groups = math.gcd(groups, layer.num_channels) if groups else layer.num_channels


def _projection_options(plan: Plan) -> tuple[Option, ...]:
    """Return where the shortcuts of a network with pre-activation begin: after an activation, or at the block's input."""
    kind = "projection" if plan.projects else "padding"
    if not plan.projects and not _shortcut_options(plan):
        return ()
    return (Option("", _nothing), Option(f"{kind} of the block's input", _project_input, 1))


def _project_input(net: CheckpointResNet) -> None:
    for block in net.residual_blocks:
        if isinstance(block, PreActivationBlock):
            block.projects_input = True


def _set_epsilon(epsilon: float, net: CheckpointResNet) -> None:
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.GroupNorm):
            layer.eps = epsilon


def built(plan: Plan, axes: Sequence[Axis], chosen: Sequence[int]) -> CheckpointResNet:
    """Return the network of one option for each question, on the meta device."""
    net = CheckpointResNet(plan)
    for axis, index in zip(axes, chosen, strict=True):
        axis.options[index].change(net)
    return net


def name_of(title: str, axes: Sequence[Axis], chosen: Sequence[int]) -> str:
    """Name a candidate: the network's title, and what is not as usual."""
    return ", ".join(filter(None, (title, *(axis.options[index].name for axis, index in zip(axes, chosen, strict=True)))))
