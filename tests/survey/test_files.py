"""Survey files: what is written is read, and what is none is refused with a sentence."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resnet_viz.analyses.survey.errors import SurveyError
from resnet_viz.analyses.survey.files import MANIFEST, PEAKS, open_survey, survey_bytes, write_survey
from resnet_viz.analyses.survey.result import Survey
from resnet_viz.analyses.survey.rows import SCHEMA
from resnet_viz.analyses.survey.running import survey
from resnet_viz.nets.net import Net
from tests.survey.pictures import png


@pytest.fixture(scope="module")
def made(make_cifar: Callable[..., Net]) -> Survey:
    return survey(make_cifar("A"), [png(0), b"bad", png(1), png(2)], labels=["cat", "dog", "", "ship"])


def rewritten(data: bytes, table: pa.Table | None = None, **metadata: bytes) -> bytes:
    """The file with another table, or another entry of the metadata."""
    with pq.ParquetFile(BytesIO(data)) as file:
        rows, held = file.read().cast(SCHEMA), dict(file.metadata.metadata)
    names = {"manifest": MANIFEST, "peaks": PEAKS}
    held |= {names[name]: value for name, value in metadata.items()}
    chosen = rows if table is None else table
    buffer = BytesIO()
    with pq.ParquetWriter(buffer, chosen.schema, store_schema=False) as writer:
        writer.write_table(chosen)
        writer.add_key_value_metadata({name: value for name, value in held.items() if name in (MANIFEST, PEAKS)})
    return buffer.getvalue()


def test_everything_comes_back(made: Survey, tmp_path: Path) -> None:
    for found in (open_survey(write_survey(made, tmp_path / "s.parquet")), open_survey(survey_bytes(made))):
        pd.testing.assert_frame_equal(found.table(), made.table())
        pd.testing.assert_frame_equal(found.images(), made.images())
        assert found.manifest == made.manifest
        assert found.count == 4
        assert list(found.bad.index) == ["image 1"]
        for name in ("activations", "images", "rows", "columns"):
            np.testing.assert_array_equal(getattr(found.peaks, name), getattr(made.peaks, name))


def test_other_programs_can_read_it(made: Survey, tmp_path: Path) -> None:
    table = pd.read_parquet(write_survey(made, tmp_path / "s.parquet"))
    assert list(table["image"]) == ["image 0", "image 1", "image 2", "image 3"]
    np.testing.assert_array_equal(np.stack(table["ratio"].dropna().tolist()), made.measure("ratio"))


def test_nothing_is_left_beside_the_file(made: Survey, tmp_path: Path) -> None:
    write_survey(made, tmp_path / "s.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["s.parquet"]


def foreign(_: Survey) -> bytes:
    buffer = BytesIO()
    pq.write_table(pa.table({"image": ["a"]}), buffer)
    return buffer.getvalue()


def other_blocks(made: Survey) -> bytes:
    manifest = json.loads(made.manifest.to_json())
    manifest["blocks"].pop()
    return rewritten(survey_bytes(made), manifest=json.dumps(manifest).encode())


def other_version(made: Survey) -> bytes:
    return rewritten(survey_bytes(made), manifest=json.dumps(json.loads(made.manifest.to_json()) | {"format": 0}).encode())


def short_lists(made: Survey) -> bytes:
    data = survey_bytes(made)
    rows = pq.read_table(BytesIO(data)).cast(SCHEMA)
    place = SCHEMA.get_field_index("ratio")
    shorter = pa.array([[0.5], None, [0.5], [0.5]], SCHEMA.field("ratio").type)
    return rewritten(data, rows.set_column(place, SCHEMA.field("ratio"), shorter))


REFUSED: dict[str, tuple[Callable[[Survey], bytes], str]] = {
    "empty": (lambda _: b"", "is no survey"),
    "text": (lambda _: b"PAR1 no parquet PAR1", "is no survey"),
    "cut off": (lambda made: survey_bytes(made)[:-100], "is no survey"),
    "foreign": (foreign, "is no survey"),
    "no JSON": (lambda made: rewritten(survey_bytes(made), manifest=b"{"), "manifest of this survey is damaged"),
    "other blocks": (other_blocks, "is no survey"),
    "other version": (other_version, "another version of ResNet Viz"),
    "peaks": (lambda made: rewritten(survey_bytes(made), peaks=b"eJwDAAAAAAE="), "is no survey"),
    "short lists": (short_lists, "a number for every block"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_none_is_refused(kind: str, made: Survey) -> None:
    make, words = REFUSED[kind]
    with pytest.raises(SurveyError, match=words):
        open_survey(make(made))


def test_missing_and_too_large(made: Survey, tmp_path: Path) -> None:
    with pytest.raises(SurveyError, match="There is no survey at"):
        open_survey(tmp_path / "nowhere.parquet")
    with pytest.raises(SurveyError, match="This survey has 4 images, more than the 3"):
        open_survey(survey_bytes(made), most_images=3)


def test_names_of_images_can_be_changed(made: Survey) -> None:
    assert made.renamed(["a", "b", "c", "d"], "letters").image_names() == ["a", "c", "d"]
    with pytest.raises(ValueError, match="as many names"):
        made.renamed(["a", "a", "c", "d"], "letters")
