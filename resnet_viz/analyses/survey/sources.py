"""The images of a survey, one after another in a fixed order: a folder, an archive, a list, or a dataset.

A source never holds more than one image. It yields items (`items`), and each item can open its own image and knows its version.
`folders` finds the files of a folder, `archives` the entries of an archive, and `lists` has everything else.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from resnet_viz.analyses.survey import archives
from resnet_viz.analyses.survey.classes import ClassNames, Labels, TrueClass, given_labels
from resnet_viz.analyses.survey.errors import SurveyError, with_article
from resnet_viz.analyses.survey.folders import FoundFile, image_files, is_image, printable
from resnet_viz.analyses.survey.items import ImageOpener, ImageSource, Item
from resnet_viz.analyses.survey.lists import ListSource, StreamSource
from resnet_viz.images import open_image


def source_of(images: Any, labels: Labels | None, classes: Sequence[str], opener: ImageOpener = open_image) -> ImageSource:  # noqa: ANN401 - see below
    """Recognise images: a folder, an archive, one image, a list of any of these, a tensor or a dataset.

    `labels` is one label per image, or a mapping from names of folders to classes. Raises SurveyError for anything else.
    """
    names = ClassNames(classes, labels if isinstance(labels, Mapping) else None)
    given = None if labels is None or isinstance(labels, Mapping) else names.of_all(given_labels(labels))
    if hasattr(images, "read") and hasattr(images, "seek"):
        images.seek(0)
        images = images.read()
    if isinstance(images, (str, os.PathLike)):
        return _of_path(images, given, names, opener)
    if isinstance(images, (bytes, bytearray, memoryview)) and archives.is_archive(BytesIO(images)):
        _refuse_list(given)
        return _with_folders(ArchiveSource(bytes(images), names, opener, title="an archive"))
    if isinstance(images, (bytes, bytearray, memoryview, Image.Image)) or _is_single_tensor(images):
        return ListSource([images], given, names, opener)
    if isinstance(images, DataLoader):
        images = images.dataset  # Its batches are no images, and may be shuffled.
    if isinstance(images, Mapping) or not (_is_indexed(images) or isinstance(images, Iterable)):
        raise SurveyError(
            f"{with_article(images)} holds no images that are known here: give a folder, a ZIP or TAR archive, a list of"
            " images, or a data set"
        )
    if _is_column(images) or (given is not None and not _is_indexed(images)):
        images = list(images)
    if isinstance(labels, Mapping) and not _has_names(images):
        raise SurveyError(
            "labels map folders' names to classes, and these images have no folders: give one label for each image"
        )
    return ListSource(images, given, names, opener) if _is_indexed(images) else StreamSource(images, names, opener)


@dataclass(frozen=True)
class FolderSource:
    """The image files of a folder and its sub-folders, ordered by name. Hidden files and other files are left out.

    If all its sub-folders are named after numbers of classes, such as 0 and 1, they are these classes.
    """

    folder: Path
    names: ClassNames
    opener: ImageOpener

    @property
    def title(self) -> str:
        """The name of the folder, without its path."""
        return f"the folder {printable(self.folder.resolve().name)}"

    @property
    def count(self) -> int:
        """The number of image files."""
        return sum(1 for _ in image_files(self.folder))

    def __iter__(self) -> Iterator[Item]:
        """Yield the files."""
        root = self.folder.resolve().name
        names = self.names.for_paths(self.image_names(), root)
        for found in image_files(self.folder):
            name = self._name(found)
            content = found.path if not found.sentence else SurveyError(found.sentence)
            yield Item.of(name, names.of_path(name, root), content, self.opener)

    def image_names(self) -> Iterator[str]:
        """Yield the names of the images, inside the folder."""
        return map(self._name, image_files(self.folder))

    def _name(self, found: FoundFile) -> str:
        return printable(found.path.relative_to(self.folder).as_posix())


@dataclass(frozen=True)
class ArchiveSource:
    """The images of a ZIP or TAR archive, in the order of the archive. Numbers of classes are folders as in `FolderSource`."""

    source: Path | bytes
    names: ClassNames
    opener: ImageOpener
    title: str
    limits: archives.ArchiveLimits | None = None

    @property
    def count(self) -> int | None:
        """The number of images; None for a TAR archive."""
        if archives.is_read_in_order(self.source):
            return None
        return sum(1 for name, _ in archives.entries(self.source, self.limits) if is_image(name))

    def __iter__(self) -> Iterator[Item]:
        """Yield the images. Their bytes are read at once, because an archive is read in order."""
        taken, names = dict[str, int](), self._class_names
        for entry, read in archives.entries(self.source, self.limits):
            if is_image(entry):
                name = printable(entry)
                taken[name] = taken.get(name, 0) + 1
                unique = name if taken[name] == 1 else f"{name} ({taken[name]})"
                yield Item.of(unique, names.of_path(name), self._bytes_or_error(read), self.opener)

    @cached_property
    def _class_names(self) -> ClassNames:
        return self.names.for_paths(self.image_names())

    def image_names(self) -> Iterator[str]:
        """Yield the names of the images, up to where the archive is damaged, which is said when they are read."""
        with suppress(SurveyError):
            yield from (printable(name) for name, _ in archives.entries(self.source, self.limits) if is_image(name))

    @staticmethod
    def _bytes_or_error(read: Callable[[], bytes]) -> bytes | Exception:
        """Read an entry. A damaged entry becomes one bad image; the others can still be read."""
        try:
            return read()
        except SurveyError:
            raise
        except Exception as error:  # noqa: BLE001 - told with the image
            return SurveyError(f"Its bytes in the archive are damaged ({type(error).__name__}): pack the image again.")


def _of_path(
    given: str | os.PathLike[str], labels: Sequence[TrueClass] | None, names: ClassNames, opener: ImageOpener
) -> ImageSource:
    path = Path(given)
    if not os.fspath(given):
        raise SurveyError("The name of the folder is empty: give the path of a folder or an archive, or . for this folder.")
    if path.is_dir():
        _refuse_list(labels)
        return _with_folders(FolderSource(path, names, opener), path.resolve().name)
    if not path.exists():
        raise SurveyError(f"There is no folder or file at {printable(str(path))}. Check the name and the location.")
    if path.is_file():
        with path.open("rb") as file:
            packed = archives.is_archive(file)
        if packed:
            _refuse_list(labels)
            return _with_folders(ArchiveSource(path, names, opener, title=f"the archive {printable(path.name)}"))
    return ListSource([path], labels, names, opener)


def _with_folders(source: FolderSource | ArchiveSource, root: str = "") -> ImageSource:
    """The source; SurveyError if labels were given for folders, and its images are in none of them."""
    if source.names.renamed and not source.names.knows(f"{root}/{name}" for name in source.image_names()):
        raise SurveyError(
            f"labels name folders such as {source.names.renamed[0]!r}, and no image of {source.title} is in one of them:"
            " compare the names, or leave the labels out."
        )
    return source


def _refuse_list(labels: Sequence[TrueClass] | None) -> None:
    if labels is not None:
        raise SurveyError(
            "labels in a list belong to images in a list: give a mapping from sub-folders' names to classes, or list the files"
        )


def _has_names(images: Any) -> bool:  # noqa: ANN401 - whatever was given
    """Whether images may have names of classes: those of folders, or the labels of a data set."""
    if isinstance(images, (list, tuple)):
        return any(isinstance(each, (str, os.PathLike, list, tuple)) for each in images)
    return not isinstance(images, Tensor)


def _is_indexed(images: object) -> bool:
    return hasattr(images, "__getitem__") and hasattr(images, "__len__") and not isinstance(images, IterableDataset)


def _is_column(images: object) -> bool:
    """Whether something is a column of a table, or an array of paths: its values count, not their index."""
    listable = hasattr(images, "tolist") or hasattr(images, "to_list")
    return listable and getattr(images, "ndim", 1) == 1 and not isinstance(images, Tensor)


def _is_single_tensor(images: object) -> bool:
    return isinstance(images, Tensor) and images.ndim == 3
