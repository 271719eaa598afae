"""The image files of a folder and of everything below it, in a fixed order."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath

from resnet_viz.analyses.survey.errors import reason

SUFFIXES = frozenset(
    ".jpg .jpeg .jfif .jpe .pjpeg .png .webp .avif .hif .heic .heif .gif .bmp .tif .tiff".split()  # noqa: SIM905 - legible
)


@dataclass(frozen=True)
class FoundFile:
    """An image file; or a folder that could not be read, with the sentence that says why."""

    path: Path
    sentence: str = ""


def image_files(folder: Path, above: frozenset[str] = frozenset()) -> Iterator[FoundFile]:
    """Yield the image files below a folder, those directly in a folder first. Hidden files and folders are left out.

    Links to folders are followed, except to a folder that they are in: `above` holds those.
    """
    inside = above | {os.path.realpath(folder)}
    try:
        listed = _visible(folder)
    except OSError as error:
        sentence = f"This folder could not be read: {reason(error)}. Check that you may read it, or leave it out."
        yield FoundFile(folder, sentence)
        return
    for entry in listed:
        if is_image(entry.name) and not _is_folder(entry):
            yield FoundFile(Path(entry.path))
    for entry in listed:
        if _is_folder(entry) and entry.name != "__MACOSX" and os.path.realpath(entry.path) not in inside:
            yield from image_files(Path(entry.path), inside)


def sub_folders(folder: Path) -> list[str]:
    """Return the names of the folders directly in a folder."""
    try:
        return [entry.name for entry in _visible(folder) if _is_folder(entry)]
    except OSError:
        return []


def class_folders(names: Iterable[str]) -> set[str]:
    """Return the folders that tell images apart, below those that all of them share; the last shared one if none does."""
    folders = {PurePosixPath(name).parts[:-1] for name in names} or {()}
    # What the first and the last in order share, all of them do.
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(min(folders), max(folders), strict=False)))
    return {folder[shared] for folder in folders if len(folder) > shared} or {folder[-1] for folder in folders if folder}


def is_image(name: str) -> bool:
    """Whether a file has the name of an image."""
    return Path(name).suffix.lower() in SUFFIXES


def printable(name: str) -> str:
    """A name as text that can be stored and printed: bytes that are not UTF-8 become escapes."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _visible(folder: Path) -> list["os.DirEntry[str]"]:
    with os.scandir(folder) as found:
        return sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link that leads to itself.
        return False
