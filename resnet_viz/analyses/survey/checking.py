"""What the rows of a survey file must be, so that everything that reads them later finds what it expects.

One column is read at a time: memory does not grow with the number of measures.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from resnet_viz.analyses.survey import rows as in_rows
from resnet_viz.analyses.survey.errors import SurveyError
from resnet_viz.analyses.survey.manifest import Manifest
from resnet_viz.analyses.survey.measuring import MEASURED
from resnet_viz.analyses.survey.peaks import Peaks
from resnet_viz.analyses.survey.rows import FACTS, Rows


def check_rows(rows: Rows, manifest: Manifest) -> None:
    """Check that classes are those of the network, and that every image that could be used has a number for every block.

    Raises ValueError, and what pyarrow raises for text and lists that are damaged.
    """
    facts = in_rows.read(rows, FACTS)
    facts.validate(full=True)
    bad = facts.column("error").is_valid()
    unpredicted = facts.column("predicted_index").is_null()
    if facts.column("image").null_count or not _all(pc.equal(unpredicted, bad)):
        raise ValueError("an image has no name, or no prediction and no error")
    for name in ("class_index", "predicted_index"):
        found = facts.column(name).drop_null()
        if len(found) and not 0 <= pc.min(found).as_py() <= pc.max(found).as_py() < len(manifest.labels):
            raise ValueError("a class is none of the network")
    for name in MEASURED:
        _check_measure(in_rows.read(rows, (name,)).column(name), bad, len(manifest.blocks))


def check_peaks(peaks: Peaks, manifest: Manifest, count: int) -> None:
    """Check that the strongest images are in the survey, and their places in the maps; ValueError."""
    known = peaks.images >= 0
    heights, widths = (
        np.repeat([block.shape[axis] for block in manifest.blocks], manifest.channels)[:, None] for axis in (1, 2)
    )
    in_maps = (peaks.rows >= 0) & (peaks.rows < heights) & (peaks.columns >= 0) & (peaks.columns < widths)
    right = (peaks.images < count) & in_maps & ~np.isnan(peaks.activations)
    if not right[known].all() or (peaks.images < -1).any():
        raise ValueError("the peaks are of other images or maps")


def _check_measure(column: pa.ChunkedArray, bad: pa.ChunkedArray, blocks: int) -> None:
    column.validate(full=True)
    whole = pc.equal(pc.list_value_length(column.drop_null()), blocks)
    if not (_all(pc.equal(column.is_null(), bad)) and _all(whole)):
        raise SurveyError("This survey does not have a number for every block and image: make the survey again.")


def _all(values: pa.ChunkedArray) -> bool:
    return bool(pc.all(values, min_count=0).as_py())
