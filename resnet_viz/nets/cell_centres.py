"""The pixel of the input at the centre of the receptive field of a cell in a feature map.

Position j of the output of a layer looks at inputs around j * stride - padding + dilation * (kernel - 1) / 2. Layers that halve
a map with an odd kernel and half of it as padding therefore centre cell 0 on pixel 0 and cell j on pixel j * jump. That is not
the centre of the square of jump by jump pixels that the cell covers on an enlarged map (Araujo et al. 2019,
https://distill.pub/2019/computing-receptive-fields).
"""

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class CellCentres:
    """The centre of the receptive field of cell j is `start` + j * `jump`, in pixels from the centre of the first pixel."""

    start: float
    jump: float

    def share(self, cell: int, side: int) -> float:
        """The position in an input of `side` pixels, from 0 (its edge) to 1."""
        return (self.start + cell * self.jump + 0.5) / side


def cell_centres(module: nn.Module, side: int, cells: int) -> CellCentres:
    """Return the centres for a map with this many cells across, of an input of `side` pixels.

    If the strided layers are not centred (patches without padding), the centre is that of the pixels that belong to the cell.
    """
    return centres_where(side, cells, centred=layers_are_centred(module))


def layers_are_centred(module: nn.Module) -> bool:
    """Whether every layer that reduces the size of maps looks equally far before and after a position."""
    return all(map(_is_centred, module.modules()))


def centres_where(side: int, cells: int, *, centred: bool) -> CellCentres:
    """Return the centres for a network whose layers are known to be centred or not (see `cell_centres`)."""
    jump = side / cells
    return CellCentres(0.0 if centred else (jump - 1) / 2, jump)


def _is_centred(layer: nn.Module) -> bool:
    """Whether a layer that reduces the size of maps looks equally far before and after a position."""
    if not isinstance(layer, nn.Conv2d | nn.MaxPool2d):
        return True
    kernel, stride, padding, dilation = (
        _number(getattr(layer, name)) for name in ("kernel_size", "stride", "padding", "dilation")
    )
    return stride == 1 or 2 * padding == dilation * (kernel - 1)


def _number(value: object) -> int:
    """The first number of a layer, equal across and down; a string stands for padding that keeps the size."""
    first = value[0] if isinstance(value, tuple) else value
    return first if isinstance(first, int) else -1
