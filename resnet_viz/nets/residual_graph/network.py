"""A traced network: the forward pass of its graph over the module's own tree, and blocks with named places."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

from resnet_viz.nets.blocks import Fork, ResidualBlock, ShortcutKind, Sum
from resnet_viz.nets.layouts import TensorLayout
from resnet_viz.nets.residual_graph.finding import Hidden
from resnet_viz.nets.residual_graph.sections import Section
from resnet_viz.nets.residual_graph.tracing import TracerName


@dataclass(frozen=True)
class BlockFacts:
    """What is known about a block from tracing one pass.

    `path` is the module that contains the addition and `kind` that module's class; `shape` is the sum's shape without the image
    axis, (C, H, W), (H, W, C) or (tokens, C); `layout` says which, and `input_layout` says it of the block's input.
    `activation` is the class of the activation after the sum, "" for none. `layers` and `parameters` are names in the network,
    including the shortcut, `branch_layers` the computing layers of the branch; `multiply_adds` are those for one image of the
    traced size. `input_used_elsewhere` says whether other layers than this block use its input, `ways_share` whether the
    shortcut begins with a part of the branch.
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


@dataclass(frozen=True)
class Findings:
    """The result of tracing: the tracer, the output shape for one image, and the residual additions that are not blocks.

    `exact` says whether the logits equal the module's bit for bit: if the module adds with a factor (`alpha`), the
    multiplication is a separate operation here, which rounds once more. `sections` are the parts that are not blocks. `chain`
    says whether the input of every block comes through the block before it, so that images may join the batch between blocks.
    `activations` are the classes of the activations that are modules, `other_nonlinear` names the other non-linear operations.
    """

    tracer: TracerName
    output_shape: tuple[int, ...]
    hidden: tuple[Hidden, ...]
    exact: bool
    sections: tuple[Section, ...]
    chain: bool
    activations: tuple[str, ...]
    other_nonlinear: tuple[str, ...]


class GraphBlock(ResidualBlock):
    """The places of a block that was found in a graph: `fork`, `shortcut`, `residual`, `sum` and `output`.

    The network calls these places; the block itself is never called. `output` is the activation after the sum, or passes the
    sum on if there is none.
    """

    def __init__(self, facts: BlockFacts, activation: nn.Module) -> None:
        super().__init__()
        self.facts = facts
        self.fork = Fork()
        self.shortcut = nn.Identity()
        self.residual = nn.Identity()
        self.sum = Sum()
        self.output = activation

    @property
    def relu(self) -> nn.Module:  # type: ignore[override]
        """The place of the output, under the name that the analyses use."""
        return self.output

    @property
    def input_used_elsewhere(self) -> bool:  # type: ignore[override]
        """Whether other layers than this block use its input."""
        return self.facts.input_used_elsewhere

    @property
    def ways_share(self) -> bool:  # type: ignore[override]
        """Whether the shortcut begins with a part of the branch."""
        return self.facts.ways_share

    @property
    def layout(self) -> TensorLayout:  # type: ignore[override]
        """The layout of the tensors of identity, residual, sum and output."""
        return self.facts.layout

    @property
    def input_layout(self) -> TensorLayout:  # type: ignore[override]
        """The layout of the input of the block."""
        return self.facts.input_layout

    @property
    def activation(self) -> str:  # type: ignore[override]
        """The class of the activation after the sum, or "" if there is none."""
        return self.facts.activation

    def name_at(self, _: str) -> str:
        """Return the name of the module that contains the block."""
        return self.facts.name

    def stage_of(self, _: str) -> int:
        """Return the number of the stage."""
        return self.facts.stage

    def activated(self, total: Tensor) -> Tensor:
        """Return the block's output for a sum, without calling a hook."""
        output: Tensor = self.output.forward(total)
        return output

    @property
    def shortcut_kind(self) -> ShortcutKind:
        """How x reaches the sum."""
        return self.facts.shortcut

    def forward(self, _: Tensor) -> Tensor:
        """Raise TypeError: the network calls the places, not the block."""
        raise TypeError(f"block {self.facts.name} is a part of its network's graph. Run the network on an image, not the block")

    def extra_repr(self) -> str:
        """Name the block and its shortcut."""
        return f"{self.facts.name}, stage={self.facts.stage}, shortcut={self.facts.shortcut}"


class ResidualNetwork(nn.Module):
    """A network with named places in its residual blocks; its logits and gradients are those of the traced module.

    Its modules and parameters have the module's own names. The blocks are in a separate child; `blocks_of` finds them.
    """

    def __init__(self, tree: nn.Module, graph: fx.Graph, findings: Findings) -> None:
        super().__init__()
        own = vars(self)
        for members in ("_modules", "_parameters", "_buffers", "_non_persistent_buffers_set"):
            own[members] = type(vars(tree)[members])(vars(tree)[members])
        own |= {name: value for name, value in vars(tree).items() if isinstance(value, Tensor)}
        self.residual_findings = findings
        self._residual_pass = _compile(graph)
        self.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) -> logits."""
        return self._residual_pass(self, pixels)


def _compile(graph: fx.Graph) -> Callable[[nn.Module, Tensor], Tensor]:
    """Make a function from a graph, as torch.fx does for a module."""
    code = graph.python_code("self")
    space: dict[str, Any] = dict(code.globals)
    exec(compile(code.src, "<residual graph>", "exec"), space)  # noqa: S102 - torch.fx wrote it from the nodes of the graph
    function: Callable[[nn.Module, Tensor], Tensor] = space["forward"]
    return function
