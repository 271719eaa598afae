"""The image files of a folder and of everything below it, in a fixed order."""

import os
from collections import deque
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


def image_files(folder: Path) -> Iterator[FoundFile]:
    """Yield the image files below a folder, those directly in a folder first. Hidden files and folders are left out.

    Links to folders are followed after everything else, and no folder is listed twice: folders that lead to one another would
    give every image more often than anyone could count.
    """
    listed, links = set[str](), deque([folder])
    while links:
        yield from _files_below(links.popleft(), listed, links)


def _files_below(folder: Path, listed: set[str], links: deque[Path]) -> Iterator[FoundFile]:
    """The image files below a folder that is not listed yet; `links` receives the links to other folders."""
    real = os.path.realpath(folder)
    if real in listed:
        return
    listed.add(real)
    try:
        entries = _visible(folder)
    except OSError as error:
        sentence = f"This folder could not be read: {reason(error)}. Check that you may read it, or leave it out."
        yield FoundFile(folder, sentence)
        return
    folders = [entry for entry in entries if _is_folder(entry) and entry.name != "__MACOSX"]
    for entry in entries:
        if is_image(entry.name) and not _is_folder(entry):
            yield FoundFile(Path(entry.path))
    links.extend(Path(entry.path) for entry in folders if entry.is_symlink())
    for entry in folders:
        if not entry.is_symlink():
            yield from _files_below(Path(entry.path), listed, links)


def class_folders(names: Iterable[str]) -> set[str]:
    """Return the folders that tell images apart, below those that all of them share; the last shared one if none does."""
    folders = {PurePosixPath(name).parts[:-1] for name in names}
    shared = count_shared(folders)
    return {folder[shared] for folder in folders if len(folder) > shared} or {folder[-1] for folder in folders if folder}


def count_shared(folders: Iterable[tuple[str, ...]]) -> int:
    """Return how many parts, from the first on, the paths of all these folders share."""
    known = set(folders) or {()}
    # What the first and the last in order share, all of them do.
    pairs = zip(min(known), max(known), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


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
