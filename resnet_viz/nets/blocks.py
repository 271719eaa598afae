r"""Residual blocks with named places for the identity path, the residual branch and the sum.

The blocks of He et al. 2015 (https://arxiv.org/abs/1512.03385, Fig. 2 and 5), found in the graph of a network:

    x -> fork -> (projection, padding, pool) -> shortcut -> identity --+
           \--> layers of the branch ------------> residual ---------- + -> sum -> output

`fork`, `shortcut`, `residual`, `sum` and `output` are modules without parameters that the network calls, so hooks, Captum and
ablation find the same places in every network, and the parameters keep their names. The layers themselves stay where the
network has them. A plain block has no shortcut: its sum is the residual.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from resnet_viz.nets.layouts import TensorLayout
from resnet_viz.nets.source_code import Call

# "norm" is a single normalisation; "mixed" is several of these in one shortcut, or anything else.
ShortcutKind = Literal["identity", "zero-pad", "projection", "pool", "norm", "mixed", "none"]
BlockPlace = Literal["x", "identity", "residual", "sum", "output"]


class Fork(nn.Module):
    """The block's input x, passed to the shortcut and to the residual branch."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return x twice; a hook may replace them by two separate nodes."""
        return x, x


class Sum(nn.Module):
    """The element-wise addition that makes a block residual."""

    def __init__(self, *, residual_first: bool = False) -> None:
        super().__init__()
        # Which one the network adds to which decides how the sum lies in memory, and so how later layers round.
        self.residual_first = residual_first

    def forward(self, identity: Tensor, residual: Tensor) -> Tensor:
        """Return identity + residual, both (N, C, H, W)."""
        return residual + identity if self.residual_first else identity + residual


@dataclass(frozen=True)
class FunctionLines:
    """The lines of a function that compute a block: a line's number, the part of the block, and whether it computes its tensor.

    `call` is a line in that function.
    """

    call: Call
    lines: tuple[tuple[int, BlockPlace, bool], ...]


@dataclass(frozen=True)
class BlockFacts:
    """What is known about a block from tracing one pass.

    `path` is the module that contains the addition and `kind` that module's class; `shape` is the sum's shape without the image
    axis, (C, H, W), (H, W, C) or (tokens, C); `layout` says which, and `input_layout` says it of the block's input.
    `activation` is the class of the activation after the sum, "" for none. `layers` and `parameters` are names in the network,
    including the shortcut, `branch_layers` the computing layers of the branch; `multiply_adds` are those for one image of the
    traced size. `input_used_elsewhere` says whether other layers than this block use its input, `ways_share` whether the
    shortcut begins with a part of the branch. `code` are the functions that compute the block as far as the tracer recorded
    them, from the one around all of it to the one that adds.
    """

    name: str
    stage: int
    shortcut: ShortcutKind
    path: str
    kind: str
    shape: tuple[int, ...]
    layout: TensorLayout
    input_layout: TensorLayout
    input_shape: tuple[int, ...]
    activation: str
    layers: tuple[str, ...]
    branch_layers: tuple[str, ...]
    parameters: tuple[str, ...]
    parameter_count: int
    input_used_elsewhere: bool
    ways_share: bool
    multiply_adds: int
    code: tuple[FunctionLines, ...]


class ResidualBlock(nn.Module):
    """The places of a block that was found in a graph: `fork`, `shortcut`, `residual`, `sum` and `output`.

    The network calls these places; the block itself is never called. `output` is the activation after the sum, or passes the
    sum on if there is none. A plain block has no `shortcut`.
    """

    shortcut: nn.Module
    sum: nn.Module

    def __init__(self, facts: BlockFacts, activation: nn.Module, *, residual_first: bool = False) -> None:
        super().__init__()
        self.facts = facts
        self.fork = Fork()
        self.residual = nn.Identity()
        if facts.shortcut == "none":
            self.sum = nn.Identity()
        else:
            self.shortcut = nn.Identity()
            self.sum = Sum(residual_first=residual_first)
        self.output = activation

    @property
    def places(self) -> dict[str, nn.Module]:
        """The places by name, as `named_children` has them, in a tenth of the time."""
        return self._modules  # type: ignore[return-value]  # none of them is None

    @property
    def name(self) -> str:
        """The name of the module that contains the block: "layer2.0"."""
        return self.facts.name

    @property
    def stage(self) -> int:
        """The number of the stage, from 1."""
        return self.facts.stage

    @property
    def shortcut_kind(self) -> ShortcutKind:
        """How x reaches the sum."""
        return self.facts.shortcut

    @property
    def layout(self) -> TensorLayout:
        """The layout of the tensors of identity, residual, sum and output."""
        return self.facts.layout

    @property
    def input_layout(self) -> TensorLayout:
        """The layout of the input of the block."""
        return self.facts.input_layout

    @property
    def activation(self) -> str:
        """The class of the activation after the sum, or "" if there is none."""
        return self.facts.activation

    @property
    def keeps_shape(self) -> bool:
        """Whether the output has the shape of the input."""
        return self.facts.input_shape == self.facts.shape

    def activated(self, total: Tensor) -> Tensor:
        """Return the block's output for a sum, without calling a hook."""
        output: Tensor = self.output.forward(total)
        return output

    def forward(self, _: Tensor) -> Tensor:
        """Raise TypeError: the network calls the places, not the block."""
        raise TypeError(f"block {self.name} is a part of its network's graph. Run the network on an image, not the block")

    def extra_repr(self) -> str:
        """Name the block and its shortcut."""
        return f"{self.name}, stage={self.stage}, shortcut={self.shortcut_kind}"


def blocks_of(module: nn.Module) -> dict[str, ResidualBlock]:
    """Every block of a network by its name ("layer2.0"), in the order of the forward pass."""
    return {block.name: block for block in module.modules() if isinstance(block, ResidualBlock)}


def may_overwrite(layer: nn.Module) -> bool:
    """Whether a layer is a ReLU that may overwrite its input: neither other layers nor its gradient need the input."""
    return isinstance(layer, nn.ReLU) and getattr(layer, "may_overwrite", True)
