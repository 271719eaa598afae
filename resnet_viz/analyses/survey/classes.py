"""The class of an image among the classes of a network, found from the name of its folder or from a given label."""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import chain
from pathlib import PurePosixPath
from typing import Any

from resnet_viz.analyses.survey.errors import SurveyError, with_article
from resnet_viz.analyses.survey.folders import class_folders
from resnet_viz.analyses.whole_numbers import is_whole

Label = str | int
Labels = Sequence[Label] | Mapping[str, Label]


@dataclass(frozen=True)
class TrueClass:
    """The class of an image in words ("" if unknown), and its index in the network (-1 if the network does not have it)."""

    name: str = ""
    index: int = -1


class ClassNames:
    """Finds the class of the network that a label names.

    Capitals, spaces, hyphens and underscores do not matter. `renamed` maps names of folders to classes where they differ:
    {"n01440764": "tench"}. ValueError if it names a class that the network does not have.
    """

    def __init__(self, labels: Sequence[str], renamed: Mapping[str, Label] | None = None) -> None:
        self._labels = tuple(labels)
        self._index = {_plain(label): index for index, label in reversed(list(enumerate(labels)))}
        self._renamed: dict[str, TrueClass] = {}
        self._numbers: dict[str, TrueClass] = {}
        for folder, label in (renamed or {}).items():
            found = self.of(label)
            if found.index < 0:
                raise ValueError(
                    f"labels say that the folder {folder!r} holds {label!r}, which is no class of the network: take one of"
                    f" {listed(self._labels)}, or leave the folder out"
                )
            self._renamed[_plain(str(folder))] = found

    def of(self, label: Any) -> TrueClass:  # noqa: ANN401 - checked here
        """Return the class for a label or an index; ValueError for an index that the network does not have, and other types.

        None and "" are an unknown class.
        """
        label = as_python(label)
        if label is None or (isinstance(label, str) and not label):
            return TrueClass()
        if isinstance(label, str):
            named = self._named(label)
            return named if named.index >= 0 else self._numbers.get(label, named)
        if renamed := self._renamed.get(str(label)):
            return renamed
        if not is_whole(label):
            raise ValueError(
                f"the label {label!r} is {with_article(label)}: give the name of a class, its index, or None where it is"
                " unknown"
            )
        number = int(label)
        if not 0 <= number < len(self._labels):
            raise ValueError(f"label {number} is outside the network's classes: take 0 to {len(self._labels) - 1}, or names")
        return TrueClass(self._labels[number], number)

    def of_data_set(self, label: Any, classes: Sequence[Any] | None = None) -> TrueClass:  # noqa: ANN401 - whatever it says
        """Return the class for a label of a data set, which may have `classes` of its own.

        A number that is no class of the network is a class of that name which the network does not have. A negative number,
        as data sets mark images without a label, and labels of other kinds are an unknown class.
        """
        label = as_python(label)
        if isinstance(label, str) or (is_whole(label) and str(label) in self._renamed):
            return self.of(label)
        if not is_whole(label) or int(label) < 0:
            return TrueClass()
        number = int(label)
        if classes is not None and number < len(classes):
            return self.of(str(classes[number]))
        return self.of(number) if number < len(self._labels) else TrueClass(str(number))

    @property
    def renamed(self) -> tuple[str, ...]:
        """The folders to which classes were given."""
        return tuple(self._renamed)

    def knows(self, paths: Iterable[str]) -> bool:
        """Whether any folder of these paths was renamed."""
        return any(_plain(part) in self._renamed for path in paths for part in PurePosixPath(path).parts[:-1])

    def of_all(self, labels: Iterable[Any]) -> tuple[TrueClass, ...]:
        """Return the classes for labels; if all of them are texts such as "3", these are indices unless they name classes."""
        labels = list(labels)
        return tuple(map(self.numbered(labels).of, labels))

    def numbered(self, names: Iterable[Any]) -> "ClassNames":
        """Return the names of classes with which the numbers of classes are found too, if all of `names` are such numbers."""
        names = list(names)
        texts = {name for name in names if isinstance(name, str) and name}
        if not all(name is None or isinstance(name, str) for name in names) or not all(map(self._is_number, texts)):
            return self
        found = copy(self)
        vars(found).update(_numbers={name: TrueClass(self._labels[int(name)], int(name)) for name in texts})
        return found

    def for_paths(self, paths: Iterable[str], above: str = "") -> "ClassNames":
        """Return the names with which folders are found that are all named after numbers of classes, such as 0 and 1.

        `paths` are those of images, inside what holds them all; `above` is its path. In a folder with the name of a class,
        numbers are something else. Only the first path is looked at where it is in no such folder.
        """
        if any(self._named(part).index >= 0 for part in PurePosixPath(above).parts):
            return self
        rest = iter(paths)
        first = next(rest, "")
        if not any(map(str.isdecimal, PurePosixPath(first).parts[:-1])):
            return self
        return self.numbered(class_folders(chain((first,), rest)))

    def _named(self, label: str) -> TrueClass:
        if renamed := self._renamed.get(_plain(label)):
            return renamed
        index = self._index.get(_plain(label), -1)
        return TrueClass(self._labels[index] if index >= 0 else label, index)

    def _is_number(self, text: str) -> bool:
        """Whether a text is the index of a class and not the name of one."""
        return text.isdecimal() and len(text) < 10 and int(text) < len(self._labels) and self._named(text).index < 0

    def of_path(self, path: str, root: str = "") -> TrueClass:
        """Return the class of an image: the nearest folder with the name of a class, otherwise the folder of the image.

        `root` is the name of the folder in which the path begins. It counts only for images directly in it, and only if it is
        the name of a class.
        """
        folders = PurePosixPath(path).parts[:-1]
        # A name further up is surer than a number: cat/1 and cat/2 are days, or cameras.
        for find in (self._named, self.of):
            for folder in reversed(folders or (root,)):
                found = find(folder)
                if found.index >= 0:
                    return found
        return self._named(folders[-1]) if folders else TrueClass()


def given_labels(labels: Any) -> list[Any]:  # noqa: ANN401 - checked here
    """Return the labels of a list, an array, a tensor or a column of a table as a list; SurveyError for anything else."""
    if isinstance(labels, (str, bytes, set, frozenset)) or not (hasattr(labels, "__len__") and hasattr(labels, "__iter__")):
        raise SurveyError(
            f"labels={labels!r} is {with_article(labels)}: give a list with one label for each image, or a mapping from"
            " folders' names to classes"
        )
    return list(labels)


def listed(labels: Sequence[str], most: int = 10) -> str:
    """The names of classes for a sentence, cut off after the first ones."""
    return ", ".join(labels[:most]) + (" ..." if len(labels) > most else "")


def as_python(label: Any) -> Any:  # noqa: ANN401 - whatever a data set says
    """A number of NumPy or torch as one of Python's."""
    return label.item() if hasattr(label, "item") and getattr(label, "ndim", 1) == 0 else label


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter not in " _-")
