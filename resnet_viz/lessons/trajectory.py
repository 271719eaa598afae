"""Which way did training take over its loss landscape? The checkpoints of a run, projected onto a plane.

Random directions hardly show it, because they are nearly orthogonal to every change that training made. Li et al. 2018
(https://arxiv.org/abs/1712.09913, section 7) take the first two principal components of the differences between all checkpoints
and the last one, and say how much of the way they explain.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.survey.classes import Labels
from resnet_viz.analyses.survey.sources import source_of
from resnet_viz.counting import counted
from resnet_viz.lessons.loss_landscape import POINTS, Plane, check_points, guessing, measured, moved_weights
from resnet_viz.nets.net import Net, WeightsOrigin, check_net
from resnet_viz.progress import OnProgress, ignore_progress

MOST_CHECKPOINTS, MOST_IMAGES = 100, 500
# How far the plane reaches beyond the way, as a share of its extent.
MARGIN = 0.25


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A run of training on the plane of its two principal components.

    `steps` is float32 (checkpoints, 2): where each checkpoint lies, the last one at (0, 0), in units of the weights.
    `explained` is the share of the squared distance to the last checkpoint that each direction explains, `losses` the loss at
    the checkpoints themselves, which lie beside the plane, float32 (checkpoints,). `loss` is that over the plane, float32
    (points, points), rows along `second`, columns along `first`; all are mean cross-entropies of the same `images` images.
    """

    model: str
    title: str
    weights: WeightsOrigin
    images: int
    guessing: float
    steps: Array
    explained: tuple[float, float]
    losses: Array
    first: Array
    second: Array
    loss: Array

    @property
    def nbytes(self) -> int:
        """Memory of all arrays in bytes."""
        return sum(each.nbytes for each in (self.steps, self.losses, self.first, self.second, self.loss))


def trajectory(
    checkpoints: Sequence[Net],
    images: Any,  # noqa: ANN401 - a folder, an archive, a list, a tensor or a data set
    *,
    labels: Labels | None = None,
    points: int = POINTS,
    on_point: OnProgress = ignore_progress,
) -> Trajectory:
    """Project a run of training onto its plane, and compute the loss there on images of known classes.

    `checkpoints` are one network at different times, first to last, each opened by `resnet_viz.load_checkpoint` for example;
    `images` and `labels` are those of `resnet_viz.survey`, at most 500 images. An image without a known class counts for the
    class that the last network predicts. Norms are those of the last checkpoint, as in `loss_landscape`. Costs a forward pass
    of all images for each of `points` x `points` points and each checkpoint; `on_point(done, total)` is called after each.

    ValueError for fewer than three checkpoints or more than 100, for different networks, for checkpoints that are all the same,
    and for no image or more than 500.
    """
    check_points(points)
    for net in checkpoints:
        check_net(net)
    if not 3 <= len(checkpoints) <= MOST_CHECKPOINTS:
        raise ValueError(
            f"{counted(len(checkpoints), 'checkpoint')} cannot be projected: a plane needs at least three of one run, and takes"
            f" at most {MOST_CHECKPOINTS}. Add some, or leave out some in between."
        )
    last = checkpoints[-1]
    differences = _differences(checkpoints)
    steps, directions, explained = _components(differences)
    batch, classes = _batch(last, images, labels)
    plane, total = Plane(last, directions=directions), points * points + len(checkpoints)
    first, second = (_axis(steps[:, number], points) for number in range(2))
    loss = np.empty((points, points), np.float32)
    for number, (b, a) in enumerate((b, a) for b in second.tolist() for a in first.tolist()):
        loss[divmod(number, points)] = measured(last, plane.at(a, b), [batch], classes)[0]
        on_point(number + 1, total)
    losses = np.empty(len(checkpoints), np.float32)
    for number, net in enumerate(checkpoints):
        losses[number] = measured(net, net.frugal_twin(), [batch.to(net.device)], classes.to(net.device))[0]
        on_point(points * points + number + 1, total)
    return Trajectory(
        last.name,
        last.title,
        last.weights,
        len(classes),
        guessing(len(last.labels), last.head),
        steps,
        explained,
        losses,
        first,
        second,
        loss,
    )


def _differences(checkpoints: Sequence[Net]) -> list[Tensor]:
    """For each parameter that the plane moves, (checkpoints, entries): its distance from the last checkpoint's."""
    weights = [moved_weights(net.twin()) for net in checkpoints]
    shapes = [[parameter.shape for parameter in each] for each in weights]
    if any(each != shapes[-1] for each in shapes):
        raise ValueError("these checkpoints are of different networks: give those of one training, first to last")
    return [
        torch.stack([(each.detach().cpu() - end.detach().cpu()).flatten() for each in parameters])
        for parameters, end in zip(zip(*weights, strict=True), weights[-1], strict=True)
    ]


def _components(differences: list[Tensor]) -> tuple[Array, tuple[list[Tensor], list[Tensor]], tuple[float, float]]:
    """The first two principal components of the differences: each step's place, the directions, and their shares.

    They follow from the products of all pairs of steps, which are few, and not from those of the weights, which are millions.
    """
    products = torch.stack([each.double() @ each.double().T for each in differences]).sum(0)
    values, vectors = torch.linalg.eigh(products)
    values, vectors = values.flip(0).clamp(min=0), vectors.flip(1)
    if not values[1] > 1e-12 * values[0]:
        raise ValueError("these checkpoints lie on a line or are all the same: give checkpoints of different epochs")
    scales = values[:2].sqrt()
    steps = (vectors[:, :2] * scales).float().numpy()
    first, second = ([(vectors[:, number] / scales[number]).float() @ each for each in differences] for number in range(2))
    shares = (values[:2] / values.sum()).tolist()
    return steps, (first, second), (shares[0], shares[1])


def _axis(places: Array, points: int) -> Array:
    low, high = float(places.min()), float(places.max())
    margin = MARGIN * (high - low)
    return np.linspace(low - margin, high + margin, points, dtype=np.float32)


def _batch(net: Net, images: Any, labels: Labels | None) -> tuple[Tensor, Tensor]:  # noqa: ANN401 - see `trajectory`
    """All images as one input, (N, 3, H, W), and their classes, (N,)."""
    items = list(islice(source_of(images, labels, net.labels), MOST_IMAGES + 1))
    if not 1 <= len(items) <= MOST_IMAGES:
        raise ValueError(f"no image, or more than {MOST_IMAGES}: the loss is computed for all of them at every point")
    contents = [item.open() for item in items]
    inputs = [each[None].float() if isinstance(each, Tensor) else net.preprocessing.tensor(each) for each in contents]
    batch = torch.cat(inputs).to(net.device)
    with torch.inference_mode():
        predicted = net.twin()(batch).argmax(1)
    known = torch.tensor([item.label.index for item in items], device=net.device)
    return batch, torch.where(known < 0, predicted, known)
