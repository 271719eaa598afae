"""Which pixels can a place in a block's output depend on? The receptive field, found by differentiating a stand-in network.

The stand-in has the same layers with random positive weights, neutral norms and average pools, so that no gradient is 0 but
where there is no path. What a real gradient weighs most is smaller (Luo et al. 2016, https://arxiv.org/abs/1701.04128).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from resnet_viz.nets.blocks import blocks_of
from resnet_viz.nets.net import Net
from resnet_viz.nets.twins import copy_tree

FieldSpan = tuple[int, int]


@dataclass(frozen=True)
class PlaceFields:
    """The receptive fields of a block's output: `map_size` is its (height, width), `input_size` the input's, in pixels.

    `first_end` is where the field of the place (0, 0) ends, and `last_start` where that of the last place begins, (row,
    column); every other place's field is one of these, moved by whole strides.
    """

    block: str
    map_size: FieldSpan
    input_size: FieldSpan
    first_end: FieldSpan
    last_start: FieldSpan

    @property
    def nbytes(self) -> int:
        """Memory in bytes, about."""
        return 200

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom of the field of a place, in pixels of the input, cut off at its edges."""
        top, bottom = self._span(0, row)
        left, right = self._span(1, column)
        return left, top, right, bottom

    def cell(self, row: int, column: int) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom of the part of the input that lies where the place lies in the map."""
        height, width = (whole / parts for whole, parts in zip(self.input_size, self.map_size, strict=True))
        return column * width, row * height, (column + 1) * width, (row + 1) * height

    def _span(self, axis: int, place: int) -> FieldSpan:
        size, count = self.input_size[axis], self.map_size[axis]
        stride = size / count
        start = self.last_start[axis] - round(stride * (count - 1 - place))
        end = self.first_end[axis] + round(stride * place)
        return max(0, start), min(size, end)


def place_fields(net: Net, block: str) -> PlaceFields:
    """Find the receptive fields of a block's output; ValueError names the blocks that there are."""
    if block not in net.blocks:
        raise ValueError(f"{net.title} has no block {block!r}; it has {', '.join(net.blocks)}")
    stand_in, made = _stand_in(net), list[Tensor]()
    handle = blocks_of(stand_in)[block].relu.register_forward_hook(lambda _, __, output: made.append(output))
    side = net.preprocessing.crop
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, side, side, generator=generator).add(0.5).to(net.device)
    try:
        with torch.inference_mode(mode=False), torch.enable_grad():
            stand_in(x.requires_grad_())
            output = made[0]
            corners = output[0, :, 0, 0].sum() + output[1, :, -1, -1].sum()
            gradient = torch.autograd.grad(corners, x)[0]
    finally:
        handle.remove()
    touched = gradient.ne(0).any(1).cpu()
    first_end = tuple(int(touched[0].any(1 - axis).nonzero().max()) + 1 for axis in (0, 1))
    last_start = tuple(int(touched[1].any(1 - axis).nonzero().min()) for axis in (0, 1))
    height, width = output.shape[2:]
    return PlaceFields(
        block, (int(height), int(width)), (side, side), (first_end[0], first_end[1]), (last_start[0], last_start[1])
    )


def _stand_in(net: Net) -> nn.Module:
    """A copy of the network whose gradients are 0 only where there is no path; the network's own weights stay as they are."""
    stand_in = copy_tree(net.module)
    generator = torch.Generator().manual_seed(1)
    for module in stand_in.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            drawn = torch.rand(parameter.shape, generator=generator).add(0.5)
            drawn = drawn / parameter[0].numel() if name == "weight" and parameter.ndim > 1 else drawn
            drawn = torch.zeros_like(drawn) if name == "bias" else drawn
            setattr(module, name, nn.Parameter(drawn.to(parameter.device), requires_grad=False))
        if isinstance(module, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001 - torch has no public name for all of them
            module.reset_running_stats()
    for module in list(stand_in.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.MaxPool2d) and child.dilation in (1, (1, 1)):
                pool = nn.AvgPool2d(child.kernel_size, child.stride, child.padding, child.ceil_mode)
                setattr(module, name, pool)
    return stand_in
