"""What a survey records about a series of consecutive images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.survey.manifest import Manifest
from resnet_viz.analyses.survey.measuring import MEASURED
from resnet_viz.analyses.survey.peaks import Peaks


@dataclass(frozen=True, eq=False)
class SurveyPart:
    """A series of consecutive images: what they are, what the network predicts, and the measures of every block.

    `names` are unique within a survey. `classes` are the true classes ("" if unknown) and `class_indices` their indices in the
    network (-1 if it does not have them). `sentences` say why an image could not be used ("" if it could). A bad image has the
    prediction -1 and NaN in place of numbers. `measures` is float32 (n, blocks, measures), in the order of `MEASURED`. The
    positions in `peaks` count from the first image of the part. `versions` tell images of the same name apart, and are needed
    only to resume a survey.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    class_indices: NDArray[np.int64]
    sentences: tuple[str, ...]
    predicted: NDArray[np.int64]
    logits: Array
    probabilities: Array
    measures: Array
    peaks: Peaks
    versions: tuple[str, ...] = ()

    def __len__(self) -> int:
        """The number of images."""
        return len(self.names)

    @property
    def nbytes(self) -> int:
        """Approximate memory in bytes."""
        arrays = (self.class_indices, self.predicted, self.logits, self.probabilities, self.measures, self.peaks)
        return sum(each.nbytes for each in arrays) + 100 * len(self)


def unused(names: Sequence[str], sentence: str, manifest: Manifest) -> SurveyPart:
    """Return the part of images that could not be used for one reason, such as files that never arrived."""
    count, unknown = len(names), np.full(len(names), -1, np.int64)
    missing = np.full(count, np.nan, np.float32)
    return SurveyPart(
        names=tuple(names),
        classes=("",) * count,
        class_indices=unknown,
        sentences=(sentence,) * count,
        predicted=unknown,
        logits=missing,
        probabilities=missing,
        measures=np.full((count, len(manifest.blocks), len(MEASURED)), np.nan, np.float32),
        peaks=Peaks.none(sum(manifest.channels), manifest.strongest),
    )


@dataclass(frozen=True, eq=False)
class SurveyedPart:
    """A part together with its manifest: the result of one run."""

    manifest_json: str
    part: SurveyPart

    @property
    def nbytes(self) -> int:
        """Approximate memory in bytes."""
        return len(self.manifest_json) + self.part.nbytes
