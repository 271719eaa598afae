"""The cost of a block: parameters and multiply-adds."""

from collections.abc import Iterable

from torch import nn

from resnet_viz.nets.blocks import ResidualBlock


def count_parameters(module: nn.Module) -> int:
    """Count the trainable parameters of a module, or those that a block of a network uses."""
    if isinstance(module, ResidualBlock):
        return module.facts.parameter_count
    return sum(parameter.numel() for parameter in module.parameters())


def multiply_adds(block: nn.Module, height: int, width: int) -> int:
    """Multiply-adds of the convolutions of a ResNet's block, for an input of height x width pixels, including its shortcut.

    One multiply-add is one multiplication and one addition (He et al. 2015, Table 1, "FLOPs").
    """
    convolutions = {name: child for name, child in block.named_modules() if isinstance(child, nn.Conv2d)}
    shortcut = [conv for name, conv in convolutions.items() if name.startswith("downsample")]
    branch = [conv for name, conv in convolutions.items() if not name.startswith("downsample")]
    return _chain(branch, height, width) + _chain(shortcut, height, width)


def _chain(convolutions: Iterable[nn.Conv2d], height: int, width: int) -> int:
    total = 0
    for conv in convolutions:
        height, width = (_size(conv, axis, size) for axis, size in enumerate((height, width)))
        total += conv.weight.numel() * height * width
    return total


def _size(conv: nn.Conv2d, axis: int, size: int) -> int:
    reach = conv.dilation[axis] * (conv.kernel_size[axis] - 1)
    return (size + 2 * int(conv.padding[axis]) - reach - 1) // conv.stride[axis] + 1
