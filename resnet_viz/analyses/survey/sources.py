"""The images of a survey, one after another in a fixed order: a folder, an archive, a list, or a dataset.

A source never holds more than one image. It yields items, and each item can open its own image.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional as transforms

from resnet_viz.analyses.survey import archives
from resnet_viz.analyses.survey.classes import ClassNames, Label, Labels, TrueClass
from resnet_viz.analyses.survey.errors import SurveyError
from resnet_viz.images import open_image

SUFFIXES = frozenset(
    ".jpg .jpeg .jfif .jpe .pjpeg .png .webp .avif .hif .heic .heif .gif .bmp .tif .tiff".split()  # noqa: SIM905 - legible
)

ImageOpener = Callable[[bytes], Image.Image]
Content = Image.Image | Tensor


@dataclass(frozen=True)
class Item:
    """One image: its name, its class, and the function that opens it. A float tensor (3, H, W) is already preprocessed."""

    name: str
    label: TrueClass
    open: Callable[[], Content]


class ImageSource(Protocol):
    """Images in a fixed order. `title` describes them; `count` is None if only reading them all would tell their number."""

    @property
    def title(self) -> str:
        """The description for the manifest."""

    @property
    def count(self) -> int | None:
        """The number of images."""

    def __iter__(self) -> Iterator[Item]:
        """Yield the images."""


def source_of(images: Any, labels: Labels | None, classes: Sequence[str], opener: ImageOpener = open_image) -> ImageSource:  # noqa: ANN401 - see below
    """Recognise images: a folder, an archive, one image, a list of any of these, a tensor or a dataset.

    `labels` is one label per image, or a mapping from names of folders to classes. Raises SurveyError for anything else.
    """
    names = ClassNames(classes, labels if isinstance(labels, Mapping) else None)
    given = None if isinstance(labels, Mapping) else labels
    if hasattr(images, "read") and hasattr(images, "seek"):
        images.seek(0)
        images = images.read()
    if isinstance(images, (str, os.PathLike)):
        return _of_path(Path(images), given, names, opener)
    if isinstance(images, (bytes, bytearray, memoryview)) and archives.is_archive(BytesIO(images)):
        return ArchiveSource(bytes(images), names, opener, title="an archive")
    if isinstance(images, (bytes, bytearray, memoryview, Image.Image)) or _is_single_tensor(images):
        return ListSource([images], given, names, opener)
    if isinstance(images, Mapping) or not (_is_indexed(images) or isinstance(images, Iterable)):
        raise SurveyError(
            f"a {type(images).__name__} holds no images that are known here: give a folder, a ZIP or TAR archive, a list of"
            " images, or a data set"
        )
    return ListSource(images if _is_indexed(images) else list(images), given, names, opener)


@dataclass(frozen=True)
class FolderSource:
    """The image files of a folder and its sub-folders, ordered by name. Hidden files and other files are left out."""

    folder: Path
    names: ClassNames
    opener: ImageOpener

    @property
    def title(self) -> str:
        """The name of the folder, without its path."""
        return f"the folder {self.folder.resolve().name}"

    @property
    def count(self) -> int:
        """The number of image files."""
        return sum(1 for _ in _walk(self.folder))

    def __iter__(self) -> Iterator[Item]:
        """Yield the files."""
        for path in _walk(self.folder):
            name = path.relative_to(self.folder).as_posix()
            yield Item(name, self.names.of_path(name), partial(_open_path, path, self.opener))


@dataclass(frozen=True)
class ArchiveSource:
    """The images of a ZIP or TAR archive, in the order of the archive."""

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
        return sum(1 for name, _ in archives.entries(self.source, self.limits) if _is_image(name))

    def __iter__(self) -> Iterator[Item]:
        """Yield the images. Their bytes are read at once, because an archive is read in order."""
        taken: dict[str, int] = {}
        for name, read in archives.entries(self.source, self.limits):
            if _is_image(name):
                taken[name] = taken.get(name, 0) + 1
                unique = name if taken[name] == 1 else f"{name} ({taken[name]})"
                yield Item(unique, self.names.of_path(name), partial(_open_bytes, self._bytes_or_error(read), self.opener))

    @staticmethod
    def _bytes_or_error(read: Callable[[], bytes]) -> bytes | Exception:
        """Read an entry. A damaged entry becomes one bad image; the others can still be read."""
        try:
            return read()
        except SurveyError:
            raise
        except Exception as error:  # noqa: BLE001 - told with the image
            return SurveyError(f"Its bytes in the archive are damaged ({type(error).__name__}): pack the image again.")


@dataclass(frozen=True)
class ListSource:
    """Images, or pairs of an image and a label, by number: a list, a tensor (N, 3, H, W), or a torch dataset."""

    images: Any
    labels: Sequence[Label] | None
    names: ClassNames
    opener: ImageOpener

    def __post_init__(self) -> None:
        """Check that there are as many labels as images."""
        if self.labels is not None and len(self.labels) != len(self.images):
            raise SurveyError(
                f"there are {len(self.images):,} images and {len(self.labels):,} labels: give one label for each image, or a"
                " mapping from folders' names to classes"
            )

    @property
    def title(self) -> str:
        """The kind of object."""
        kind = type(self.images).__name__
        return "a list of images" if isinstance(self.images, (list, tuple)) else f"a {kind}"

    @property
    def count(self) -> int:
        """The number of images."""
        return len(self.images)

    def __iter__(self) -> Iterator[Item]:
        """Yield the images. Paths keep their names; other images are named by their number."""
        taken: set[str] = set()
        for number in range(len(self.images)):
            given = self.images[number] if isinstance(self.images, (list, tuple)) else None
            path = isinstance(given, (str, os.PathLike))
            name = Path(given).as_posix() if path else f"image {number}"  # type: ignore[arg-type]  # it is one
            if path and name in taken:
                name = f"{name} ({number})"
            if path:
                taken.add(name)
            yield self._item(number, name, given)

    def _item(self, number: int, name: str, given: Any) -> Item:  # noqa: ANN401 - whatever stands in the list
        if self.labels is not None:
            return Item(name, self.names.of(self.labels[number]), lambda: self._opened(self._at(number)))
        if isinstance(given, (str, os.PathLike)):
            found = self.names.of_path(name)
            # In a list of files, the names of folders are not necessarily classes.
            return Item(name, found if found.index >= 0 else TrueClass(), partial(_open_path, Path(given), self.opener))
        # A dataset is asked once per image, here: it may be slow, or return something different each time.
        try:
            made = given if given is not None else self.images[number]
        except Exception as error:  # noqa: BLE001 - told with the image
            sentence = f"The dataset could not create this image ({type(error).__name__}: {error})."
            return Item(name, TrueClass(), partial(_raise, SurveyError(sentence)))
        label, content = None, made
        if isinstance(made, (tuple, list)) and len(made) >= 2:
            content, label = made[0], made[1]
        elif isinstance(made, (tuple, list)) and len(made) == 1:
            content = made[0]
        return Item(name, self.names.of(self._label(label)), lambda: self._opened(content))

    def _label(self, label: Any) -> Label | None:  # noqa: ANN401 - whatever the data set says
        if isinstance(label, Tensor):
            label = label.item()
        classes = getattr(self.images, "classes", None)
        if isinstance(label, int) and classes is not None and 0 <= label < len(classes):
            return str(classes[label])
        return label if isinstance(label, (str, int)) else None

    def _at(self, number: int) -> Any:  # noqa: ANN401 - whatever stands there
        made = self.images[number]
        return made[0] if isinstance(made, (tuple, list)) else made

    def _opened(self, content: Any) -> Content:  # noqa: ANN401 - checked here
        if isinstance(content, (str, os.PathLike)):
            return _open_path(Path(content), self.opener)
        if isinstance(content, (bytes, bytearray, memoryview)):
            return self.opener(bytes(content))
        if isinstance(content, Image.Image):
            return content
        if isinstance(content, Tensor) and content.ndim == 3:
            return transforms.to_pil_image(content) if content.dtype == torch.uint8 else content
        if hasattr(content, "read"):
            return open_image(content)
        raise SurveyError(f"A {type(content).__name__} is not an image: give paths, bytes, PIL images or tensors (3, H, W).")


def _of_path(path: Path, labels: Sequence[Label] | None, names: ClassNames, opener: ImageOpener) -> ImageSource:
    if path.is_dir():
        if labels is not None:
            raise SurveyError(
                "labels in a list belong to images in a list: give a mapping from sub-folders' names to classes, or list the"
                " files"
            )
        return FolderSource(path, names, opener)
    if not path.is_file():
        raise SurveyError(f"There is no folder or file at {path}. Check the name and the location.")
    with path.open("rb") as file:
        packed = archives.is_archive(file)
    return (
        ArchiveSource(path, names, opener, title=f"the archive {path.name}")
        if packed
        else ListSource([path], labels, names, opener)
    )


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the image files below a folder, those directly in a folder first. Links to folders are not followed."""
    with os.scandir(folder) as found:
        listed = sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)
    for entry in listed:
        if entry.is_file() and _is_image(entry.name):
            yield Path(entry.path)
    for entry in listed:
        if entry.is_dir(follow_symlinks=False) and entry.name != "__MACOSX":
            yield from _walk(Path(entry.path))


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES


def _is_indexed(images: object) -> bool:
    return hasattr(images, "__getitem__") and hasattr(images, "__len__")


def _is_single_tensor(images: object) -> bool:
    return isinstance(images, Tensor) and images.ndim == 3


def _open_path(path: Path, opener: ImageOpener) -> Image.Image:
    # `open_image` has a message for every way in which reading a file can fail.
    if opener is open_image:
        return open_image(path)
    return opener(path.read_bytes())


def _open_bytes(data: bytes | Exception, opener: ImageOpener) -> Image.Image:
    if isinstance(data, Exception):
        raise data
    return opener(data)


def _raise(error: Exception) -> Content:
    raise error
