"""A residual block step by step: what each of its layers computes for the image.

The steps are those of He et al. 2015 (https://arxiv.org/abs/1512.03385, Fig. 2 and 5): convolution, batch norm and ReLU;
another convolution and batch norm; the addition of the identity; and the last ReLU. A block of any other network has its places
as steps: x, identity, residual, sum and output.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

import torch
from PIL import Image
from torch import Tensor, nn

from resnet_viz.analyses.activations import Array, array
from resnet_viz.nets.blocks import BlockPlace, ResidualBlock, blocks_of
from resnet_viz.nets.checkpoints.blocks import PreActivationBlock
from resnet_viz.nets.known_layers import layers_of, require_known_layers
from resnet_viz.nets.layers import ZeroPad
from resnet_viz.nets.net import Net

# The part of the equation that a step belongs to.
EquationPart = Literal["identity", "residual", "sum", "output"]


@dataclass(frozen=True, eq=False)
class Step:
    """One tensor computed inside a block, float32 (C, H, W). `name` is the name of its layer, or "x" for the input."""

    name: str
    operation: str
    part: EquationPart
    values: Array

    @property
    def negative(self) -> float:
        """The share of entries below 0."""
        return float((self.values < 0).mean())

    @property
    def zero(self) -> float:
        """The share of entries that are exactly 0."""
        return float((self.values == 0).mean())


@dataclass(frozen=True, eq=False)
class Walk:
    """Every step of one block, in the order of the code.

    `kind` is the block's class, or torchvision's class with the same layers if the steps are layers.
    """

    model: str
    title: str
    block: str
    kind: str
    plain: bool
    steps: tuple[Step, ...]

    @property
    def nbytes(self) -> int:
        """Memory of all arrays in bytes."""
        return sum(step.values.nbytes for step in self.steps)

    @property
    def names(self) -> tuple[str, ...]:
        """The steps' names."""
        return tuple(step.name for step in self.steps)

    def step(self, name: str) -> Step:
        """Return the step of that name; KeyError if there is none."""
        return self.steps[self.names.index(name)] if name in self.names else _missing(name, self)


def walk(net: Net, image: Image.Image, block: str) -> Walk:
    """Run one forward pass and keep every tensor of one block; ValueError for a block that the network does not have."""
    require_known_layers(net.title, net.module)
    twin = net.twin()
    taken = _block(net, twin, block)
    layers = _Layers(layers_of(twin, taken), taken)
    kept: dict[str, Tensor] = {}
    with ExitStack() as hooks, torch.inference_mode():
        hooks.callback(taken.fork.register_forward_pre_hook(lambda _, args: kept.__setitem__("x", args[0])).remove)
        for name, layer in layers.by_step.items():
            hooks.callback(layer.register_forward_hook(_keeper(name, kept)).remove)
        twin(net.preprocess(image))
    kind = "Bottleneck" if "conv3" in layers.by_step else "BasicBlock"
    steps = tuple(
        Step(name, layers.operation(name, kept[name]), _part(name, taken), array(kept[name])) for name in ("x", *layers.by_step)
    )
    return Walk(net.name, net.title, block, kind, taken.shortcut_kind == "none", steps)


def walk_places(net: Net, image: Image.Image, block: str) -> Walk:
    """Run one forward pass of any network and keep the tensors of a block's places: x, identity, residual, sum and output.

    Tensors of other layouts are seen as maps (see `resnet_viz.nets.layouts`). An identity that is x, and an output that is the
    sum, are not steps. ValueError for a block that the network does not have.
    """
    twin = net.twin()
    taken = _block(net, twin, block)
    places: dict[BlockPlace, nn.Module] = {}
    if taken.shortcut_kind not in ("identity", "none"):
        places["identity"] = taken.shortcut
    places["residual"] = taken.residual
    if taken.shortcut_kind != "none":
        places["sum"] = taken.sum
    if taken.activation:
        places["output"] = taken.output
    kept: dict[str, Tensor] = {}
    with ExitStack() as hooks, torch.inference_mode():
        hooks.callback(taken.fork.register_forward_pre_hook(lambda _, args: kept.__setitem__("x", args[0])).remove)
        for name, layer in places.items():
            hooks.callback(layer.register_forward_hook(_keeper(name, kept)).remove)
        twin(net.preprocess(image))
    words = {
        "x": "the block's input",
        "identity": f"the shortcut: {taken.shortcut_kind}",
        "residual": "the residual F(x)",
        "sum": "identity + residual, element by element",
        "output": taken.activation,
    }
    steps = tuple(
        Step(
            name, words[name], _part(name, taken), array((taken.input_layout if name == "x" else taken.layout).maps(kept[name]))
        )
        for name in ("x", *places)
    )
    return Walk(net.name, net.title, block, taken.facts.kind, taken.shortcut_kind == "none", steps)


def _block(net: Net, twin: nn.Module, name: str) -> ResidualBlock:
    blocks = blocks_of(twin)
    if name not in blocks:
        raise ValueError(f"{net.title} has no block {name!r}; it has {', '.join(blocks)}")
    return blocks[name]


class _Layers:
    """The layers of a block by the names of its steps, in the order of the code."""

    def __init__(self, module: nn.Module, block: ResidualBlock) -> None:
        self._module = module
        order = ("bn", "relu", "conv") if isinstance(module, PreActivationBlock) else ("conv", "bn", "relu")
        self.by_step = {
            f"{kind}{number}": layer
            for number in (1, 2, 3)
            for kind in order
            if (layer := _layer(module, kind, number)) is not None
        }
        # The shortcut is parallel to the branch. The code computes it only when the addition needs it.
        if block.shortcut_kind not in ("identity", "none"):
            self.by_step["identity"] = block.shortcut
        if block.shortcut_kind != "none":
            self.by_step["sum"] = block.sum
        self.by_step["output"] = block.output

    def operation(self, name: str, values: Tensor) -> str:
        """Say in words what a step does."""
        if name == "x":
            return "the block's input"
        if name == "sum":
            return "identity + residual, element by element"
        if name == "identity":
            return _shortcut(self._module)
        layer = self.by_step[name]
        if isinstance(layer, nn.Conv2d):
            return _convolution(layer)
        if isinstance(layer, nn.BatchNorm2d):
            last = name == max(each for each in self.by_step if each.startswith("bn"))
            return f"batch norm of {values.shape[1]} channels{': the residual F(x)' if last else ''}"
        return "ReLU: negative values become 0"


def _layer(module: nn.Module, kind: str, number: int) -> nn.Module | None:
    """Return a layer by its number; torchvision's one ReLU is a module of its own for each call, the first without a number."""
    names = [f"{kind}{number}"]
    if kind == "relu":
        names.append(f"relu_{number - 1}" if number > 1 else "relu")
    found = (getattr(module, name, None) for name in names)
    return next((layer for layer in found if layer is not None), None)


def _keeper(name: str, kept: dict[str, Tensor]) -> Callable[[nn.Module, object, Tensor], None]:
    def keep(_: nn.Module, __: object, output: Tensor) -> None:
        kept[name] = output

    return keep


def _convolution(layer: nn.Conv2d) -> str:
    size, stride, padding = layer.kernel_size[0], layer.stride[0], layer.padding[0]
    channels = f"{layer.in_channels} → {layer.out_channels} channels"
    return f"{size}×{size} convolution, {channels}, stride {stride}, padding {padding}"


def _shortcut(module: nn.Module) -> str:
    shortcut = module.get_submodule("downsample")
    if isinstance(shortcut, ZeroPad):
        return f"shortcut A: keeps every {_ordinal(shortcut.stride)} pixel of x and appends {shortcut.extra} channels of zeros"
    convolutions = [layer for layer in shortcut.modules() if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1)]
    return f"shortcut B: {_convolution(convolutions[-1])}, batch norm"


def _ordinal(number: int) -> str:
    return {1: "", 2: "second"}.get(number, f"{number}th")


def _part(name: str, block: ResidualBlock) -> EquationPart:
    if name in ("sum", "output"):
        return "sum" if name == "sum" else "output"
    return "identity" if name in ("x", "identity") and block.shortcut_kind != "none" else "residual"


def _missing(name: str, walked: Walk) -> Step:
    raise KeyError(f"block {walked.block} has no step {name!r}; it has {', '.join(walked.names)}")
