"""The loss around trained weights: a plane through them, normalised filter by filter.

Li et al. 2018 (https://arxiv.org/abs/1712.09913, section 4): two random directions d and e span a plane through the weights w*,
and the loss is drawn over w* + a d + b e. Each filter of a direction gets the norm of the same filter of w*, so that networks
whose weights differ in scale can be compared. Biases and the parameters of norms stay fixed, and batch norms keep their
statistics, as in the paper.

For the shipped networks, the loss of training images was recorded (see `loss_landscape_recorded`). For any network, the loss of
one image can be computed live. It says less, because no network is trained on a single image.
"""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_viz.analyses.activations import Array
from resnet_viz.nets.net import Head, Net, WeightsOrigin, check_net
from resnet_viz.progress import OnPartial

SPAN = 1.0
POINTS, MOST_POINTS = 15, 101


@dataclass(frozen=True, eq=False)
class Landscape:
    """The mean cross-entropy over a plane, float32 (points, points): rows are b, columns are a, both from -span to span.

    `error` is the share of images that are classified wrongly, with the same shape. `images` is the number of images,
    `measured_on` describes them, and `guessing` is the loss of equal probabilities for all classes.
    """

    model: str
    title: str
    weights: WeightsOrigin
    seed: int
    span: float
    images: int
    measured_on: str
    guessing: float
    loss: Array
    error: Array

    @property
    def nbytes(self) -> int:
        """Memory of all arrays in bytes."""
        return self.loss.nbytes + self.error.nbytes

    @property
    def axis(self) -> Array:
        """The factors a, and b, of the points."""
        return np.linspace(-self.span, self.span, len(self.loss), dtype=np.float32)

    @property
    def centre(self) -> float:
        """The loss at the weights themselves."""
        return float(self.loss[len(self.loss) // 2, len(self.loss) // 2])

    @property
    def below_guessing(self) -> float:
        """The share of points with a loss below that of equal probabilities."""
        return float((self.loss < self.guessing).mean())


class LandscapePoint(NamedTuple):
    """One point of the plane: its row and column, the mean loss, and the share of images that are classified wrongly."""

    row: int
    column: int
    loss: float
    error: float


class Plane:
    """A network that can be moved over the plane: `at(a, b)` returns the module with the weights w* + a d + b e.

    The directions are drawn with `seed` and normalised filter by filter, or given as a tensor for each moved parameter.
    """

    def __init__(self, net: Net, seed: int = 0, *, directions: tuple[list[Tensor], list[Tensor]] | None = None) -> None:
        self._module = net.frugal_twin()
        own: dict[int, nn.Parameter] = {}
        for module in self._module.modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                copied = own.setdefault(id(parameter), nn.Parameter(parameter.detach().clone(), requires_grad=False))
                setattr(module, name, copied)
        self._parameters = moved_weights(self._module)
        self._centre = [parameter.detach().clone() for parameter in self._parameters]
        if directions is None:
            generator = torch.Generator().manual_seed(seed)
            directions = (
                [filter_normalised(weights, generator) for weights in self._centre],
                [filter_normalised(weights, generator) for weights in self._centre],
            )
        self._first, self._second = (
            [given.view_as(weights).to(weights) for given, weights in zip(each, self._centre, strict=True)]
            for each in directions
        )

    def at(self, a: float, b: float) -> nn.Module:
        """Move the weights; the same module is returned each time."""
        with torch.no_grad():
            for parameter, centre, first, second in zip(self._parameters, self._centre, self._first, self._second, strict=True):
                parameter.copy_(centre).add_(first, alpha=a).add_(second, alpha=b)
        return self._module


def moved_weights(module: nn.Module) -> list[nn.Parameter]:
    """The parameters that a plane moves: weights of layers, without biases and the parameters of norms."""
    return [parameter for parameter in module.parameters() if parameter.ndim > 1]


def filter_normalised(weights: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a direction with the shape (filters, ...) of some weights, each filter with the norm of the corresponding one."""
    drawn = torch.randn(weights.shape, generator=generator).to(weights)
    norms = drawn.flatten(1).norm(dim=1).clamp(min=1e-10)
    factors = weights.flatten(1).norm(dim=1) / norms
    scaled: Tensor = drawn * factors.view(-1, *[1] * (weights.ndim - 1))
    return scaled


def loss_landscape(
    net: Net,
    image: Image.Image,
    target: int | str | None = None,
    points: int = POINTS,
    seed: int = 0,
    *,
    on_point: OnPartial[Array] | None = None,
) -> Landscape:
    """Compute the loss of one image over the plane around the weights of a network, at `points` x `points` points.

    The target is by default the predicted class. The cost is one forward pass per point. `on_point(done, total, loss so far)`
    is called after each; an exception that it raises cancels. Raises ValueError for a class that the network does not have, and
    if `points` is even, below 3 or above 101 (the central point is the network itself).
    """
    check_net(net)
    check_points(points)
    chosen = None if target is None else net.class_index(target)
    x = net.preprocess(image)
    if chosen is None:
        with torch.inference_mode():
            chosen = int(net.twin()(x).argmax())
    loss, error = (np.full((points, points), np.nan, np.float32) for _ in range(2))
    labels = torch.tensor([chosen], device=x.device)
    for done, point in enumerate(walk(net, seed, points, [x], labels), start=1):
        loss[point.row, point.column], error[point.row, point.column] = point.loss, point.error
        if on_point is not None:
            on_point(done, points * points, loss.copy())
    about = f"one image, for the class {net.labels[chosen]}"
    return Landscape(net.name, net.title, net.weights, seed, SPAN, 1, about, guessing(len(net.labels), net.head), loss, error)


def check_points(points: int) -> None:
    """Raise ValueError for a number of points per side that has no centre or is out of range."""
    if points % 2 == 0 or not 3 <= points <= MOST_POINTS:
        raise ValueError(
            f"{points} points per side: choose an odd number from 3 to {MOST_POINTS}, because the one in the middle stands for"
            " the network's own weights"
        )


def guessing(classes: int, head: Head) -> float:
    """Return the loss of equal probabilities: the logarithm of the number of classes, or of 2 for a sigmoid."""
    return float(np.log(classes if head == "softmax" else 2))


def walk(
    net: Net, seed: int, points: int, batches: Sequence[Tensor], labels: Tensor, known: Container[tuple[int, int]] = ()
) -> Iterator[LandscapePoint]:
    """Measure the plane point by point, row by row, except for known points; images (N, 3, H, W) in batches."""
    plane, axis = Plane(net, seed), np.linspace(-SPAN, SPAN, points).tolist()
    for row, b in enumerate(axis):
        for column, a in enumerate(axis):
            if (row, column) not in known:
                yield LandscapePoint(row, column, *measured(net, plane.at(a, b), batches, labels))


def measured(net: Net, module: nn.Module, batches: Sequence[Tensor], labels: Tensor) -> tuple[float, float]:
    """The mean cross-entropy and the share of images that are classified wrongly."""
    with torch.inference_mode():
        logits = torch.cat([module(batch) for batch in batches]).double()
    if net.head == "softmax":
        return F.cross_entropy(logits, labels).item(), (logits.argmax(1) != labels).double().mean().item()
    right = logits.gather(1, labels[:, None])
    return -F.logsigmoid(right).mean().item(), (right <= 0).double().mean().item()
