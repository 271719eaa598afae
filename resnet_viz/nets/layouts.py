"""The layout of the tensors of a block, and their view as feature maps (N, C, H, W).

Convolutional networks use maps (N, C, H, W). Other networks put the channels last (Swin), or use a row of tokens, one per patch
of the image, plus further tokens such as the class token (ViT). A view only reorders numbers, so an identity that holds for
every entry, such as identity + residual = sum, also holds in the view.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

LayoutKind = Literal["channels first", "channels last", "tokens", "row"]


@dataclass(frozen=True)
class TensorLayout:
    """The layout of the tensors at one place of a network.

    `kind` is "channels first" (N, C, H, W), "channels last" (N, H, W, C), "tokens" (N, T, C), or "row". In "tokens", the tokens
    between `before` and `after` form the `grid` (H, W), row by row; `before` and `after` name the tokens that are not patches.
    "row" is for positions without a known place in the image: they are viewed side by side, (N, C, 1, T), and `channels` is the
    axis of the channels, counted from the end. `axis` is the axis of the images, and `rows` is how many of its entries belong
    to one image, in networks that fold windows into it. `note` says why positions have no place in the image, or is "".
    """

    kind: LayoutKind = "channels first"
    grid: tuple[int, int] = (0, 0)
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    axis: int = 0
    rows: int = 1
    channels: int = -1
    note: str = ""

    @property
    def spatial(self) -> bool:
        """Whether every position of the view has a place in the image."""
        return self.kind != "row"

    @property
    def apart(self) -> tuple[str, ...]:
        """The tokens that are not in the view."""
        return self.before + self.after

    def of_image(self, values: Tensor, number: int) -> Tensor:
        """Return the entries of one image, with all axes."""
        return values.narrow(self.axis, number * self.rows, self.rows)

    def but_first(self, values: Tensor) -> Tensor:
        """Return the entries of all images except the first, with all axes."""
        return values.narrow(self.axis, self.rows, values.shape[self.axis] - self.rows)

    def count(self, values: Tensor) -> int:
        """Return the number of images."""
        return values.shape[self.axis] // self.rows

    def per_image(self, numbers: Tensor, values: Tensor) -> Tensor:
        """Return numbers (N,), one for each image, in a shape that multiplies each by the entries of its image in `values`."""
        shape = [1] * values.ndim
        shape[self.axis] = -1
        return numbers.repeat_interleave(self.rows).view(shape)

    def joined(self, values: Sequence[Tensor]) -> Tensor:
        """Concatenate the images of several tensors."""
        return torch.cat(list(values), self.axis)

    def images(self, values: Tensor) -> Tensor:
        """Return the tensor with one entry of the first axis per image."""
        if self.axis:
            values = values.movedim(self.axis, 0)
        return values if self.rows == 1 else values.reshape(-1, self.rows, *values.shape[1:])

    def native(self, values: Tensor) -> Tensor:
        """Undo `images`."""
        if self.rows > 1:
            values = values.flatten(0, 1)
        return values.movedim(0, self.axis) if self.axis else values

    def maps(self, values: Tensor) -> Tensor:
        """Return the tensor as maps (N, C, H, W), without the tokens that are not patches."""
        each = self.images(values)
        if self.kind == "channels first":
            return each
        if self.kind == "channels last":
            return each.permute(0, 3, 1, 2)
        if self.kind == "tokens":
            patches = each[:, len(self.before) : each.shape[1] - len(self.after)]
            cells = patches.reshape(len(patches), *self._grid_of(patches.shape[1]), patches.shape[2])
            return cells.permute(0, 3, 1, 2)
        last = each.movedim(self.channels, -1)
        return last.reshape(len(last), 1, -1, last.shape[-1]).permute(0, 3, 1, 2)

    def others(self, values: Tensor) -> Tensor:
        """Return the tokens that are not patches, (N, tokens, C)."""
        each = self.images(values)
        return torch.cat([each[:, : len(self.before)], each[:, each.shape[1] - len(self.after) :]], 1)

    def _grid_of(self, count: int) -> tuple[int, int]:
        """Return the grid for this number of patches: an image of another size than the traced one has a square grid."""
        if count == math.prod(self.grid):
            return self.grid
        side = math.isqrt(count)
        if side * side != count:
            raise ValueError(
                f"{count} patches do not make a square, so their places in the image are unknown: open the network with the"
                " preprocessing that its images get (rv.from_module(module, preprocessing=...))"
            )
        return side, side


CHANNELS_FIRST = TensorLayout()
