"""Survey files: what is written is read, and what is none is refused with a sentence."""

import json
from collections.abc import Callable
from dataclasses import replace
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


@pytest.mark.parametrize("hold", [bytearray, memoryview, BytesIO])
def test_bytes_of_every_kind(hold: type[bytearray | memoryview | BytesIO], made: Survey) -> None:
    assert open_survey(hold(survey_bytes(made))).images().equals(made.images())


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


def changed_rows(made: Survey, name: str, values: list[object]) -> bytes:
    """The file with other values in one column."""
    data = survey_bytes(made)
    rows = pq.read_table(BytesIO(data)).cast(SCHEMA)
    field = SCHEMA.field(name)
    return rewritten(data, rows.set_column(SCHEMA.get_field_index(name), field, pa.array(values, field.type)))


def changed_manifest(made: Survey, **changes: object) -> bytes:
    return rewritten(survey_bytes(made), manifest=json.dumps(json.loads(made.manifest.to_json()) | changes).encode())


def changed_peaks(made: Survey, name: str, value: float) -> bytes:
    values = getattr(made.peaks, name).copy()
    values[0, 0] = value
    return survey_bytes(replace(made, peaks=replace(made.peaks, **{name: values})))


def same_name(made: Survey) -> bytes:
    blocks = json.loads(made.manifest.to_json())["blocks"]
    return changed_manifest(made, blocks=[block | {"name": "layer1.0"} for block in blocks])


WRONG: dict[str, Callable[[Survey], bytes]] = {
    "null lists": lambda made: changed_rows(made, "ratio", [None, None, [0.5] * 3, [0.5] * 3]),
    "alternating lengths": lambda made: changed_rows(made, "ratio", [[0.5] * 2, None, [0.5] * 4, [0.5] * 3]),
    "numbers of a bad image": lambda made: changed_rows(made, "ratio", [[0.5] * 3] * 4),
    "class out of range": lambda made: changed_rows(made, "class_index", [10, None, None, None]),
    "negative prediction": lambda made: changed_rows(made, "predicted_index", [-1, None, 0, 0]),
    "no prediction": lambda made: changed_rows(made, "predicted_index", [None, None, 0, 0]),
    "few labels": lambda made: changed_manifest(made, labels=["cat"]),
    "blocks of one name": same_name,
    "infinite size": lambda made: changed_manifest(made, size=[float("inf"), 1]),
    "an image that is not there": lambda made: changed_peaks(made, "images", 4),
    "a place outside the map": lambda made: changed_peaks(made, "rows", 99),
    "a negative place": lambda made: changed_peaks(made, "columns", -1),
    "NaN": lambda made: changed_peaks(made, "activations", np.nan),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("by_path", [True, False])
def test_wrong_contents_are_refused(kind: str, by_path: bool, made: Survey, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    data = WRONG[kind](made)
    path = tmp_path / "s.parquet"
    path.write_bytes(data)
    with pytest.raises(SurveyError, match="make the survey again"):
        open_survey(path if by_path else data)


def test_damaged_bytes_are_always_a_sentence(made: Survey, tmp_path: Path) -> None:
    data, random, path = survey_bytes(made), np.random.default_rng(0), tmp_path / "s.parquet"
    refused = 0
    for _ in range(300):
        damaged = bytearray(data)
        for place in random.integers(0, len(data), 3):
            damaged[place] = random.integers(0, 256)
        path.write_bytes(damaged)
        try:
            found = open_survey(path)
            found.table(), found.images(), found.strongest(found.block_names[0], 0)
        except SurveyError:
            refused += 1
    assert refused > 250


def test_a_file_that_is_gone_or_elsewhere(made: Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_survey(made, tmp_path / "s.parquet")
    monkeypatch.chdir(tmp_path)
    found = open_survey("s.parquet")
    monkeypatch.chdir("/")
    assert len(found.images()) == 4
    path.unlink()
    with pytest.raises(SurveyError, match="There is no survey at"):
        found.table()


def test_places_where_nothing_can_be_written(made: Survey, tmp_path: Path) -> None:
    for place, words in ((tmp_path, "Is a directory"), (tmp_path / "missing" / "s.parquet", "No such file or directory")):
        with pytest.raises(SurveyError, match=f"could not be written: {words}. Check that its folder exists"):
            write_survey(made, place)


def test_missing_and_too_large(made: Survey, tmp_path: Path) -> None:
    with pytest.raises(SurveyError, match="There is no survey at"):
        open_survey(tmp_path / "nowhere.parquet")
    with pytest.raises(SurveyError, match="This survey has 4 images, more than the 3"):
        open_survey(survey_bytes(made), most_images=3)


def test_names_of_images_can_be_changed(made: Survey) -> None:
    assert made.renamed(["a", "b", "c", "d"], "letters").image_names() == ["a", "c", "d"]
    with pytest.raises(ValueError, match="as many names"):
        made.renamed(["a", "a", "c", "d"], "letters")
