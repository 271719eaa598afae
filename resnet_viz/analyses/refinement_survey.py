"""Do the blocks move features down the loss for many images, and not only for one? `refinement` for a whole set of images.

Jastrzebski et al. 2018 (https://arxiv.org/abs/1710.04773, section 3 and figure 3) average over a data set: a single image says
little of how a network works.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from resnet_viz.analyses.activations import Array, at_least_float32
from resnet_viz.analyses.capture import Tape, recording
from resnet_viz.analyses.objectives import Objective
from resnet_viz.analyses.refinement import losses_after_blocks
from resnet_viz.analyses.survey.classes import Labels
from resnet_viz.analyses.survey.errors import SurveyError
from resnet_viz.analyses.survey.items import ImageOpener
from resnet_viz.analyses.survey.running import Ready, Surveyor, SurveyProgress
from resnet_viz.analyses.survey.sources import source_of
from resnet_viz.images import open_image
from resnet_viz.nets.layouts import TensorLayout
from resnet_viz.nets.net import Net, WeightsOrigin, check_net

QUARTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True, eq=False)
class RefinementSurvey:
    """Every block as a step of refinement, for every image; NaN for what a block has not.

    `cosine_input` is cos(F(x), -dL/dx) with the gradient at the block's input and `cosine_sum` that at its sum, float32
    (images, blocks). `losses` is the cross-entropy before the first block and after each, with all later branches removed,
    float32 (images, blocks + 1). L is the loss of an image's own class where it is known, of the predicted class elsewhere:
    `known` of the images have a known class. `bad` names the images that could not be used, each with a sentence.
    """

    model: str
    title: str
    weights: WeightsOrigin
    images: tuple[str, ...]
    known: int
    blocks: tuple[str, ...]
    cosine_input: Array
    cosine_sum: Array
    losses: Array
    bad: tuple[tuple[str, str], ...]

    @property
    def nbytes(self) -> int:
        """Memory of all arrays in bytes."""
        return self.cosine_input.nbytes + self.cosine_sum.nbytes + self.losses.nbytes

    @property
    def down(self) -> Array:
        """The share of images in which F(x) points down the loss at a block's input, (blocks,); NaN where nothing tells."""
        known = np.isfinite(self.cosine_input)
        with np.errstate(invalid="ignore"):
            share: Array = np.where(known.any(0), (self.cosine_input > 0).sum(0) / known.sum(0), np.nan)
        return share

    def table(self) -> pd.DataFrame:
        """Return a row per block: medians and quartiles of both cosines and of the loss after it, and `down`."""
        columns: dict[str, Array] = {}
        for name, values in (
            ("cosine_input", self.cosine_input),
            ("cosine_sum", self.cosine_sum),
            ("loss", self.losses[:, 1:]),
        ):
            low, median, high = quartiles(values)
            columns |= {name: median, f"{name}_low": low, f"{name}_high": high}
        return pd.DataFrame(columns | {"down": self.down}, index=pd.Index(self.blocks, name="block"))


def refinement_survey(
    net: Net,
    images: Any,  # noqa: ANN401 - a folder, an archive, a list, a tensor or a data set
    *,
    labels: Labels | None = None,
    batch_size: int | None = None,
    opener: ImageOpener = open_image,
    on_progress: Callable[[SurveyProgress], None] | None = None,
) -> RefinementSurvey:
    """Compare every residual with the gradient of the loss, and measure the loss after each block, for many images.

    `images`, `labels` and `batch_size` are those of `resnet_viz.survey`: name the classes, by folders or labels, if you know
    them. Costs a forward and a backward pass for each batch, and a forward pass for each image and block. A bad image never
    stops it. What `on_progress` raises does.

    Raises:
        SurveyError: there are no images that can be used, or an archive is refused.
        ValueError: a label that cannot be meant.
    """
    check_net(net)
    source = source_of(images, labels, net.labels, opener)
    surveyor = Surveyor(net, batch_size, strongest=0)
    items = iter(source)
    if next(iter(source), None) is None:
        raise SurveyError(f"There are no images in {source.title}: give image files, or a data set with at least one image.")
    size = surveyor.pass_size(surveyor.manifest(source))
    found, bad, done = _Found([], [], [], [], 0), [], 0
    for batch in surveyor.batches(items, size):
        good = [ready for ready in batch if ready.x is not None]
        bad += [(ready.item.name, ready.sentence) for ready in batch if ready.x is None]
        if good:
            found.add(net, good)
        done += len(batch)
        if on_progress is not None:
            on_progress(SurveyProgress(done, source.count, len(bad)))
    if not found.names:
        raise SurveyError(f"None of the {done:,} images in {source.title} could be used. The first one: {bad[0][1]}")
    return RefinementSurvey(
        net.name,
        net.title,
        net.weights,
        tuple(found.names),
        found.known,
        tuple(net.blocks),
        np.concatenate(found.at_input),
        np.concatenate(found.at_sum),
        np.stack(found.losses),
        tuple(bad),
    )


def quartiles(values: Array) -> tuple[Array, Array, Array]:
    """The quartiles and the median over the images, (blocks,) each; NaN for a block without values."""
    whole = pd.DataFrame(values).quantile(list(QUARTILES)).to_numpy(np.float32)
    low, median, high = whole
    return low, median, high


@dataclass
class _Found:
    """What has been measured so far."""

    names: list[str]
    at_input: list[Array]
    at_sum: list[Array]
    losses: list[Array]
    known: int

    def add(self, net: Net, batch: list[Ready]) -> None:
        """Measure some images."""
        x = torch.cat([ready.x for ready in batch if ready.x is not None]).to(net.device)
        classes = torch.tensor([ready.item.label.index for ready in batch], device=net.device)
        with torch.inference_mode(mode=False), torch.enable_grad(), recording(net) as (run, tapes):
            logits: Tensor = run(x.detach().requires_grad_())
            targets: list[int] = torch.where(classes < 0, logits.detach().argmax(1), classes).tolist()
            rows = zip(logits[:, None], targets, strict=True)
            loss = torch.cat([Objective("cross-entropy", target, head=net.head)(row) for row, target in rows]).sum()
            found = iter(
                torch.autograd.grad(
                    loss, [tensor for tape in tapes for tensor in (tape.input, tape.sum)], materialize_grads=True
                )
            )
        cosines = [_cosines(tape, next(found), next(found)) for tape in tapes]
        self.at_input.append(torch.stack([at_input for at_input, _ in cosines], 1).float().cpu().numpy())
        self.at_sum.append(torch.stack([at_sum for _, at_sum in cosines], 1).float().cpu().numpy())
        for number, target in enumerate(targets):
            self.losses.append(np.array(losses_after_blocks(net, x[number : number + 1], target), np.float32))
        self.names += [ready.item.name for ready in batch]
        self.known += int((classes >= 0).sum())


def _cosines(tape: Tape, at_input: Tensor, at_sum: Tensor) -> tuple[Tensor, Tensor]:
    """The cosines of F(x) with the negative gradients at the input and at the sum, (N,) each."""
    missing = torch.full((tape.layout.count(tape.sum),), torch.nan, device=tape.sum.device)
    if tape.identity is None:
        return missing, missing
    residual = _rows(tape.residual, tape.layout)
    same_shape = tape.input.shape == tape.residual.shape
    with_input = _cosine(residual, -_rows(at_input, tape.input_layout)) if same_shape else missing
    return with_input, _cosine(residual, -_rows(at_sum, tape.layout))


def _rows(tensor: Tensor, layout: TensorLayout) -> Tensor:
    """A tensor of any layout -> (N, entries)."""
    rows: Tensor = layout.images(at_least_float32(tensor.detach())).flatten(1)
    return rows


def _cosine(one: Tensor, other: Tensor) -> Tensor:
    """NaN where either is 0."""
    sizes = torch.linalg.vector_norm(one, dim=1) * torch.linalg.vector_norm(other, dim=1)
    return torch.where(sizes > 0, ((one * other).sum(1) / sizes).clamp(-1, 1), torch.nan)
