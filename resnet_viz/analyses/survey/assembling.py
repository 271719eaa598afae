"""Combining batches into a part of a survey: images that can go through the network in one pass, and bad images among them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from resnet_viz.analyses.survey.manifest import Manifest
from resnet_viz.analyses.survey.measuring import MEASURED
from resnet_viz.analyses.survey.parts import SurveyPart
from resnet_viz.analyses.survey.passes import Passed, run_pass
from resnet_viz.analyses.survey.peaks import PeakKeeper
from resnet_viz.analyses.survey.sources import Item
from resnet_viz.nets.net import Net


class Opened(Protocol):
    """An image that was opened, or the message that says why it could not be opened."""

    @property
    def item(self) -> Item:
        """The image."""

    @property
    def x(self) -> Tensor | None:
        """Its input, (1, 3, H, W), or None if the image could not be opened."""

    @property
    def sentence(self) -> str:
        """Why the image could not be opened, or ""."""


@dataclass(eq=False)
class PartBuilder:
    """Collects batches until a part is complete."""

    net: Net
    manifest: Manifest
    _items: list[Item] = field(default_factory=list)
    _sentences: list[str] = field(default_factory=list)
    _passed: list[tuple[list[int], Passed]] = field(default_factory=list)
    _shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        """Start with an empty list of the strongest images of each channel."""
        self._keeper = PeakKeeper(self.manifest.channels, self.manifest.strongest) if self.manifest.strongest else None

    def __len__(self) -> int:
        """The number of images so far."""
        return len(self._items)

    def add(self, batch: Sequence[Opened]) -> None:
        """Run the images of a batch through the network, in one pass where memory allows."""
        positions, inputs = [], []
        for ready in batch:
            sentence = ready.sentence or _misfit(ready.x, self._wanted(ready.x))
            if not sentence and ready.x is not None:
                positions.append(len(self._items))
                inputs.append(ready.x)
            self._items.append(ready.item)
            self._sentences.append(sentence)
        if inputs:
            self._run(self.net.twin(), torch.cat(inputs), positions)

    def part(self) -> SurveyPart:
        """Return everything that was collected."""
        count, blocks = len(self._items), len(self.manifest.blocks)
        predicted = np.full(count, -1, np.int64)
        logits, probabilities = np.full((2, count), np.nan, np.float32)
        measures = np.full((count, blocks, len(MEASURED)), np.nan, np.float32)
        for positions, passed in self._passed:
            predicted[positions], logits[positions] = passed.predicted, passed.logits
            probabilities[positions], measures[positions] = passed.probabilities, passed.measures
        keeper = self._keeper or PeakKeeper(self.manifest.channels, 0)
        return SurveyPart(
            names=tuple(item.name for item in self._items),
            classes=tuple(item.label.name for item in self._items),
            class_indices=np.array([item.label.index for item in self._items], np.int64),
            sentences=tuple(self._sentences),
            predicted=predicted,
            logits=logits,
            probabilities=probabilities,
            measures=measures,
            peaks=keeper.peaks,
        )

    def _wanted(self, x: Tensor | None) -> tuple[int, ...] | None:
        if self._shape is None and x is not None:
            self._shape = tuple(x.shape)
        return self._shape

    def _run(self, twin: nn.Module, x: Tensor, positions: list[int]) -> None:
        """Run the inputs in one pass, or in halves if memory does not suffice. A single image must fit."""
        try:
            self._passed.append((positions, run_pass(self.net, twin, x, self._keeper, positions)))
        except torch.OutOfMemoryError:
            if len(positions) == 1:
                raise
            half = len(positions) // 2
        else:
            return
        # Outside the handler, because the frames of the exception hold the tensors until the handler ends.
        torch.cuda.empty_cache()
        self._run(twin, x[:half], positions[:half])
        self._run(twin, x[half:], positions[half:])


def _misfit(x: Tensor | None, wanted: tuple[int, ...] | None) -> str:
    """Say why an input cannot go through the network together with the others, or return ""."""
    if x is None or wanted is None:
        return ""
    if tuple(x.shape) != wanted:
        return (
            f"This tensor has the shape {tuple(x.shape[1:])} and the first one {tuple(wanted[1:])}: give tensors of one"
            " shape, or PIL images, which are brought to one size."
        )
    if not bool(torch.isfinite(x).all()):
        return "This tensor holds NaN or infinite values, of which nothing can be measured: check how it was made."
    return ""
