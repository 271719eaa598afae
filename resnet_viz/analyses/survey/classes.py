"""The class of an image among the classes of a network, found from the name of its folder or from a given label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

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
    {"n01440764": "tench"}.
    """

    def __init__(self, labels: Sequence[str], renamed: Mapping[str, Label] | None = None) -> None:
        self._labels = tuple(labels)
        self._index = {_plain(label): index for index, label in reversed(list(enumerate(labels)))}
        self._renamed = {_plain(name): label for name, label in (renamed or {}).items()}

    def of(self, label: Label | None) -> TrueClass:
        """Return the class for a label or an index; ValueError for an index that the network does not have."""
        if label is None or label == "":
            return TrueClass()
        if isinstance(label, str):
            meant = self._renamed.get(_plain(label), label)
            if isinstance(meant, str):
                index = self._index.get(_plain(meant), -1)
                return TrueClass(self._labels[index] if index >= 0 else meant, index)
            label = meant
        number = int(label)
        if not 0 <= number < len(self._labels):
            raise ValueError(f"label {number} is outside the network's classes: take 0 to {len(self._labels) - 1}, or names")
        return TrueClass(self._labels[number], number)

    def of_path(self, path: str) -> TrueClass:
        """Return the class of an image: the nearest folder with the name of a class, otherwise the folder of the image."""
        folders = PurePosixPath(path).parts[:-1]
        for folder in reversed(folders):
            found = self.of(folder)
            if found.index >= 0:
                return found
        return self.of(folders[-1]) if folders else TrueClass()


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter not in " _-")
