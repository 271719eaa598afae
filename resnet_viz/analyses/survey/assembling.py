"""Combining batches into a part of a survey: images that can go through the network in one pass, and bad images among them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from resnet_viz.analyses.inspection import NO_PREDICTION
from resnet_viz.analyses.survey.items import Item
from resnet_viz.analyses.survey.manifest import Manifest
from resnet_viz.analyses.survey.measuring import MEASURED
from resnet_viz.analyses.survey.parts import SurveyPart
from resnet_viz.analyses.survey.passes import Passed, run_pass
from resnet_viz.analyses.survey.peaks import PeakKeeper
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

    @property
    def version(self) -> str:
        """What tells it from another image of the same name."""


@dataclass(frozen=True, eq=False)
class _Batch:
    """A batch after its passes: its items, why they could not be used, their versions, and what the passes found."""

    items: list[Item]
    sentences: list[str]
    versions: list[str]
    passed: list[tuple[list[int], Passed]]


@dataclass(eq=False)
class PartBuilder:
    """Collects batches until a part is complete. A batch that is interrupted leaves no trace."""

    net: Net
    manifest: Manifest
    _batches: list[_Batch] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start with an empty list of the strongest images of each channel."""
        self._keeper = PeakKeeper(self.manifest.channels, self.manifest.strongest) if self.manifest.strongest else None

    def __len__(self) -> int:
        """The number of images so far."""
        return sum(len(batch.items) for batch in self._batches)

    @property
    def bad(self) -> int:
        """The number of images so far that could not be used."""
        return sum(bool(sentence) for batch in self._batches for sentence in batch.sentences)

    def add(self, batch: Sequence[Opened]) -> None:
        """Run the images of a batch through the network, in one pass where memory allows."""
        first = len(self)
        sentences = [ready.sentence or _misfit(ready, self.manifest.size) for ready in batch]
        usable = [(first + number, ready.x) for number, ready in enumerate(batch) if not sentences[number]]
        positions = [position for position, x in usable if x is not None]
        done = _Batch([each.item for each in batch], sentences, [each.version for each in batch], [])
        keeper = None if self._keeper is None else self._keeper.copy()
        if positions:
            inputs = torch.cat([x for _, x in usable if x is not None])
            self._run(inputs, positions, keeper, done)
        for where, passed in done.passed:
            for position, predicted in zip(where, passed.predicted, strict=True):
                if predicted < 0:
                    sentences[position - first] = NO_PREDICTION
        self._batches.append(done)
        self._keeper = keeper

    def part(self) -> SurveyPart:
        """Return everything that was collected."""
        count, blocks = len(self), len(self.manifest.blocks)
        predicted = np.full(count, -1, np.int64)
        logits, probabilities = np.full((2, count), np.nan, np.float32)
        measures = np.full((count, blocks, len(MEASURED)), np.nan, np.float32)
        for positions, passed in (each for batch in self._batches for each in batch.passed):
            predicted[positions], logits[positions] = passed.predicted, passed.logits
            probabilities[positions], measures[positions] = passed.probabilities, passed.measures
        items = [item for batch in self._batches for item in batch.items]
        keeper = self._keeper or PeakKeeper(self.manifest.channels, 0)
        return SurveyPart(
            names=tuple(item.name for item in items),
            classes=tuple(item.label.name for item in items),
            class_indices=np.array([item.label.index for item in items], np.int64),
            sentences=tuple(sentence for batch in self._batches for sentence in batch.sentences),
            predicted=predicted,
            logits=logits,
            probabilities=probabilities,
            measures=measures,
            peaks=keeper.peaks,
            versions=tuple(version for batch in self._batches for version in batch.versions),
        )

    def _run(self, x: Tensor, positions: list[int], keeper: PeakKeeper | None, done: _Batch) -> None:
        """Run the inputs in one pass, or in halves if memory does not suffice. A single image must fit."""
        try:
            done.passed.append((positions, run_pass(self.net, x, keeper, positions)))
        except (RuntimeError, MemoryError) as error:
            if len(positions) == 1 or not _is_lack_of_memory(error):
                raise
            half = len(positions) // 2
        else:
            return
        # Outside the handler, because the frames of the exception hold the tensors until the handler ends.
        torch.cuda.empty_cache()
        self._run(x[:half], positions[:half], keeper, done)
        self._run(x[half:], positions[half:], keeper, done)


def _is_lack_of_memory(error: BaseException) -> bool:
    # On a CPU, torch has no error of its own for it.
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)


def _misfit(ready: Opened, size: tuple[int, int]) -> str:
    """Say why an input cannot go through the network together with the others, or return ""."""
    if ready.x is None or tuple(ready.x.shape[2:]) == size:
        return ""
    return (
        f"This input has the shape {tuple(ready.x.shape[1:])}, and the first one {(3, *size)}: give tensors of one shape, or"
        " images alone, which are brought to one size."
    )
