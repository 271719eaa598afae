"""One image, one class and a twin of the network, which every method receives; and how a long analysis reports and stops."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property

import torch
from PIL import Image
from torch import Tensor, nn

from resnet_viz.analyses.baselines import Baseline, baseline_tensor
from resnet_viz.nets.net import Net, check_net

# The number of pixels per pass at which a CPU is fast: eight images take 10% less time each than four. A GPU takes more.
CPU_PIXELS = 8 * 224 * 224
GPU_FACTOR = 8
_divisor = ContextVar("divisor", default=1)


@contextmanager
def smaller_passes(divisor: int) -> Iterator[None]:
    """Let passes in this context take this many times fewer images than usual, at least one."""
    token = _divisor.set(divisor)
    try:
        yield
    finally:
        _divisor.reset(token)


@dataclass(frozen=True, eq=False)
class Explained:
    """What every method receives: the twin may carry hooks, the network may not.

    `x` is the network input, (1, 3, H, W); `target` a class index.
    """

    net: Net
    twin: nn.Module
    seen: Image.Image
    x: Tensor
    target: int

    @property
    def batch(self) -> int:
        """How many images of this size go into one pass on this device."""
        return batch_of(self.x)

    @property
    def kept_batch(self) -> int:
        """How many images go into one pass that keeps every block's tensors: half as many pixels."""
        return batch_of(self.x, CPU_PIXELS // 2)

    @property
    def range(self) -> float:
        """The difference between the image's highest and lowest normalised value."""
        return (self.x.max() - self.x.min()).item()

    def logit(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> the target's logit (N,)."""
        logits: Tensor = self.twin(x)
        return logits[:, self.target]

    def gradient(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> d logit / d x of each image, of the same shape."""
        # Convolutions on a CPU are a few percent faster in the channels-last memory format.
        points = x.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
        return torch.autograd.grad(self._frugal(points)[:, self.target].sum(), points)[0].contiguous()

    @cached_property
    def _frugal(self) -> nn.Module:
        """A twin for passes that are not recorded."""
        return self.net.frugal_twin()

    def baseline(self, kind: Baseline, seed: int = 0) -> Tensor:
        """Return a baseline for this image, (1, 3, H, W)."""
        return baseline_tensor(self.net, kind, self.seen, seed)

    def difference(self, baseline: Tensor) -> float:
        """logit(image) - logit(baseline), the difference that a complete attribution adds up to."""
        with torch.no_grad():
            at_x, at_baseline = self.logit(torch.cat([self.x, baseline])).tolist()
        return float(at_x - at_baseline)

    def chunks(self, count: int, size: int = 0, *, soon: bool = False) -> Iterator[slice]:
        """Divide `count` images into passes of `size`, by default `batch`.

        If a map is wanted `soon`, the first of several passes takes a twentieth.
        """
        size = size or self.batch
        start, stop = 0, min(size, max(1, count // 20)) if soon and count > size else min(size, count)
        while start < count:
            yield slice(start, stop)
            start, stop = stop, min(stop + size, count)


def batch_of(x: Tensor, pixels: int = CPU_PIXELS) -> int:
    """How many images of the size of `x` (N, 3, H, W) go into one pass of so many pixels on a processor, more on a GPU."""
    factor = 1 if x.device.type == "cpu" else GPU_FACTOR
    most = max(1, min(64, pixels * factor // (x.shape[2] * x.shape[3])))
    return max(1, most // _divisor.get())


def explain(net: Net, image: Image.Image, target: int | str | None = None) -> Explained:
    """Prepare an image; without a target, the predicted class is used, which takes a forward pass.

    ValueError for an unknown class, ImageError for an image that cannot be used, TypeError for what is no network or no image.
    """
    check_net(net)
    seen, twin = net.preprocessing.seen(image), net.twin()
    x = net.preprocessing.normalise(seen).to(net.device)
    if target is not None:
        return Explained(net, twin, seen, x, net.class_index(target))
    with torch.no_grad():
        return Explained(net, twin, seen, x, int(twin(x).argmax()))
