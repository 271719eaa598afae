"""The classes of a survey's images: given labels, the labels of data sets, and the names of folders."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

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
    items = list(source_of(Numbered(), None, CLASSES))
    assert [item.label.name for item in items] == ["cat", "ship", ""]
    with pytest.raises(ValueError, match="label 99 is outside"):
        items[2].open()


FOLDERS: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "classes": (("cat/1.png", "dog/2.png"), ["cat", "dog"]),
    "deeper": (("cat/deep/1.png", "train/dog/2.png"), ["cat", "dog"]),
    "numbers": (("0/1.png", "3/2.png"), ["cat", "truck"]),
    "numbers among names": (("0/1.png", "misc/2.png"), ["0", "misc"]),
    "too large a number": (("0/1.png", "4/2.png"), ["0", "4"]),
    "one number": (("3/1.png", "3/2.png"), ["truck", "truck"]),
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


@pytest.mark.parametrize("kind", FOLDERS.keys() - {"one number"})
def test_folders_of_listed_files_are_classes(kind: str, tmp_path: Path) -> None:
    """Folders that are no class are none of a list's files; neither is a number that all files share, far above them."""
    names, wanted = FOLDERS[kind]
    folder_of(tmp_path / "1", {name: png(0) for name in names})
    assert classes([tmp_path / "1" / name for name in names]) == [name if name in CLASSES else "" for name in wanted]


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
