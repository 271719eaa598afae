"""How the tensors of a block are laid out, and their view as feature maps (N, C, H, W).

Convolutional networks hold maps (N, C, H, W). Others hold them with the channels last (Swin), or as a row of tokens, one for
each patch of the image, with further tokens such as the class token beside them (ViT). A view only reorders numbers, so what
holds for every entry, such as identity + residual = sum, holds in the view.
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

    `kind` is "channels first" (N, C, H, W), "channels last" (N, H, W, C), "tokens" (N, T, C) of which those between `before`
    and `after` are the `grid` (H, W) row by row, or "row" for whatever has no known place in the image: its positions stand
    side by side, (N, C, 1, T), and `channels` is the axis of the channels, counted from the end. `before` and `after` name the
    tokens that are no patch. `axis` is the axis of the images, and `rows` how many of its entries belong to one image, where a
    network folds windows into it. `note` says why there is no place in the image, "" where there is.
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
        """Whether every position of the view has its place in the image."""
        return self.kind != "row"

    @property
    def apart(self) -> tuple[str, ...]:
        """The tokens that are not in the view."""
        return self.before + self.after

    def of_image(self, values: Tensor, number: int) -> Tensor:
        """Return what belongs to one image, with all axes."""
        return values.narrow(self.axis, number * self.rows, self.rows)

    def but_first(self, values: Tensor) -> Tensor:
        """Return what belongs to all images but the first, with all axes."""
        return values.narrow(self.axis, self.rows, values.shape[self.axis] - self.rows)

    def count(self, values: Tensor) -> int:
        """Return the number of images."""
        return values.shape[self.axis] // self.rows

    def joined(self, values: Sequence[Tensor]) -> Tensor:
        """Put the images of several tensors behind one another."""
        return torch.cat(list(values), self.axis)

    def images(self, values: Tensor) -> Tensor:
        """Return the tensor with one entry of the first axis for each image."""
        if self.axis:
            values = values.movedim(self.axis, 0)
        return values if self.rows == 1 else values.reshape(-1, self.rows, *values.shape[1:])

    def native(self, values: Tensor) -> Tensor:
        """Undo `images`."""
        if self.rows > 1:
            values = values.flatten(0, 1)
        return values.movedim(0, self.axis) if self.axis else values

    def maps(self, values: Tensor) -> Tensor:
        """Return the tensor's view as maps (N, C, H, W), without the tokens that are no patch."""
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
        """Return the tokens that are no patch, (N, tokens, C)."""
        each = self.images(values)
        return torch.cat([each[:, : len(self.before)], each[:, each.shape[1] - len(self.after) :]], 1)

    def _grid_of(self, count: int) -> tuple[int, int]:
        """Return the grid of so many patches: images of another size than the traced one have a square of them."""
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
