"""What a survey records of some images in a row."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.survey.peaks import Peaks


@dataclass(frozen=True, eq=False)
class SurveyPart:
    """Some images in a row: what they are, what the network predicts, and the measures of every block.

    `names` are unique in a survey; `classes` are the images' own classes ("" where nothing tells them) and `class_indices` the
    network's for them (-1 where it has none); `sentences` say why an image could not be used ("" where it could). A bad image
    has the prediction -1 and NaN in place of numbers. `measures` is float32 (n, blocks, measures), in the order of `MEASURED`.
    The positions in `peaks` count from the part's first image.
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

    def __len__(self) -> int:
        """How many images."""
        return len(self.names)

    @property
    def nbytes(self) -> int:
        """Memory in bytes, about."""
        arrays = (self.class_indices, self.predicted, self.logits, self.probabilities, self.measures, self.peaks)
        return sum(each.nbytes for each in arrays) + 100 * len(self)


@dataclass(frozen=True, eq=False)
class SurveyedPart:
    """A part together with its manifest: what one run hands over."""

    manifest_json: str
    part: SurveyPart

    @property
    def nbytes(self) -> int:
        """Memory in bytes, about."""
        return len(self.manifest_json) + self.part.nbytes
