"""The parts that a network is made of, as tables show them, and layers in words."""

from dataclasses import dataclass

from torch import nn

from resnet_viz.nets.blocks import ShortcutKind

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """The stem, a block, what lies between two blocks, or the head of a network; all parts together are the whole network.

    `name` is "stem", "layer2.0" ... or "head", and a module's path for what lies between two blocks; `stage` and `shortcut` are
    the block's, None for the others. Shapes are (C, H, W), or what a network has in its place, such as (H, W, C) or
    (tokens, C); the head's output is (classes,). `layers` are in words and in order, without normalisations and activations,
    and in a ResNet without the shortcut's own convolution; `parameters` and `multiply_adds`, those of one image, count
    everything.
    """

    name: str
    stage: int | None
    shortcut: ShortcutKind | None
    input: Shape
    output: Shape
    layers: str
    parameters: int
    multiply_adds: int


def words_of(layer: nn.Module) -> str:
    """Say what a layer is: "3×3 64 stride 2"; empty for one that is not worth a word."""
    if isinstance(layer, nn.Conv2d):
        stride = f" stride {layer.stride[0]}" if layer.stride[0] > 1 else ""
        groups = f" groups {layer.groups}" if layer.groups > 1 else ""
        return f"{layer.kernel_size[0]}×{layer.kernel_size[1]} {layer.out_channels}{groups}{stride}"
    if isinstance(layer, nn.MaxPool2d):
        return f"max pool {layer.kernel_size}×{layer.kernel_size} stride {layer.stride}"
    if isinstance(layer, nn.MultiheadAttention):
        return f"attention {layer.num_heads} heads"
    if isinstance(layer, nn.Linear):
        return f"linear {layer.out_features}"
    return "global average pooling" if isinstance(layer, nn.AdaptiveAvgPool2d) else ""
