"""Recording what every block computes, on a twin, with hooks that are always removed.

    >>> twin = net.twin()
    >>> with capture(twin) as tapes:
    ...     logits = twin(net.preprocess(image))
    >>> first = tapes[0]
    >>> bool((first.identity + first.residual == first.sum).all())
    True

The block's input is forked into two nodes of the autograd graph, one per path, so that the gradient through the shortcut and
the gradient through the residual branch can be computed separately.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from resnet_viz.nets.blocks import ResidualBlock, ShortcutKind, may_overwrite
from resnet_viz.nets.layouts import TensorLayout
from resnet_viz.progress import OnProgress


@dataclass
class Tape:
    """The tensors of one block as the network holds them, (N, C, H, W) or as `layout` says, recorded while the twin runs.

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
def capture(twin: nn.Module, on_block: OnProgress | None = None) -> Iterator[list[Tape]]:
    """Record every block of `twin` while the context is open; the list grows as blocks finish.

    `on_block(done, total)` is called after each block; an exception that it raises stops the pass. The hooks are removed in any
    case.
    """
    blocks: dict[str, ResidualBlock] = {}
    # One walk through the module tree: in a deep network, a second one takes as long as all its hooks.
    for layer in twin.modules():
        # Nothing reads the input of a ReLU before the last one of its block, so working in place saves memory.
        if may_overwrite(layer):
            layer.inplace = True  # type: ignore[assignment]
        elif isinstance(layer, ResidualBlock):
            blocks[layer.name] = layer
    for block in blocks.values():
        block.output.inplace = False  # type: ignore[assignment]
    tapes: list[Tape] = []
    with ExitStack() as hooks:
        for name, block in blocks.items():
            for handle in _hook(name, block, tapes, on_block, len(blocks)):
                hooks.callback(handle.remove)
        yield tapes


def _hook(
    name: str, block: ResidualBlock, tapes: list[Tape], on_block: OnProgress | None, total: int
) -> Iterator[RemovableHandle]:
    plain = block.shortcut_kind == "none"
    made: dict[str, Tensor] = {}

    def fork(_: nn.Module, args: tuple[Tensor, ...], __: object) -> tuple[Tensor, Tensor]:
        # If other layers use the block's input too, only the gradient through the block's own two paths is wanted.
        x = args[0].view_as(args[0]) if block.facts.input_used_elsewhere else args[0]
        made["input"], made["to_shortcut"], made["to_branch"] = x, x.view_as(x), x.view_as(x)
        return made["to_shortcut"], made["to_branch"]

    def add(_: nn.Module, args: tuple[Tensor, ...], result: Tensor) -> None:
        made["identity"], made["residual"], made["sum"] = args[0], args[-1], result

    def finish(_: nn.Module, __: object, output: Tensor) -> None:
        if plain:
            tape = Tape(name, block, made["input"], None, made["to_branch"], None, made["residual"], made["sum"], output)
        else:
            tape = Tape(name, block, **made, output=output)
        made.clear()
        tapes.append(tape)
        if on_block is not None:
            on_block(len(tapes), total)

    yield block.fork.register_forward_hook(fork)
    yield block.sum.register_forward_hook(add)
    yield block.output.register_forward_hook(finish)
