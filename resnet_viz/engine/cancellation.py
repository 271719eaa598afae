"""A network whose passes can be stopped between two blocks, forwards and backwards, whatever analysis runs them."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor, nn

from resnet_viz.nets.blocks import blocks_of
from resnet_viz.nets.net import Net


@dataclass(frozen=True, eq=False)
class InterruptibleNet(Net):
    """A network that calls `check` at every block of every pass of its twins: what that raises ends the pass."""

    check: Callable[[], None] = field(kw_only=True)

    @classmethod
    def of(cls, net: Net, check: Callable[[], None]) -> "InterruptibleNet":
        """Watch a network, which stays as it is."""
        return cls(**vars(net), check=check)

    def twin(self) -> nn.Module:
        """Return a twin that checks."""
        twin = super().twin()
        for block in blocks_of(twin).values():
            block.fork.register_forward_pre_hook(self._before)
        return twin

    def _before(self, _: nn.Module, args: tuple[Tensor, ...]) -> None:
        self.check()
        if args[0].requires_grad:
            args[0].register_hook(self._behind)

    def _behind(self, _: Tensor) -> None:
        self.check()
