"""Parts of a survey as Arrow tables with one row per image: the content of Parquet files, read column by column."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.survey.errors import SurveyError
from resnet_viz.analyses.survey.manifest import Manifest
from resnet_viz.analyses.survey.measuring import MEASURED
from resnet_viz.analyses.survey.parts import SurveyPart

# One list per row, with a number for each block; null for an image that could not be used.
LISTS = pa.list_(pa.float32())
SCHEMA = pa.schema(
    [
        pa.field("image", pa.string(), nullable=False),
        pa.field("class", pa.string()),
        pa.field("class_index", pa.int32()),
        pa.field("predicted", pa.string()),
        pa.field("predicted_index", pa.int32()),
        pa.field("logit", pa.float32()),
        pa.field("probability", pa.float32()),
        pa.field("correct", pa.bool_()),
        pa.field("error", pa.string()),
        *(pa.field(name, LISTS) for name in MEASURED),
    ]
)
FACTS = tuple(name for name in SCHEMA.names if name not in MEASURED)

_DAMAGED = (pa.ArrowException, OSError, ValueError, LookupError, TypeError, MemoryError, OverflowError, zlib.error)

# Rows in memory, or a Parquet file whose columns are read on demand.
Rows: TypeAlias = pa.Table | Path


def to_table(part: SurveyPart, manifest: Manifest) -> pa.Table:
    """Return a part as a table. Values that are unknown or could not be measured are null."""
    bad = part.predicted < 0
    # With a single class every prediction is this class, right or wrong.
    unknown = bad | (part.class_indices < 0) | (len(manifest.labels) < 2)
    labels = np.array([*manifest.labels, ""], dtype=object)
    columns: dict[str, Any] = {
        "image": pa.array(part.names, pa.string()),
        "class": pa.array([name or None for name in part.classes], pa.string()),
        "class_index": pa.array(part.class_indices, pa.int32(), mask=part.class_indices < 0),
        "predicted": pa.array(labels[part.predicted], pa.string(), mask=bad),
        "predicted_index": pa.array(part.predicted, pa.int32(), mask=bad),
        "logit": pa.array(part.logits, pa.float32(), mask=bad),
        "probability": pa.array(part.probabilities, pa.float32(), mask=bad),
        "correct": pa.array(part.predicted == part.class_indices, mask=unknown),
        "error": pa.array([sentence or None for sentence in part.sentences], pa.string()),
    }
    for number, name in enumerate(MEASURED):
        columns[name] = _lists(part.measures[:, :, number], bad)
    return pa.table(columns, schema=SCHEMA)


def read(rows: Rows, columns: tuple[str, ...]) -> pa.Table:
    """Return some of the columns."""
    if isinstance(rows, Path):
        with reading(rows):
            return pq.read_table(rows, columns=list(columns), memory_map=True, page_checksum_verification=True)
    return rows.select(list(columns))


def count(rows: Rows) -> int:
    """The number of images."""
    if isinstance(rows, Path):
        with reading(rows):
            return int(pq.read_metadata(rows).num_rows)
    return int(rows.num_rows)


@contextmanager
def reading(source: object) -> Iterator[None]:
    """Turn whatever reading a damaged or missing file raises into a SurveyError."""
    try:
        yield
    except SurveyError:
        raise
    except FileNotFoundError as error:
        raise SurveyError(f"There is no survey at {source!s}. Check its name and its folder.") from error
    except _DAMAGED as error:
        raise SurveyError(
            "This file is no survey, or it is damaged: choose a Parquet file that ResNet Viz wrote, or make the survey again."
        ) from error


def measure_matrix(rows: Rows, name: str, blocks: int) -> Array:
    """Return one measure, float32 (images that could be used, blocks)."""
    values = read(rows, (name,)).column(name).drop_null().combine_chunks()
    flat: Array = values.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(-1, blocks)


def _lists(values: Array, bad: np.ndarray[Any, Any]) -> pa.ListArray:
    """(n, blocks) -> one list per image, null for a bad image."""
    good = values[~bad]
    offsets = np.concatenate([[0], np.cumsum(np.where(bad, 0, values.shape[1]))]).astype(np.int32)
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(np.ascontiguousarray(good).ravel(), pa.float32()), mask=pa.array(bad)
    )
