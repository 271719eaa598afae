"""The pixels that a place in a block output can depend on: its receptive field, clipped at the borders of the input.

As in `theoretical_field`, a gradient is 0 only if there is no path. A trained network gives most weight to fewer pixels (Luo et
al. 2016, https://arxiv.org/abs/1701.04128).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from resnet_viz.analyses.theoretical_field import OpenPaths, positive_copy
from resnet_viz.nets.blocks import blocks_of
from resnet_viz.nets.net import Net

FieldSpan = tuple[int, int]


@dataclass(frozen=True)
class PlaceFields:
    """The receptive fields in a block output: `map_size` is its (height, width), `input_size` that of the input, in pixels.

    `first_end` is where the field of the place (0, 0) ends, and `last_start` is where the field of the last place begins, as
    (row, column). The field of every other place is one of these, shifted by a number of strides.
    """

    block: str
    map_size: FieldSpan
    input_size: FieldSpan
    first_end: FieldSpan
    last_start: FieldSpan

    @property
    def nbytes(self) -> int:
        """Approximate memory in bytes."""
        return 200

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom of the field of a place, in input pixels, clipped at the borders."""
        top, bottom = self._span(0, row)
        left, right = self._span(1, column)
        return left, top, right, bottom

    def cell(self, row: int, column: int) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom of the part of the input at the position of a place in the map."""
        height, width = (whole / parts for whole, parts in zip(self.input_size, self.map_size, strict=True))
        return column * width, row * height, (column + 1) * width, (row + 1) * height

    def _span(self, axis: int, place: int) -> FieldSpan:
        size, count = self.input_size[axis], self.map_size[axis]
        stride = size / count
        start = self.last_start[axis] - round(stride * (count - 1 - place))
        end = self.first_end[axis] + round(stride * place)
        return max(0, start), min(size, end)


def place_fields(net: Net, block: str) -> PlaceFields:
    """Find the receptive fields of a block output; ValueError lists the blocks."""
    if block not in net.blocks:
        raise ValueError(f"{net.title} has no block {block!r}; it has {', '.join(net.blocks)}")
    positive, made = positive_copy(net), list[Tensor]()
    handle = blocks_of(positive)[block].output.register_forward_hook(lambda _, __, output: made.append(output))
    side = net.preprocessing.crop
    try:
        with torch.inference_mode(mode=False), torch.enable_grad(), OpenPaths():
            x = torch.ones(2, 3, side, side, dtype=torch.float64, device=net.device, requires_grad=True)
            positive(x)
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
