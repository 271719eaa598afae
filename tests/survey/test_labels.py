"""The classes of a survey's images: given labels, the labels of data sets, and the names of folders."""

from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, Subset

from resnet_viz.analyses.survey.errors import SurveyError
from resnet_viz.analyses.survey.sources import source_of
from tests.survey.pictures import folder_of, picture, png, tar_of, zip_of

CLASSES = ("cat", "dog", "ship", "truck")


def classes(images: Any, labels: Any = None) -> list[str]:
    return [item.label.name for item in source_of(images, labels, CLASSES)]


@pytest.mark.parametrize(
    "labels",
    [
        ["Cat", "DOG", "ship"],
        ("cat", "dog", "ship"),
        [0, 1, 2],
        ["0", "1", "2"],
        np.array([0, 1, 2]),
        torch.tensor([0, 1, 2]),
        [np.int64(0), torch.tensor(1), 2],
        pd.Series([0, 1, 2], index=[7, 8, 9]),
    ],
    ids=repr,
)
def test_labels_of_a_list(labels: Any) -> None:
    assert classes([picture(0)] * 3, labels) == ["cat", "dog", "ship"]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ("cat", "labels='cat' is a str: give a list"),
        (5, "labels=5 is an int: give a list"),
        ({1, 2, 3}, "is a set: give a list"),
        (iter([1, 2, 3]), "give a list"),
        ([1.7, 1, 1], "the label 1.7 is a float"),
        ([float("nan")] * 3, "the label nan is a float"),
        ([[1], [2], [3]], "is a list: give the name of a class"),
        ([True, False, True], "is a bool"),
        ([0, 1, 99], "label 99 is outside the network's classes: take 0 to 3"),
        ({"pets": "cat"}, "these images have no folders: give one label for each image"),
        (["cat"], "there are 3 images and 1 label: give one label"),
        (
            {"pets": "catt"},
            "the folder 'pets' holds 'catt', which is no class of the network: take one of cat, dog, ship, truck,",
        ),
    ],
)
def test_labels_that_mean_nothing_are_refused_before_the_first_image(labels: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        source_of([picture(0)] * 3, labels, CLASSES)


class Numbered:
    """A data set whose labels are numbers of NumPy, one of them outside the classes."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, number: int) -> Any:
        return picture(number), np.int64((0, 2, 99)[number])


def test_labels_of_a_data_set() -> None:
    """A class that the network does not have is no reason to leave the image out."""
    items = list(source_of(Numbered(), None, CLASSES))
    assert [(item.label.name, item.label.index) for item in items] == [("cat", 0), ("ship", 2), ("99", -1)]
    items[2].open()


@pytest.mark.parametrize(
    ("label", "name"),
    [
        (-1, ""),
        (True, ""),
        (np.array([True])[0], ""),
        (1.5, ""),
        (None, ""),
        ({"box": 1}, ""),
        (torch.tensor(3), "truck"),
        ("Ship", "ship"),
    ],
)
def test_labels_of_other_kinds_are_unknown_classes(label: Any, name: str) -> None:
    assert classes([(picture(0), label), (picture(1), 0)]) == [name, "cat"]


class Table:
    """A data set of rows with columns that describe themselves."""

    features = {"img": object(), "label": SimpleNamespace(names=["ship", "cat"])}  # noqa: RUF012 - as data sets have it

    def __len__(self) -> int:
        return 2

    def __getitem__(self, number: int) -> Any:
        return {"img": picture(number), "label": number, "id": 7}


def test_rows_with_columns() -> None:
    items = list(source_of(Table(), None, CLASSES))
    assert [item.label.name for item in items] == ["ship", "cat"]
    assert isinstance(items[0].open(), Image.Image)
    with pytest.raises(ValueError, match="A dict is not an image"):
        next(iter(source_of([{"id": 7}], None, CLASSES))).open()


class Named(Dataset[Any]):
    """A data set with classes of its own, in an order that is not the network's."""

    classes: Any = ("truck", "cat", "bird")

    def __len__(self) -> int:
        return 6

    def __getitem__(self, number: int) -> Any:
        return picture(number), number % 3


class ByName(Named):
    """A data set whose classes are a mapping from names to numbers."""

    classes = {"bird": 2, "truck": 0, "cat": 1}  # noqa: RUF012 - as data sets have it


class Counted(Named):
    """A data set that has something else under the name of the classes."""

    classes = 4


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (Named(), ["truck", "cat", "bird"] * 2),
        (ByName(), ["truck", "cat", "bird"] * 2),
        (Counted(), ["cat", "dog", "ship"] * 2),
        (Subset(Named(), [4, 2]), ["cat", "bird"]),
        (Subset(Subset(Named(), [5, 4, 3]), [1]), ["cat"]),
        (ConcatDataset([Subset(Named(), [1]), Counted()]), ["cat", *["cat", "dog", "ship"] * 2]),
        (DataLoader(Named(), batch_size=4, shuffle=True), ["truck", "cat", "bird"] * 2),
    ],
)
def test_classes_of_a_data_set_that_is_made_of_others(data: Any, wanted: list[str]) -> None:
    assert classes(data) == wanted


@pytest.mark.parametrize("labels", [{1: "ship"}, {"1": "ship"}, {1: 2}])
def test_numbers_of_a_data_set_can_be_renamed(labels: Any) -> None:
    assert classes([(picture(0), 1), (picture(1), 0)], labels) == ["ship", "cat"]


class Endless(IterableDataset[Any]):
    """An iterable data set, of which torch allows that it says how many images it has."""

    def __len__(self) -> int:
        return 1000

    def __iter__(self) -> Iterator[Any]:
        for number in count():
            yield picture(number), number % 4


def test_an_iterable_data_set_is_read_one_image_at_a_time() -> None:
    source = source_of(Endless(), None, CLASSES)
    assert source.count is None
    for _ in range(2):
        assert [item.label.name for item in islice(source, 3)] == ["cat", "dog", "ship"]


def test_an_iterator_is_read_once() -> None:
    """Its first images are looked at before a survey begins, and come again."""
    source = source_of(((picture(number), number % 4) for number in range(100)), None, CLASSES)
    assert [item.name for item in islice(source, 2)] == ["image 0", "image 1"]
    assert len(list(source)) == 100
    with pytest.raises(SurveyError, match="are used up"):
        list(source)


@pytest.mark.parametrize("column", [np.array, lambda paths: pd.Series(paths, index=range(10, 10 + len(paths))), pd.Index])
def test_a_column_of_paths_is_a_list_of_paths(column: Callable[[list[str]], Any], tmp_path: Path) -> None:
    folder_of(tmp_path, {"cat/1.png": png(0), "dog/2.png": png(1)})
    paths = [str(tmp_path / "cat" / "1.png"), str(tmp_path / "dog" / "2.png")]
    assert classes(column(paths)) == ["cat", "dog"]
    assert [item.name for item in source_of(column(paths), None, CLASSES)] == paths


def test_paths_that_begin_with_two_slashes(tmp_path: Path) -> None:
    folder_of(tmp_path, {"cat/1.png": png(0), "dog/2.png": png(1)})
    assert classes([f"/{tmp_path}/cat/1.png", f"{tmp_path}/dog/2.png"]) == ["cat", "dog"]


def test_numbers_in_a_folder_that_is_a_class(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "cat", {"1/1.png": png(0), "2/1.png": png(0)})
    assert classes(folder) == ["1", "2"]


@pytest.mark.parametrize("as_archive", [True, False])
def test_labels_for_folders_that_are_not_there(tmp_path: Path, *, as_archive: bool) -> None:
    files = {"n01/1.png": png(0)}
    images = zip_of(files) if as_archive else folder_of(tmp_path, files)
    assert classes(images, {"n01": "ship", "n02": "cat"}) == ["ship"]
    with pytest.raises(SurveyError, match="labels name folders such as 'zzz', and no image"):
        source_of(images, {"zzz": "cat"}, CLASSES)


FOLDERS: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "classes": (("cat/1.png", "dog/2.png"), ["cat", "dog"]),
    "deeper": (("cat/deep/1.png", "train/dog/2.png"), ["cat", "dog"]),
    "numbers": (("0/1.png", "3/2.png"), ["cat", "truck"]),
    "numbers among names": (("0/1.png", "misc/2.png"), ["0", "misc"]),
    "too large a number": (("0/1.png", "4/2.png"), ["0", "4"]),
    "one number": (("3/1.png", "3/2.png"), ["truck", "truck"]),
    "a name above numbers": (("cat/1/1.png", "cat/2/1.png"), ["cat", "cat"]),
    "numbers below another folder": (("train/1/1.png", "train/2/1.png"), ["dog", "ship"]),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_folders_are_classes(kind: str, tmp_path: Path) -> None:
    names, wanted = FOLDERS[kind]
    assert classes(folder_of(tmp_path / "data", {name: png(0) for name in names})) == wanted


@pytest.mark.parametrize("kind", FOLDERS)
@pytest.mark.parametrize("root", ["", "data/"])
@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_folders_of_an_archive_are_classes(kind: str, root: str, pack: Callable[[dict[str, bytes]], bytes]) -> None:
    """As those of a folder, also where the archive begins with a folder that holds all of them."""
    names, wanted = FOLDERS[kind]
    assert classes(pack({root + name: png(0) for name in names})) == wanted


@pytest.mark.parametrize("kind", [kind for kind in FOLDERS if kind != "one number"])
def test_folders_of_listed_files_are_classes(kind: str, tmp_path: Path) -> None:
    """Folders that are no class are none of a list's files; neither is a number that all files share, far above them."""
    names, wanted = FOLDERS[kind]
    folder_of(tmp_path / "1", {name: png(0) for name in names})
    # In a list, a folder that holds all files is no class, and a folder that is none of the network is no class either.
    known = [name if name in CLASSES else "" for name in wanted]
    assert classes([tmp_path / "1" / name for name in names]) == (["", ""] if kind == "a name above numbers" else known)


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (("ship/a.png", "ship/b.png"), ["ship", "ship"]),
        (("ship/photos/a.png", "ship/photos/b.png"), ["", ""]),
        (("ship/1/a.png", "cat/2/b.png"), ["ship", "cat"]),
    ],
)
@pytest.mark.parametrize("as_list", [True, False])
def test_folders_above_the_images_are_no_classes(
    names: tuple[str, ...], wanted: list[str], tmp_path: Path, *, as_list: bool
) -> None:
    """The folder of an image counts, and those below the folder that holds all images."""
    folder_of(tmp_path, {name: png(0) for name in names})
    common = tmp_path / (Path(names[0]).parent if names[0].split("/")[0] == names[1].split("/")[0] else "")
    assert classes([tmp_path / name for name in names] if as_list else common) == (wanted if as_list else sorted(wanted))
