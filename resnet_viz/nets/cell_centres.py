"""Which pixel of the input lies at the centre of what a cell of a feature map can see.

A layer's output position j looks at inputs around j * stride - padding + dilation * (kernel - 1) / 2. Layers that halve a map
with an odd kernel and half of it as padding therefore put cell 0 on pixel 0, and cell j on pixel j * jump: not in the middle of
the square of jump by jump pixels that it covers on an enlarged map (Araujo et al. 2019,
https://distill.pub/2019/computing-receptive-fields).
"""

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class CellCentres:
    """The centre of cell j's receptive field is `start` + j * `jump`, in pixels from the middle of the first one."""

    start: float
    jump: float

    def share(self, cell: int, side: int) -> float:
        """Where that is in an input of `side` pixels, from 0 (its edge) to 1."""
        return (self.start + cell * self.jump + 0.5) / side


def cell_centres(module: nn.Module, side: int, cells: int) -> CellCentres:
    """Return the centres of a map with so many cells across, of an input of `side` pixels.

    A network whose strided layers are not centred (patches without padding) has them in the middle of the pixels that belong
    to a cell.
    """
    return centres_where(side, cells, centred=layers_are_centred(module))


def layers_are_centred(module: nn.Module) -> bool:
    """Whether every layer that makes maps smaller looks at as much before a position as after it."""
    return all(map(_is_centred, module.modules()))


def centres_where(side: int, cells: int, *, centred: bool) -> CellCentres:
    """Return the centres for a network of which it is known whether its layers are centred, as of `cell_centres`."""
    jump = side / cells
    return CellCentres(0.0 if centred else (jump - 1) / 2, jump)


def _is_centred(layer: nn.Module) -> bool:
    """Whether a layer that makes maps smaller looks at as much before a position as after it."""
    if not isinstance(layer, nn.Conv2d | nn.MaxPool2d):
        return True
    kernel, stride, padding, dilation = (
        _number(getattr(layer, name)) for name in ("kernel_size", "stride", "padding", "dilation")
    )
    return stride == 1 or 2 * padding == dilation * (kernel - 1)


def _number(value: object) -> int:
    """The first of a layer's numbers, which are the same across and down; words stand for padding that keeps the size."""
    first = value[0] if isinstance(value, tuple) else value
    return first if isinstance(first, int) else -1
