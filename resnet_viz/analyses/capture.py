"""Recording what every block computes: without a hook where nobody watches the network, else with hooks on a twin.

    >>> with recording(net) as (run, tapes):
    ...     logits = run(net.preprocess(image))
    >>> first = tapes[0]
    >>> bool((first.identity + first.residual == first.sum).all())
    True

The block's input is forked into two nodes of the autograd graph, one per path, so that the gradient through the shortcut and
the gradient through the residual branch can be computed separately.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from resnet_viz.nets.blocks import ResidualBlock, ShortcutKind, may_overwrite
from resnet_viz.nets.layouts import TensorLayout
from resnet_viz.nets.net import Net
from resnet_viz.nets.residual_graph.network import ResidualNetwork
from resnet_viz.nets.residual_graph.recording import Recorder, may_be_recorded
from resnet_viz.progress import OnProgress


@dataclass
class Tape:
    """The tensors of one block as the network holds them, (N, C, H, W) or as `layout` says, recorded while the network runs.

    `to_shortcut` and `to_branch` are the two ends of the fork. A plain block has neither `to_shortcut` nor `identity`.
    `input_layout` is that of `input` and of the fork's ends, `layout` that of the rest.
    """

    name: str
    block: ResidualBlock
    input: Tensor
    to_shortcut: Tensor | None
    to_branch: Tensor
    identity: Tensor | None
    residual: Tensor
    sum: Tensor
    output: Tensor

    @property
    def stage(self) -> int:
        """The number of the stage: 2 for "layer2.0"."""
        return self.block.stage

    @property
    def layout(self) -> TensorLayout:
        """How identity, residual, sum and output are laid out."""
        return self.block.layout

    @property
    def input_layout(self) -> TensorLayout:
        """How the block's input and the fork's ends are laid out."""
        return self.block.input_layout

    @property
    def shortcut(self) -> ShortcutKind:
        """How x reaches the sum."""
        return self.block.shortcut_kind


@contextmanager
def recording(net: Net, on_block: OnProgress | None = None) -> Iterator[tuple[Callable[[Tensor], Tensor], list[Tape]]]:
    """Give a function that runs the network, images (N, 3, H, W) -> logits, and the list of tapes that a run fills.

    It runs on the network itself if nobody watches that, and otherwise on a new twin; both compute the same.
    """
    if isinstance(net.module, ResidualNetwork) and may_be_recorded(net.module):
        recorder = _TapeRecorder(on_block, len(net.blocks), net.on_fork)
        yield partial(net.module.recorded_pass, recorder=recorder), recorder.tapes
    else:
        twin = net.twin()
        with capture(twin, on_block) as tapes:
            yield twin, tapes


@contextmanager
def capture(twin: nn.Module, on_block: OnProgress | None = None) -> Iterator[list[Tape]]:
    """Record every block of `twin` while the context is open; the list grows as blocks finish.

    `on_block(done, total)` is called after each block; an exception that it raises stops the pass. The hooks are removed in any
    case.
    """
    blocks: list[ResidualBlock] = []
    # One walk through the module tree: in a deep network, a second one takes as long as all its hooks.
    for layer in twin.modules():
        # Nothing reads the input of a ReLU before the last one of its block, so working in place saves memory.
        if may_overwrite(layer):
            layer.inplace = True  # type: ignore[assignment]
        elif isinstance(layer, ResidualBlock):
            blocks.append(layer)
    for block in blocks:
        block.output.inplace = False  # type: ignore[assignment]
    recorder = _TapeRecorder(on_block, len(blocks))
    with ExitStack() as hooks:
        for block in blocks:
            for handle in _hook(block, recorder):
                hooks.callback(handle.remove)
        yield recorder.tapes


class _TapeRecorder(Recorder):
    """Fills a tape per block, and forks the block's input into two nodes of the autograd graph."""

    def __init__(self, on_block: OnProgress | None, total: int, on_fork: Callable[[Tensor], None] | None = None) -> None:
        self.tapes: list[Tape] = []
        self._on_block, self._total, self._on_fork = on_block, total, on_fork
        # The tensors of the blocks that are not finished yet: a block may stand in the branch of another.
        self._made: dict[ResidualBlock, dict[str, Tensor | None]] = {}

    def fork(self, block: ResidualBlock, x: Tensor) -> tuple[Tensor, Tensor]:
        if self._on_fork is not None:
            self._on_fork(x)
        # If other layers use the block's input too, only the gradient through the block's own two paths is wanted.
        x = x.view_as(x) if block.facts.input_used_elsewhere else x
        to_shortcut, to_branch = x.view_as(x), x.view_as(x)
        self._made[block] = {"input": x, "to_shortcut": to_shortcut, "to_branch": to_branch}
        return to_shortcut, to_branch

    def sum(self, block: ResidualBlock, identity: Tensor | None, residual: Tensor) -> Tensor:
        total: Tensor = residual if identity is None else block.sum.forward(identity, residual)
        self.added(block, identity, residual, total)
        return total

    def added(self, block: ResidualBlock, identity: Tensor | None, residual: Tensor, total: Tensor) -> None:
        """Record a sum."""
        made = self._made[block]
        made |= {"identity": identity, "residual": residual, "sum": total}
        if identity is None:
            made["to_shortcut"] = None

    def output(self, block: ResidualBlock, total: Tensor) -> Tensor:
        output = block.activated(total)
        self.finished(block, output)
        return output

    def finished(self, block: ResidualBlock, output: Tensor) -> None:
        """Record a block's output, with which its tape is complete."""
        self.tapes.append(Tape(block.name, block, **self._made.pop(block), output=output))  # type: ignore[arg-type]
        if self._on_block is not None:
            self._on_block(len(self.tapes), self._total)


def _hook(block: ResidualBlock, recorder: _TapeRecorder) -> Iterator[RemovableHandle]:
    def add(_: nn.Module, args: tuple[Tensor, ...], total: Tensor) -> None:
        recorder.added(block, args[0] if len(args) == 2 else None, args[-1], total)

    yield block.fork.register_forward_hook(lambda _, args, __: recorder.fork(block, args[0]))
    yield block.sum.register_forward_hook(add)
    yield block.output.register_forward_hook(lambda _, __, output: recorder.finished(block, output))
