"""The images of a survey, one after another in a fixed order: a folder, an archive, a list, or a dataset.

A source never holds more than one image. It yields items, and each item can open its own image and knows its version.
`folders` finds the files of a folder.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from io import BytesIO
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, TypeGuard

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional as transforms

from resnet_viz.analyses.survey import archives
from resnet_viz.analyses.survey.classes import ClassNames, Labels, TrueClass, as_python, given_labels
from resnet_viz.analyses.survey.errors import SurveyError, with_article
from resnet_viz.analyses.survey.folders import class_folders, image_files, is_image, printable, sub_folders
from resnet_viz.images import open_image

ImageOpener = Callable[[bytes], Image.Image]
Content = Image.Image | Tensor


@dataclass(frozen=True)
class Item:
    """One image: its name, its class, and the function that opens it. A float tensor (3, H, W) is already preprocessed.

    `version` returns a text that changes with the image: the size and the time of a file, or a hash of what is in memory.
    """

    name: str
    label: TrueClass
    open: Callable[[], Content]
    version: Callable[[], str]


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
    given = None if labels is None or isinstance(labels, Mapping) else names.of_all(given_labels(labels))
    if hasattr(images, "read") and hasattr(images, "seek"):
        images.seek(0)
        images = images.read()
    if isinstance(images, (str, os.PathLike)):
        return _of_path(images, given, names, opener)
    if isinstance(images, (bytes, bytearray, memoryview)) and archives.is_archive(BytesIO(images)):
        _refuse_list(given)
        return ArchiveSource(bytes(images), names, opener, title="an archive")
    if isinstance(images, (bytes, bytearray, memoryview, Image.Image)) or _is_single_tensor(images):
        return ListSource([images], given, names, opener)
    if isinstance(images, Mapping) or not (_is_indexed(images) or isinstance(images, Iterable)):
        raise SurveyError(
            f"{with_article(images)} holds no images that are known here: give a folder, a ZIP or TAR archive, a list of"
            " images, or a data set"
        )
    listed = images if _is_indexed(images) else list(images)
    if isinstance(labels, Mapping) and not _has_names(listed):
        raise SurveyError(
            "labels map folders' names to classes, and these images have no folders: give one label for each image"
        )
    return ListSource(listed, given, names, opener)


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
        root, names = self.folder.resolve().name, self.names.numbered(sub_folders(self.folder))
        for found in image_files(self.folder):
            name = printable(found.path.relative_to(self.folder).as_posix())
            content = found.path if not found.sentence else SurveyError(found.sentence)
            yield Item(name, names.of_path(name, root), partial(_opened, content, self.opener), partial(_version, content))


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
                content = self._bytes_or_error(read)
                yield Item(unique, names.of_path(name), partial(_opened, content, self.opener), partial(_version, content))

    @cached_property
    def _class_names(self) -> ClassNames:
        """The names of classes, with numbers where folders are named after them: only then are all entries looked at first."""
        found = self._image_names()
        first = next(found, "")
        if not any(map(str.isdecimal, PurePosixPath(first).parts[:-1])):
            return self.names
        return self.names.numbered(class_folders(chain((first,), found)))

    def _image_names(self) -> Iterator[str]:
        """The names of the images, up to where the archive is damaged, which is said when they are read."""
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
                f"there {_counted(len(self.images), 'image')} and {_counted(len(self.labels), 'label', verb=False)}: give one"
                " label for each image, or a mapping from folders' names to classes"
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
        files = [Path(each) for each in self.images if _is_path(each)] if isinstance(self.images, (list, tuple)) else []
        common = _common_folder(files)
        names = self.names if common is None else self.names.numbered(_folders_below(common, files))
        for number in range(len(self.images)):
            given = self.images[number] if isinstance(self.images, (list, tuple)) else None
            if not _is_path(given):
                yield self._item(number, given)
                continue
            path = Path(given)
            name = printable(path.as_posix())
            name = f"{name} ({number})" if name in taken else name
            taken.add(name)
            label = _class_of_file(path, common, names) if self.labels is None else self.labels[number]
            yield Item(name, label, partial(_opened, path, self.opener), partial(_version, path))

    def _item(self, number: int, given: Any) -> Item:  # noqa: ANN401 - whatever stands in the list
        # A dataset is asked once per image, here: it may be slow, or return something different each time.
        label = TrueClass() if self.labels is None else self.labels[number]
        try:
            made = given if given is not None else self.images[number]
            pair = isinstance(made, (tuple, list)) and len(made) > 0
            content = made[0] if pair else made
            if self.labels is None and pair and len(made) >= 2:
                label = self._class_of(made[1])
        except ValueError as error:
            content = SurveyError(str(error))
        except Exception as error:  # noqa: BLE001 - told with the image
            content = SurveyError(f"The dataset could not create this image ({type(error).__name__}: {error}).")
        return Item(f"image {number}", label, partial(_opened, content, self.opener), partial(_version, content))

    def _class_of(self, label: Any) -> TrueClass:  # noqa: ANN401 - whatever the data set says
        """The class of a label of a data set, which may have classes of its own. Labels of other kinds are no classes."""
        label = as_python(label)
        classes = getattr(self.images, "classes", None)
        if isinstance(label, int) and classes is not None and 0 <= label < len(classes):
            return self.names.of(str(classes[label]))
        return self.names.of(label) if isinstance(label, (str, int)) else TrueClass()


def _of_path(
    given: str | os.PathLike[str], labels: Sequence[TrueClass] | None, names: ClassNames, opener: ImageOpener
) -> ImageSource:
    path = Path(given)
    if not os.fspath(given):
        raise SurveyError("The name of the folder is empty: give the path of a folder or an archive, or . for this folder.")
    if path.is_dir():
        _refuse_list(labels)
        return FolderSource(path, names, opener)
    if not path.exists():
        raise SurveyError(f"There is no folder or file at {printable(str(path))}. Check the name and the location.")
    if path.is_file():
        with path.open("rb") as file:
            packed = archives.is_archive(file)
        if packed:
            _refuse_list(labels)
            return ArchiveSource(path, names, opener, title=f"the archive {printable(path.name)}")
    return ListSource([path], labels, names, opener)


def _refuse_list(labels: Sequence[TrueClass] | None) -> None:
    if labels is not None:
        raise SurveyError(
            "labels in a list belong to images in a list: give a mapping from sub-folders' names to classes, or list the files"
        )


def _common_folder(files: list[Path]) -> Path | None:
    """The deepest folder that holds all files; None if there is none."""
    try:
        return Path(os.path.commonpath({file.parent for file in files}))
    except ValueError:
        return None


def _folders_below(common: Path, files: list[Path]) -> set[str]:
    return class_folders(file.relative_to(common).as_posix() for file in files)


def _class_of_file(path: Path, common: Path | None, names: ClassNames) -> TrueClass:
    """The class that a folder below the common one is named after, or the folder of the image; other folders are none."""
    below = common is not None and path.is_relative_to(common)
    inside = path.relative_to(common) if common is not None and below else Path(path.parent.name, path.name)
    found = names.of_path(printable(inside.as_posix()), path.parent.name)
    return found if found.index >= 0 else TrueClass()


def _has_names(images: Any) -> bool:  # noqa: ANN401 - whatever was given
    """Whether images may have names of classes: those of folders, or the labels of a data set."""
    if isinstance(images, (list, tuple)):
        return any(isinstance(each, (str, os.PathLike, list, tuple)) for each in images)
    return not isinstance(images, Tensor)


def _counted(count: int, what: str, *, verb: bool = True) -> str:
    verb_of = ("is " if count == 1 else "are ") if verb else ""
    return f"{verb_of}{count:,} {what}{'' if count == 1 else 's'}"


def _is_path(given: object) -> TypeGuard[str | os.PathLike[str]]:
    return isinstance(given, (str, os.PathLike))


def _is_indexed(images: object) -> bool:
    return hasattr(images, "__getitem__") and hasattr(images, "__len__")


def _is_single_tensor(images: object) -> bool:
    return isinstance(images, Tensor) and images.ndim == 3


def _opened(content: Any, opener: ImageOpener) -> Content:  # noqa: ANN401 - checked here
    if isinstance(content, Exception):
        raise content
    if _is_path(content):
        # `open_image` has a message for every way in which reading a file can fail.
        return open_image(content) if opener is open_image else opener(Path(content).read_bytes())
    if isinstance(content, (bytes, bytearray, memoryview)):
        return opener(bytes(content))
    if isinstance(content, Image.Image):
        return content
    if isinstance(content, Tensor):
        return _checked_tensor(content)
    if hasattr(content, "read"):
        return open_image(content)
    kind = with_article(content)
    raise SurveyError(f"{kind[0].upper()}{kind[1:]} is not an image: give paths, bytes, PIL images or tensors (3, H, W).")


def _checked_tensor(x: Tensor) -> Content:
    """A tensor as the network can take it; SurveyError for one that is no image."""
    if x.ndim != 3 or x.is_complex() or x.layout != torch.strided or x.is_meta:
        kind = "complex " if x.is_complex() else "sparse " if x.layout != torch.strided else "empty " if x.is_meta else ""
        raise SurveyError(
            f"This {kind}tensor of the shape {tuple(x.shape)} is not an image: give dense tensors (3, H, W) of real numbers."
        )
    if x.dtype == torch.uint8:
        image: Image.Image = transforms.to_pil_image(x)
        return image
    if x.shape[0] != 3 or not x.numel():
        raise SurveyError(
            f"This tensor has the shape {tuple(x.shape)}, and the input of a network has three channels and at least one pixel:"
            " give tensors (3, H, W)."
        )
    if not _is_finite(x):
        raise SurveyError("This tensor holds NaN or infinite values, of which nothing can be measured: check how it was made.")
    return x


def _is_finite(x: Tensor) -> bool:
    """Whether all numbers are finite, without torch's threads: images are read while these run the network."""
    if x.device.type == "cpu" and x.dtype in (torch.float16, torch.float32, torch.float64):
        return bool(np.isfinite(x.detach().resolve_neg().numpy()).all())
    return bool(torch.isfinite(x).all())


def _version(content: Any) -> str:  # noqa: ANN401 - whatever an image is made of
    """The size and time of a file, or a hash of what is in memory; "" for what cannot be read."""
    try:
        if _is_path(content):
            found = Path(content).stat()
            return f"{found.st_size} {found.st_mtime_ns}"
        if isinstance(content, Image.Image):
            return _hash(content.tobytes(), content.mode, content.size)
        if isinstance(content, Tensor):
            values = content.detach().cpu().contiguous()
            return _hash(values.flatten().view(torch.uint8).numpy(), values.dtype, tuple(values.shape))
        if hasattr(content, "read"):
            content.seek(0)
            content = content.read()
        return _hash(content)
    except Exception:  # noqa: BLE001 - `_opened` says what is wrong with it
        return ""


def _hash(data: Any, *kind: object) -> str:  # noqa: ANN401 - any buffer
    return hashlib.blake2b(memoryview(data), digest_size=8, person=b"survey").hexdigest() + "".join(f" {each}" for each in kind)
