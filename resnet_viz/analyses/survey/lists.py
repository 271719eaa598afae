"""Images of a list, a tensor, a torch dataset or an iterator, by number, with the labels that they come with."""

import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch.utils.data import ConcatDataset, Subset

from resnet_viz.analyses.survey.classes import ClassNames, TrueClass
from resnet_viz.analyses.survey.errors import SurveyError, with_article
from resnet_viz.analyses.survey.folders import printable
from resnet_viz.analyses.survey.items import ImageOpener, Item, is_path
from resnet_viz.counting import counted

# How many images of an iterator are kept, because a survey looks at the first ones before it begins.
MOST_KEPT = 16
# The names of columns with images and with their labels.
COLUMNS = (("image", "img"), ("label", "labels"))
# How many data sets may be inside one another.
MOST_WRAPPED = 20


@dataclass(frozen=True)
class ListSource:
    """Images, or pairs of an image and a label, by number: a list, a tensor (N, 3, H, W), or a torch dataset."""

    images: Any
    labels: Sequence[TrueClass] | None
    names: ClassNames
    opener: ImageOpener

    def __post_init__(self) -> None:
        """Check that there are as many labels as images."""
        if self.labels is not None and len(self.labels) != len(self.images):
            raise SurveyError(
                f"there {'is' if len(self.images) == 1 else 'are'} {counted(len(self.images), 'image')} and"
                f" {counted(len(self.labels), 'label')}: give one label for each image, or a mapping from folders' names to"
                " classes"
            )

    @property
    def title(self) -> str:
        """The kind of object."""
        return "a list of images" if isinstance(self.images, (list, tuple)) else with_article(self.images)

    @property
    def count(self) -> int:
        """The number of images."""
        return len(self.images)

    def __iter__(self) -> Iterator[Item]:
        """Yield the images. Paths keep their names; other images are named by their number."""
        taken: set[str] = set()
        class_of = class_of_files(self.images, self.names)
        for number in range(len(self.images)):
            given = self.images[number] if isinstance(self.images, (list, tuple)) else None
            if not is_path(given):
                label = None if self.labels is None else self.labels[number]
                # A dataset is asked once per image, here: it may be slow, or return something different each time.
                make = self.images.__getitem__ if given is None else _constant(given)
                yield _item(make, number, label, self)
                continue
            path = Path(given)
            name = printable(path.as_posix())
            name = f"{name} ({number})" if name in taken else name
            taken.add(name)
            yield Item.of(name, class_of(path) if self.labels is None else self.labels[number], path, self.opener)


@dataclass(frozen=True)
class StreamSource:
    """Images, or pairs of an image and a label, of an iterator or an iterable data set, one after another."""

    images: Iterable[Any]
    names: ClassNames
    opener: ImageOpener
    count: None = None
    _kept: list[Any] = field(default_factory=list)
    _read: list[int] = field(default_factory=lambda: [0])

    @property
    def title(self) -> str:
        """The kind of object."""
        return with_article(self.images)

    def __iter__(self) -> Iterator[Item]:
        """Yield the images by number. The first images of an iterator come again where somebody has looked at them."""
        for number, made in enumerate(self._again() if iter(self.images) is self.images else self.images):
            yield _item(_constant(made), number, None, self)

    def _again(self) -> Iterator[Any]:
        if self._read[0] > len(self._kept):
            raise SurveyError(
                f"{with_article(self.images)} gives its images once, and they are used up: give a list, a data set, or a new"
                " iterator."
            )
        yield from self._kept
        for made in self.images:
            self._read[0] += 1
            if len(self._kept) < MOST_KEPT:
                self._kept.append(made)
            yield made


def class_of_files(images: Any, names: ClassNames) -> Callable[[Path], TrueClass]:  # noqa: ANN401 - whatever was given
    """Return what finds the class of a file of a list: the folder that holds it, or one below the folder that holds all files.

    Other folders are no classes.
    """
    files = [Path(each) for each in images if is_path(each)] if isinstance(images, (list, tuple)) else []
    common = _common_folder(files)
    found = names.for_paths((_inside(file, common) for file in files), "" if common is None else common.as_posix())

    def class_of(path: Path) -> TrueClass:
        label = found.of_path(printable(_inside(path, common)), path.parent.name)
        return label if label.index >= 0 else TrueClass()

    return class_of


def _inside(path: Path, common: Path | None) -> str:
    """The name of a file below the common folder, or in its own."""
    below = common is not None and path.is_relative_to(common)
    return (path.relative_to(common) if common is not None and below else Path(path.parent.name, path.name)).as_posix()


def _common_folder(files: list[Path]) -> Path | None:
    """The deepest folder that holds all files; None if there is none."""
    try:
        return Path(os.path.commonpath({file.parent for file in files}))
    except ValueError:
        return None


def classes_of(data: Any, number: int) -> Sequence[Any] | None:  # noqa: ANN401 - whatever the data set is made of
    """Return the classes that a torch dataset has for the labels of one of its images; None if it names none.

    Parts of data sets (`Subset`, `random_split`) and those that were put together (`ConcatDataset`) have those of their own.
    """
    for _ in range(MOST_WRAPPED):
        names = _named_classes(getattr(data, "classes", None))
        names = _classes_of_columns(data) if names is None else names
        if names is not None:
            return names
        if isinstance(data, ConcatDataset):
            part = bisect_right(data.cumulative_sizes, number)
            number, data = number - (data.cumulative_sizes[part - 1] if part else 0), data.datasets[part]
        elif isinstance(data, Subset):
            number, data = data.indices[number], data.dataset
        else:
            data = getattr(data, "dataset", None)
    return None


def _named_classes(classes: Any) -> Sequence[Any] | None:  # noqa: ANN401 - whatever the data set has under this name
    """The names of classes in their order: a list, or a mapping from names to numbers; None for anything else."""
    if isinstance(classes, Mapping):
        by_number = {number: name for name, number in classes.items()}
        classes = (
            [by_number[number] for number in sorted(by_number)] if set(classes.values()) == set(range(len(classes))) else None
        )
    if isinstance(classes, (str, bytes)) or not (hasattr(classes, "__len__") and hasattr(classes, "__getitem__")):
        return None
    return classes if len(classes) else None


def _classes_of_columns(data: Any) -> Sequence[Any] | None:  # noqa: ANN401 - whatever the data set is made of
    """The names of classes of a table whose columns describe themselves, as those of Hugging Face's data sets do."""
    features = getattr(data, "features", None)
    if not isinstance(features, Mapping):
        return None
    return next((_named_classes(getattr(features[name], "names", None)) for name in COLUMNS[1] if name in features), None)


def _constant(made: Any) -> Callable[[int], Any]:  # noqa: ANN401 - whatever stands in the list
    return lambda _: made


def _item(make: Callable[[int], Any], number: int, label: TrueClass | None, source: ListSource | StreamSource) -> Item:
    """The image of a number, with its own label where none is given: `make` returns it, or it together with its label."""
    own = None
    try:
        content, own = _with_label(make(number))
    except ValueError as error:
        content = SurveyError(str(error))
    except Exception as error:  # noqa: BLE001 - told with the image
        content = SurveyError(f"The dataset could not create this image ({type(error).__name__}: {error}).")
    if label is None and own is not None:
        label = source.names.of_data_set(own, classes_of(source.images, number))
    return Item.of(f"image {number}", label or TrueClass(), content, source.opener)


def _with_label(made: Any) -> tuple[Any, Any]:  # noqa: ANN401 - whatever the data set returns
    """The image and its label of a pair, or of a row with columns; None where there is no label."""
    if isinstance(made, Mapping):
        image, label = (next((made[name] for name in names if name in made), None) for names in COLUMNS)
        return (made if image is None else image), label
    if isinstance(made, (tuple, list)) and made:
        return made[0], made[1] if len(made) >= 2 else None
    return made, None
