"""Where the images of a survey come from: a folder, an archive, a list, or a data set, one after the other in a fixed order.

A source never holds more than one image; it yields items that know how to open theirs.
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
    """One image: its name, its class, and what opens it; a float tensor (3, H, W) is taken as preprocessed already."""

    name: str
    label: TrueClass
    open: Callable[[], Content]


class ImageSource(Protocol):
    """Images in a fixed order; `title` says what they are, `count` how many, None where only reading them all tells."""

    @property
    def title(self) -> str:
        """Return a name for the manifest."""

    @property
    def count(self) -> int | None:
        """Return the number of images."""

    def __iter__(self) -> Iterator[Item]:
        """Yield them."""


def source_of(images: Any, labels: Labels | None, classes: Sequence[str], opener: ImageOpener = open_image) -> ImageSource:  # noqa: ANN401 - see below
    """Recognise what somebody gives as images: a folder, an archive, one image, a list of any of these, a tensor or a data set.

    `labels` is one label for each image, or a mapping from folders' names to classes. SurveyError for what is none of these.
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
    """The image files of a folder and all its sub-folders, in the order of their names; hidden and other files are left out."""

    folder: Path
    names: ClassNames
    opener: ImageOpener

    @property
    def title(self) -> str:
        """The folder's own name, without where it lies."""
        return f"the folder {self.folder.resolve().name}"

    @property
    def count(self) -> int:
        """How many image files there are."""
        return sum(1 for _ in _walk(self.folder))

    def __iter__(self) -> Iterator[Item]:
        """Yield the files."""
        for path in _walk(self.folder):
            name = path.relative_to(self.folder).as_posix()
            yield Item(name, self.names.of_path(name), partial(_open_path, path, self.opener))


@dataclass(frozen=True)
class ArchiveSource:
    """The images of a ZIP or TAR archive, in its order."""

    source: Path | bytes
    names: ClassNames
    opener: ImageOpener
    title: str
    limits: archives.ArchiveLimits | None = None

    @property
    def count(self) -> int | None:
        """How many images there are; None for a TAR archive."""
        if archives.is_read_in_order(self.source):
            return None
        return sum(1 for name, _ in archives.entries(self.source, self.limits) if _is_image(name))

    def __iter__(self) -> Iterator[Item]:
        """Yield the images; their bytes are read here, because an archive is read in its order."""
        taken: dict[str, int] = {}
        for name, read in archives.entries(self.source, self.limits):
            if _is_image(name):
                taken[name] = taken.get(name, 0) + 1
                unique = name if taken[name] == 1 else f"{name} ({taken[name]})"
                yield Item(unique, self.names.of_path(name), partial(_open_bytes, self._bytes_or_error(read), self.opener))

    @staticmethod
    def _bytes_or_error(read: Callable[[], bytes]) -> bytes | Exception:
        """One damaged entry is one bad image; the others can still be read."""
        try:
            return read()
        except SurveyError:
            raise
        except Exception as error:  # noqa: BLE001 - told with the image
            return SurveyError(f"Its bytes in the archive are damaged ({type(error).__name__}): pack the image again.")


@dataclass(frozen=True)
class ListSource:
    """Images or pairs of image and label by their number: a list, a tensor (N, 3, H, W), or a data set of torch."""

    images: Any
    labels: Sequence[Label] | None
    names: ClassNames
    opener: ImageOpener

    def __post_init__(self) -> None:
        """Refuse labels that do not fit."""
        if self.labels is not None and len(self.labels) != len(self.images):
            raise SurveyError(
                f"there are {len(self.images):,} images and {len(self.labels):,} labels: give one label for each image, or a"
                " mapping from folders' names to classes"
            )

    @property
    def title(self) -> str:
        """What kind of thing it is."""
        kind = type(self.images).__name__
        return "a list of images" if isinstance(self.images, (list, tuple)) else f"a {kind}"

    @property
    def count(self) -> int:
        """How many images there are."""
        return len(self.images)

    def __iter__(self) -> Iterator[Item]:
        """Yield them; paths keep their names, other images get their number for one."""
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
            # Whoever lists files does not say that their folders are classes.
            return Item(name, found if found.index >= 0 else TrueClass(), partial(_open_path, Path(given), self.opener))
        # What a data set makes is made once, here: it may be slow, or different each time.
        try:
            made = given if given is not None else self.images[number]
        except Exception as error:  # noqa: BLE001 - told with the image
            sentence = f"The data set could not make it ({type(error).__name__}: {error})."
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
        raise SurveyError(f"A {type(content).__name__} is no image: give paths, bytes, PIL images or tensors (3, H, W).")


def _of_path(path: Path, labels: Sequence[Label] | None, names: ClassNames, opener: ImageOpener) -> ImageSource:
    if path.is_dir():
        if labels is not None:
            raise SurveyError(
                "labels in a list belong to images in a list: give a mapping from sub-folders' names to classes, or list the"
                " files"
            )
        return FolderSource(path, names, opener)
    if not path.is_file():
        raise SurveyError(f"There is no folder or file at {path}: check its name and where it is.")
    with path.open("rb") as file:
        packed = archives.is_archive(file)
    return (
        ArchiveSource(path, names, opener, title=f"the archive {path.name}")
        if packed
        else ListSource([path], labels, names, opener)
    )


def _walk(folder: Path) -> Iterator[Path]:
    """Image files below a folder, each folder's own first; links to folders are not followed."""
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
    # `open_image` has a sentence for every way in which a file cannot be read.
    if opener is open_image:
        return open_image(path)
    return opener(path.read_bytes())


def _open_bytes(data: bytes | Exception, opener: ImageOpener) -> Image.Image:
    if isinstance(data, Exception):
        raise data
    return opener(data)


def _raise(error: Exception) -> Content:
    raise error
