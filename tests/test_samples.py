"""The sample gallery: every image exists, opens, is large enough, and has a unique name and a source."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

import resnet_viz as rv
from app.results import samples
from app.samples import Sample

FOLDER = Path(__file__).parents[1] / "assets" / "samples"
ROWS = json.loads((FOLDER / "samples.json").read_text(encoding="utf-8"))
SOURCES = (FOLDER / "SOURCES.md").read_text(encoding="utf-8").splitlines()
PHOTOS = [row for row in ROWS if row["kind"] == "photo"]
# What resnet18-imagenette tells apart: https://github.com/fastai/imagenette, and the cat.
CLASSES = {
    "tench", "English springer", "cassette player", "cat", "chain saw", "church",
    "French horn", "garbage truck", "gas pump", "golf ball", "parachute",
}  # fmt: skip
# Longer sides in pixels of the originals that are smaller; the lesson on super-resolution was trained with these very files.
SMALLER = {"cat-photo": 451, "astronaut-photo": 512, "coffee-photo": 600}


def source(file: str) -> list[str]:
    """Return the cells of the one row of SOURCES.md about a file."""
    (line,) = [line for line in SOURCES if line.startswith(f"| `{file}` |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_every_sample_opens(row: dict[str, str]) -> None:
    assert re.fullmatch(r"[a-z0-9-]+", row["id"])
    assert rv.open_image(FOLDER / row["file"]).mode == "RGB"
    assert row["description"].strip()


def test_every_image_of_the_folder_is_a_sample() -> None:
    assert sorted(row["file"] for row in ROWS) == sorted(path.name for path in FOLDER.glob("*.jpg"))


@pytest.mark.parametrize("field", ["id", "file", "title"])
def test_no_two_samples_share_a_name(field: str) -> None:
    names = [row[field].casefold() for row in ROWS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("row", PHOTOS, ids=lambda row: row["id"])
def test_a_photo_tells_origin_author_and_licence(row: dict[str, str]) -> None:
    _, _, origin, author, licence, *_ = source(row["file"])
    assert re.search(r"\d+\.\d+", origin), "the version of the package"
    assert "`" in origin, "the file inside the package"
    assert author
    assert re.search(r"CC|GPL|public domain", licence)


@pytest.mark.parametrize("row", PHOTOS, ids=lambda row: row["id"])
def test_a_photo_is_large_enough(row: dict[str, str]) -> None:
    longer = max(Image.open(FOLDER / row["file"]).size)
    assert longer == SMALLER[row["id"]] if row["id"] in SMALLER else longer >= 640


def test_a_cifar_image_is_listed_and_has_its_own_size() -> None:
    for row in ROWS:
        if row["kind"] == "cifar10":
            assert source(row["file"])[1] == row["label"]
            assert Image.open(FOLDER / row["file"]).size == (32, 32)


def test_no_photo_carries_metadata() -> None:
    for row in PHOTOS:
        found = Image.open(FOLDER / row["file"])
        assert not found.getexif()
        assert "icc_profile" not in found.info
        assert "comment" not in found.info


def test_the_classes_of_the_photo_networks_come_first() -> None:
    known = [row["label"] in CLASSES and row["kind"] == "photo" for row in ROWS]
    assert known == sorted(known, reverse=True)
    large = [row for row in PHOTOS if row["id"] not in SMALLER]
    assert len(large) >= 12
    assert sum(row["label"] in CLASSES for row in large) >= 6
    assert {row["label"] for row in PHOTOS} <= CLASSES | {None}


def test_the_app_shows_them_in_that_order() -> None:
    found = list(samples().values())
    assert [sample.id for sample in found] == [row["id"] for row in ROWS]
    assert all(isinstance(sample, Sample) and sample.description for sample in found)
