"""The output of every block with its autograd graph, with or without gradients through residual branches."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch import Tensor, nn

from resnet_viz.nets.blocks import blocks_of


@contextmanager
def recorded_outputs(twin: nn.Module, *, shortcuts_alone: bool) -> Iterator[list[Tensor]]:
    """Record all block outputs while the context is open; with `shortcuts_alone`, no gradient goes through a branch."""
    outputs: list[Tensor] = []

    def keep(_: nn.Module, __: object, output: Tensor) -> None:
        outputs.append(output)

    def stop(_: nn.Module, __: object, output: Tensor) -> Tensor:
        return output.detach()

    with ExitStack() as hooks:
        for block in blocks_of(twin).values():
            hooks.callback(block.output.register_forward_hook(keep).remove)
            if shortcuts_alone:
                hooks.callback(block.residual.register_forward_hook(stop).remove)
        yield outputs
