"""Which of a network's classes an image belongs to, by the name of its folder or the label that somebody gives it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

Label = str | int
Labels = Sequence[Label] | Mapping[str, Label]


@dataclass(frozen=True)
class TrueClass:
    """An image's class in words ("" where nothing tells it), and the network's index of it (-1 where it has none)."""

    name: str = ""
    index: int = -1


class ClassNames:
    """Finds the network's class for a label.

    Names are equal where they are the same but for capitals, spaces, hyphens and underscores. `renamed` says which class a
    folder stands for where its name does not: {"n01440764": "tench"}.
    """

    def __init__(self, labels: Sequence[str], renamed: Mapping[str, Label] | None = None) -> None:
        self._labels = tuple(labels)
        self._index = {_plain(label): index for index, label in reversed(list(enumerate(labels)))}
        self._renamed = {_plain(name): label for name, label in (renamed or {}).items()}

    def of(self, label: Label | None) -> TrueClass:
        """Return the class of a label; an index is the network's own. ValueError for an index that it does not have."""
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
        """Return the class of an image in a folder: the nearest folder that has a class's name, else the one it lies in."""
        folders = PurePosixPath(path).parts[:-1]
        for folder in reversed(folders):
            found = self.of(folder)
            if found.index >= 0:
                return found
        return self.of(folders[-1]) if folders else TrueClass()


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter not in " _-")
