"""A traced network: the forward pass of its graph over the module's own tree."""

from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from resnet_viz.nets.residual_graph.compiling import compiled
from resnet_viz.nets.residual_graph.finding import Hidden
from resnet_viz.nets.residual_graph.recording import Recorder, recording_graph, watches_everything
from resnet_viz.nets.residual_graph.sections import Section
from resnet_viz.nets.residual_graph.tracing import TracerName


@dataclass(frozen=True)
class Findings:
    """The result of tracing: the tracer, the shapes of an image and its output, and the residual additions that are not blocks.

    `exact` says whether the logits equal the module's bit for bit: if the module adds with a factor (`alpha`), the
    multiplication is a separate operation here, which rounds once more; and of x + a(x) + b(x), the branches are added first.
    `sections` are the parts that are not blocks. `chain` says whether the input of every block comes through the block before
    it, so that images may join the batch between blocks. `activations` are the classes of the activations that are modules,
    `other_nonlinear` names the other non-linear operations.
    """

    tracer: TracerName
    image_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    hidden: tuple[Hidden, ...]
    exact: bool
    sections: tuple[Section, ...]
    chain: bool
    activations: tuple[str, ...]
    other_nonlinear: tuple[str, ...]


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
        self._residual_pass = compiled(graph, tree)
        self._residual_recorded = compiled(recording_graph(graph, tree), tree)
        self.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) -> logits."""
        # Not while the network is traced: the places and activations of the trace must be modules.
        if type(pixels) is Tensor and not torch.compiler.is_compiling() and not watches_everything():
            return self.recorded_pass(pixels, Recorder())
        return self._residual_pass(self, pixels)

    def recorded_pass(self, pixels: Tensor, recorder: Recorder) -> Tensor:
        """(N, 3, H, W) -> logits, without a call of any place: the recorder gets their tensors. See `may_be_recorded`."""
        return self._residual_recorded(self, pixels, recorder)


def findings_of(module: nn.Module) -> Findings:
    """Return what tracing found of a network; TypeError for a module whose blocks were not looked for."""
    if not isinstance(module, ResidualNetwork):
        raise TypeError(f"the blocks of {type(module).__name__} were not found in its graph: open it by rv.from_module")
    return module.residual_findings
