"""A survey as one Parquet file: one row per image; the metadata hold the manifest and the strongest images of each channel."""

import base64
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from resnet_viz.analyses.survey import rows as in_rows
from resnet_viz.analyses.survey.checking import check_peaks, check_rows
from resnet_viz.analyses.survey.errors import SurveyError, writing
from resnet_viz.analyses.survey.manifest import Manifest
from resnet_viz.analyses.survey.peaks import Peaks
from resnet_viz.analyses.survey.result import Survey

Bytes = bytes | bytearray | memoryview | BinaryIO
MANIFEST, PEAKS = b"resnet_viz.survey", b"resnet_viz.peaks"
MAGIC = b"PAR1"
MOST_METADATA = 512 * 2**20
_STORED = {"activations": np.float32, "images": np.int32, "rows": np.int32, "columns": np.int32}


def write_survey(survey: Survey, path: str | os.PathLike[str]) -> Path:
    """Write a survey to a Parquet file and return its path. An existing file is replaced only when the new one is complete."""
    target = Path(path)
    write_rows(target, survey.manifest, survey.peaks, iter([in_rows.read(survey.rows, tuple(in_rows.SCHEMA.names))]))
    return target


def open_survey(source: str | os.PathLike[str] | Bytes, most_images: int | None = None) -> Survey:
    """Open a file that `survey(..., out=path)` or `write_survey` wrote, its bytes, or a file object of them.

    Rows of a file with a path are read from it on demand.

    Everything in it is checked first. Raises SurveyError for a file that is missing or damaged, was written by another version,
    or has more than `most_images`.
    """
    with in_rows.reading(source):
        # The working folder may change before rows are read.
        opened = Path(source).absolute() if isinstance(source, (str, os.PathLike)) else BytesIO(_bytes_of(source))
        with pq.ParquetFile(opened, page_checksum_verification=True) as file:
            manifest, peaks = _checked(file, most_images)
            rows: in_rows.Rows = file.read() if isinstance(opened, BytesIO) else opened
        check_rows(rows, manifest)
    return Survey(manifest, rows, peaks)


def _bytes_of(source: Bytes) -> bytes:
    """The bytes of a file object from its start, or those that were given."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    source.seek(0)
    return source.read()


def survey_bytes(survey: Survey) -> bytes:
    """Return the bytes of the Parquet file that `write_survey` writes."""
    buffer = BytesIO()
    rows = in_rows.read(survey.rows, tuple(in_rows.SCHEMA.names))
    _write_into(buffer, survey.manifest, survey.peaks, iter([rows]))
    return buffer.getvalue()


def write_rows(
    target: Path, manifest: Manifest, peaks: Peaks, tables: Iterator[pa.Table], more: Mapping[bytes, bytes] | None = None
) -> None:
    """Write to a temporary file and rename it, so that a file with the final name is always complete.

    `more` are further entries of the metadata.
    """
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    with writing(target):
        try:
            with beside.open("wb") as file:
                _write_into(file, manifest, peaks, tables, more)
            beside.replace(target)
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)


def is_parquet(path: Path) -> bool:
    """Whether a file begins as Parquet files do, whatever its name."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _write_into(
    file: BinaryIO,
    manifest: Manifest,
    peaks: Peaks,
    tables: Iterable[pa.Table],
    more: Mapping[bytes, bytes] | None = None,
) -> None:
    # Not in Arrow's schema, which would store the metadata twice.
    with pq.ParquetWriter(file, in_rows.SCHEMA, compression="zstd", store_schema=False, write_page_checksum=True) as writer:
        for table in tables:
            writer.write_table(table.cast(in_rows.SCHEMA))
        writer.add_key_value_metadata({MANIFEST: manifest.to_json().encode(), PEAKS: _packed(peaks), **(more or {})})


def _packed(peaks: Peaks) -> bytes:
    data = b"".join(np.ascontiguousarray(getattr(peaks, name), kind).tobytes() for name, kind in _STORED.items())
    return base64.b64encode(zlib.compress(data))


def _unpacked(text: bytes, channels: int, k: int) -> Peaks:
    sizes = [channels * k * np.dtype(kind).itemsize for kind in _STORED.values()]
    data = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), max(1, sum(sizes)))
    if len(data) != sum(sizes):
        raise ValueError("the peaks have another size than the manifest says")
    starts = np.cumsum([0, *sizes])
    arrays: list[Any] = [
        np.frombuffer(data[start : start + size], kind).reshape(channels, k)
        for start, size, kind in zip(starts, sizes, _STORED.values(), strict=False)
    ]
    return Peaks(*arrays)


def _checked(file: pq.ParquetFile, most_images: int | None) -> tuple[Manifest, Peaks]:
    """Check everything that is read, before any row is read."""
    count, held = file.metadata.num_rows, file.metadata.metadata or {}
    if MANIFEST not in held or PEAKS not in held or sum(map(len, held.values())) > MOST_METADATA:
        raise ValueError("there is no manifest")
    if most_images is not None and count > most_images:
        raise SurveyError(
            f"This survey has {count:,} images, more than the {most_images:,} that are shown here: open it in Python with"
            " rv.open_survey."
        )
    manifest = Manifest.from_json(held[MANIFEST].decode())
    found = file.schema_arrow
    if [(f.name, f.type) for f in found] != [(f.name, f.type) for f in _as_stored()]:
        raise ValueError("the columns are other ones")
    peaks = _unpacked(held[PEAKS], sum(manifest.channels), manifest.strongest)
    check_peaks(peaks, manifest, count)
    return manifest, peaks


def _as_stored() -> pa.Schema:
    """The schema as Parquet returns it: the entry of a list has another name there."""
    buffer = BytesIO()
    with pq.ParquetWriter(buffer, in_rows.SCHEMA, store_schema=False) as writer:
        writer.write_table(in_rows.SCHEMA.empty_table())
    buffer.seek(0)
    return pq.read_schema(buffer)
