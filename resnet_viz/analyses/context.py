"""One picture, one class and a twin of the network, ready to be explained; and the way a long analysis reports and stops."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property

import torch
from PIL import Image
from torch import Tensor, nn

from resnet_viz.analyses.baselines import Baseline, baseline_tensor
from resnet_viz.nets.net import Net

# (done, total, what is known so far): what it raises cancels the analysis.
Tick = Callable[[int, int, Tensor | None], None]

# As many pixels a pass as make a processor fast: eight pictures take a tenth less each than four. A GPU takes more.
CPU_PIXELS = 8 * 224 * 224
GPU_FACTOR = 8
_divisor = ContextVar("divisor", default=1)


@contextmanager
def smaller_passes(divisor: int) -> Iterator[None]:
    """Let passes in this context take so many times fewer pictures than they would, at least one."""
    token = _divisor.set(divisor)
    try:
        yield
    finally:
        _divisor.reset(token)


def images_per_pass(pixels: int, size: tuple[int, int], device: torch.device) -> int:
    """Return how many images of a size, (height, width), go into a pass of so many pixels on a processor; a GPU takes more."""
    factor = 1 if device.type == "cpu" else GPU_FACTOR
    most = max(1, min(64, pixels * factor // (size[0] * size[1])))
    return max(1, most // _divisor.get())


def no_tick(_: int, __: int, ___: Tensor | None) -> None:
    """Report to nobody."""


@dataclass(frozen=True, eq=False)
class Explained:
    """What every method is given: the twin may carry hooks, the network may not.

    `x` is the picture as the network is given it, (1, 3, H, W); `target` a class index.
    """

    net: Net
    twin: nn.Module
    seen: Image.Image
    x: Tensor
    target: int

    @property
    def batch(self) -> int:
        """How many pictures of this size go into one pass on this device."""
        return self._fitting(CPU_PIXELS)

    @property
    def kept_batch(self) -> int:
        """How many go into one pass of which every block's tensors are kept: half as many pixels."""
        return self._fitting(CPU_PIXELS // 2)

    def _fitting(self, pixels: int) -> int:
        return images_per_pass(pixels, (self.x.shape[2], self.x.shape[3]), self.x.device)

    @property
    def range(self) -> float:
        """How far apart the picture's lowest and highest normalised values are."""
        return (self.x.max() - self.x.min()).item()

    def logit(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> the target's logit (N,)."""
        logits: Tensor = self.twin(x)
        return logits[:, self.target]

    def gradient(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> each picture's own d logit / d x, of the same shape."""
        # Convolutions on a processor are some percent faster when the channels of a pixel lie together.
        points = x.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
        return torch.autograd.grad(self._frugal(points)[:, self.target].sum(), points)[0].contiguous()

    @cached_property
    def _frugal(self) -> nn.Module:
        """A twin for passes that nobody looks into."""
        return self.net.frugal_twin()

    def baseline(self, kind: Baseline, seed: int = 0) -> Tensor:
        """Return a baseline for this picture, (1, 3, H, W)."""
        return baseline_tensor(self.net, kind, self.seen, seed)

    def difference(self, baseline: Tensor) -> float:
        """logit(image) - logit(baseline), the difference that a complete attribution adds up to."""
        with torch.no_grad():
            at_x, at_baseline = self.logit(torch.cat([self.x, baseline])).tolist()
        return float(at_x - at_baseline)

    def chunks(self, count: int, size: int = 0, *, soon: bool = False) -> Iterator[slice]:
        """Cut `count` pictures into passes of `size`, by default `batch`.

        Where a map is wanted `soon`, the first of several passes takes a twentieth.
        """
        size = size or self.batch
        start, stop = 0, min(size, max(1, count // 20)) if soon and count > size else min(size, count)
        while start < count:
            yield slice(start, stop)
            start, stop = stop, min(stop + size, count)


def explain(net: Net, image: Image.Image, target: int | str | None = None) -> Explained:
    """Prepare a picture; without a target the predicted class, which costs a forward pass."""
    seen, twin = net.preprocessing.seen(image), net.twin()
    x = net.preprocessing.normalise(seen).to(net.device)
    if target is not None:
        return Explained(net, twin, seen, x, net.class_index(target))
    with torch.no_grad():
        return Explained(net, twin, seen, x, int(twin(x).argmax()))
