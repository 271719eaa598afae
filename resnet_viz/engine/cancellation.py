"""A network with passes that can be stopped between two blocks, forwards and backwards, in any analysis."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor, nn

from resnet_viz.nets.blocks import blocks_of
from resnet_viz.nets.net import Net


@dataclass(frozen=True, eq=False)
class InterruptibleNet(Net):
    """A network that calls `check` at every block of every pass of its twins; an exception of `check` ends the pass."""

    check: Callable[[], None] = field(kw_only=True)

    @classmethod
    def of(cls, net: Net, check: Callable[[], None]) -> "InterruptibleNet":
        """Wrap a network, which stays unchanged."""
        return cls(**vars(net), check=check)

    def twin(self) -> nn.Module:
        """Return a twin that calls `check`."""
        twin = super().twin()
        for block in blocks_of(twin).values():
            block.fork.register_forward_pre_hook(lambda _, args: self.on_fork(args[0]))
        return twin

    def on_fork(self, x: Tensor) -> None:
        """Call `check`, now and when the gradient arrives here."""
        self.check()
        if x.requires_grad:
            x.register_hook(lambda _: self.check())
