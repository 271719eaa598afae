"""How similar are the gradients at two neighbouring images? Shattered gradients, along a line of images.

Balduzzi et al. 2017 (https://arxiv.org/abs/1702.08591, section 2, figure 1): before training, the gradients of a deep plain
network at neighbouring inputs resemble white noise, whereas those of a residual network stay correlated over a distance. Here,
the line leads from the mean colour to a given image, and the gradient is that of one logit. The autocorrelation at a lag of l
points is

    R(l) = mean_i <g_i - m, g_(i+l) - m> / mean_i |g_i - m|^2,    m the mean of all g_i

It is 1 at lag 0, and about 0 at all other lags for white noise. Untrained batch norms use the mean and variance of the points
on the line, as the paper uses those of a batch, and keep them while gradients are computed. Trained batch norms use their own
statistics.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from resnet_viz.analyses.context import batch_of
from resnet_viz.nets.net import Net, WeightsOrigin, check_net
from resnet_viz.progress import OnProgress

POINTS = 64
# Points that are farther apart have few partners on the line.
MOST_LAG = 0.5


@dataclass(frozen=True, eq=False)
class Autocorrelation:
    """R(l) of the gradients of one network on a line; `lags` are shares of its length, both float64.

    `target` is the class whose logit is differentiated.
    """

    model: str
    title: str
    weights: WeightsOrigin
    target: int
    target_label: str
    points: int
    lags: NDArray[np.float64]
    values: NDArray[np.float64]

    @property
    def nbytes(self) -> int:
        """Memory of all arrays in bytes."""
        return self.lags.nbytes + self.values.nbytes

    @property
    def reach(self) -> float:
        """The lag at which the autocorrelation first falls below 1/2, as a share of the line; inf if it never does."""
        below = np.flatnonzero(self.values < 0.5)
        if not len(below):
            return math.inf
        after = int(below[0])
        high, low = self.values[after - 1], self.values[after]
        return float(self.lags[after - 1] + (high - 0.5) / (high - low) * (self.lags[after] - self.lags[after - 1]))


def shattered_gradients(
    net: Net,
    image: Image.Image,
    target: int | str | None = None,
    points: int = POINTS,
    *,
    on_pass: OnProgress | None = None,
) -> Autocorrelation:
    """Correlate the gradients of the target logit at `points` images on the line from the mean colour to `image`.

    The target is by default the class that is predicted for the image. The cost is one forward and one backward pass per point,
    several together, and one more forward pass without training. `on_pass(done, total)` is called after each; an exception that
    it raises cancels. Raises ValueError for a class that the network does not have, and for fewer than 4 points.
    """
    check_net(net)
    if points < 4:
        raise ValueError(f"{points} points are too few for a line: choose 4 or more")
    chosen = None if target is None else net.class_index(target)
    x = net.preprocess(image)
    # Values are normalised: the mean colour is 0.
    with torch.inference_mode(mode=False):
        line = torch.linspace(0, 1, points, device=x.device).view(-1, 1, 1, 1) * x
        twin = net.twin() if net.weights.trained else _normed_on(net, line)
    with torch.no_grad():
        index = int(twin(x).argmax()) if chosen is None else chosen
    gradients, size = [], batch_of(x)
    for start in range(0, points, size):
        with torch.inference_mode(mode=False), torch.enable_grad():
            part = line[start : start + size].detach().requires_grad_()
            (found,) = torch.autograd.grad(twin(part)[:, index].sum(), part)
        gradients.append(found.flatten(1).cpu())
        if on_pass is not None:
            on_pass(start // size + 1, math.ceil(points / size))
    values = autocorrelation(torch.cat(gradients), int(MOST_LAG * points))
    lags = np.arange(len(values)) / (points - 1)
    return Autocorrelation(net.name, net.title, net.weights, index, net.labels[index], points, lags, values)


def autocorrelation(gradients: Tensor, most: int) -> NDArray[np.float64]:
    """(points, numbers) -> R(0) to R(most), float64; NaN if all gradients are equal."""
    centred = gradients.double() - gradients.double().mean(0)
    products = centred @ centred.T
    means = torch.stack([products.diagonal(lag).mean() for lag in range(most + 1)])
    values: NDArray[np.float64] = (means / means[0]).numpy()
    return values


def _normed_on(net: Net, line: Tensor) -> nn.Module:
    """Return a copy whose batch norms have the mean and variance of the points on the line, layer by layer."""
    twin = net.twin()
    for module in twin.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001 - the base of batch norms of every dimension
            module.reset_running_stats()
            module.momentum = None
            module.train()
    with torch.no_grad():
        twin(line)
    return twin.eval()
