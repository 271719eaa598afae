"""Which images and which network a command is about, what happens to each image, and where its files go."""

import errno
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Protocol

import pandas as pd
import typer
from PIL import Image

from resnet_viz.analyses.survey.classes import ClassNames
from resnet_viz.analyses.survey.folders import image_files, printable
from resnet_viz.images import ImageError, open_image
from resnet_viz.nets.checkpoints.errors import CheckpointError
from resnet_viz.nets.checkpoints.loading import load_checkpoint
from resnet_viz.nets.labels import visible
from resnet_viz.nets.net import Net, WeightsError
from resnet_viz.nets.zoo import is_name, load, similar_names
from resnet_viz.progress import ProgressBar, ignore_progress

# What stands in a sentence; everything else is a mistake of this program.
ERRORS = (ImageError, WeightsError, CheckpointError, ValueError, OSError)
INTERRUPTED = 130
# Errors of the operating system that only writing has.
OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)

Images = Annotated[
    list[str], typer.Argument(help="Image files, and folders of them: JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP, TIFF.")
]
ModelName = Annotated[str, typer.Option("--model", help="A name that `resnet-viz models` lists, or a checkpoint file.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
TargetOption = Annotated[
    str | None, typer.Option(help="The class to explain, by label or index; the predicted one if left out.")
]
Untrained = Annotated[bool, typer.Option("--untrained", help="Use seeded random weights.")]
ReportTo = Annotated[
    Path | None, typer.Option("--report", help="Write an HTML report; of several images, one each into this folder.")
]
CsvTo = Annotated[Path | None, typer.Option("--csv", help="Write the table, of all images one below the other.")]

Callback = Callable[..., None]


class Work(Protocol):
    """What a command does with an image."""

    def __call__(self, job: "OneImage") -> str:
        """Return what is printed."""
        ...


@dataclass(frozen=True, eq=False)
class OneImage:
    """An image of a command: its `name` among the others, how its progress is shown, and where the command writes."""

    image: Image.Image
    name: str
    alone: bool
    on_progress: Callback
    tables: dict[str, pd.DataFrame] = field(repr=False)

    def file(self, wanted: Path, suffix: str) -> Path:
        """Where a file of this image goes: as it was named for a single image, else into the folder of that name."""
        if self.alone and wanted.suffix:
            return wanted
        wanted.mkdir(parents=True, exist_ok=True)
        return wanted / f"{self.name}{suffix}"


@contextmanager
def told(stopped: Callable[[], str] = lambda: "Stopped.") -> Iterator[None]:
    """Say in a sentence what went wrong, and end with the exit code 1, or 130 where somebody stopped the command.

    `stopped` says what a command that was stopped leaves behind.
    """
    try:
        yield
    except ERRORS as error:
        typer.echo(sentence_of(error), err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        typer.echo(f"\n{visible(stopped())}", err=True)
        raise typer.Exit(INTERRUPTED) from None


def sentence_of(error: Exception) -> str:
    """The message of an error; for one of the operating system, the file, what happened, and what to do next."""
    if not isinstance(error, OSError) or not error.strerror:
        return visible(str(error))
    file = str(error.filename or "A file")
    if isinstance(error, FileNotFoundError):
        return visible(f"There is no file at {file}. Check its name and its folder.")
    if isinstance(error, IsADirectoryError):
        return visible(f"{file} is a folder, and a file is needed. Name a file in it, or another one.")
    if error.errno in OF_WRITING:
        return visible(f"{file} could not be written: {error.strerror}. Check that the disk has room, or choose another place.")
    return visible(f"{file} could not be read or written: {error.strerror}. Check that you may use it, or choose another one.")


def network(model: str, device: str, *, untrained: bool) -> Net:
    """Open a network by its name, or a checkpoint by its file; raises what `told` tells."""
    if Path(model).is_file():
        return load_checkpoint(model, device=device)
    if not is_name(model):
        raise ValueError(_no_network(model))
    return load(model, weights=None, device=device) if untrained else load(model, device=device)


def _no_network(model: str) -> str:
    if not model:
        return "The name of the network is empty. `resnet-viz models` lists the names."
    if Path(model).is_dir():
        return f"{model} is a folder. Name a checkpoint file in it, or a network that `resnet-viz models` lists."
    meant = similar_names(model) or "."
    return f"There is no file {model}, and no network of that name: `resnet-viz models` lists them{meant}"


def class_of(text: str | None, net: Net, option: str = "--target") -> int | None:
    """Read a class from the command line: an index, a label in any capitals, or None for the predicted class; ValueError."""
    if text is None:
        return None
    if not text.strip():
        raise ValueError(f"{option} is empty. Name a class by its label or its index, or leave {option} out.")
    if text not in net.labels and text.removeprefix("-").isdecimal():
        return net.class_index(int(text))
    found = ClassNames(net.labels).of(text).index
    return net.class_index(text if text in net.labels or found < 0 else net.labels[found])


def listed(names: Sequence[str]) -> list[Path]:
    """Return the files, and for each folder the images in it and below; ImageError for a folder without any."""
    found: list[Path] = []
    for name in names:
        if not name:
            raise ImageError("The name of an image is empty. Name an image file, or a folder of them; . is this folder.")
        path = Path(name)
        if not path.is_dir():
            found.append(path)
            continue
        inside = list(image_files(path))
        if not inside:
            raise ImageError(
                f"The folder {path} contains no images. Name a folder with JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP or TIFF files."
            )
        unreadable = next((each for each in inside if each.sentence), None)
        if unreadable is not None:
            raise ImageError(f"{unreadable.path}: {unreadable.sentence}")
        found += [each.path for each in inside]
    return list(dict.fromkeys(found))


def names_of(paths: Sequence[Path]) -> list[str]:
    """Give every image a name of its own, as short as possible: without folders where that is enough."""
    stems = [printable(path.stem) for path in paths]
    whole = [
        printable("-".join(part.strip("/\\:") for part in path.with_suffix("").parts if part.strip("/\\:."))) for path in paths
    ]
    names = [stem if stems.count(stem) == 1 else longer for stem, longer in zip(stems, whole, strict=True)]
    return [name if names.count(name) == 1 else f"{name}-{number}" for number, name in enumerate(names)]


def single_file(wanted: Path | None, paths: Sequence[Path], suffix: str) -> None:
    """Check a place for the file of one image, or for the folder of the files of several; ValueError if it is none."""
    if wanted is None:
        return
    if len(paths) == 1 and wanted.suffix:
        writable_file(wanted, paths, suffix)
    elif wanted.suffix:
        raise ValueError(
            f"{wanted} is one file, and there are {len(paths)} images. Name a folder: each image gets a file in it."
        )
    elif wanted.exists() and not wanted.is_dir():
        raise ValueError(f"{wanted} is a file and stays as it is. Name a folder, or a new file that ends in {suffix}.")


def writable_file(wanted: Path | None, paths: Sequence[Path], suffix: str) -> None:
    """Check that a file can be written without replacing an image, or a file of another kind; ValueError if it cannot."""
    if wanted is None:
        return
    if wanted.is_dir():
        raise ValueError(f"{wanted} is a folder. Name a file in it, such as {wanted}/table{suffix}.")
    if not wanted.parent.is_dir():
        raise ValueError(f"There is no folder {wanted.parent} for {wanted.name}. Create it, or choose another place.")
    if any(wanted.resolve() == path.resolve() for path in paths):
        raise ValueError(
            f"{wanted} is one of the images and stays as it is. Choose another name, such as one that ends in {suffix}."
        )
    if wanted.exists() and wanted.suffix.lower() != suffix:
        raise ValueError(f"{wanted} exists and stays as it is, because its name does not end in {suffix}. Choose another name.")


def for_each(paths: Sequence[Path], work: Work, csv_to: Path | None = None, *, what: str, unit: str = "step") -> None:
    """Open every image and work on it, with progress; an image that fails is named, and the others go on.

    Exits with 1 if one failed. Tables that the work collects are written to `csv_to`, with a column for the image if there are
    several.
    """
    names, tables, failed = names_of(paths), dict[str, pd.DataFrame](), 0
    alone = len(paths) == 1
    with bar(what, "image" if not alone else unit) as shown:
        for number, (path, name) in enumerate(zip(paths, names, strict=True)):
            try:
                job = OneImage(open_image(path), name, alone, shown if alone else ignore_progress, tables)
                said = work(job)
            except ERRORS as error:
                said, failed = "", failed + 1
                aside(sentence_of(error) if alone else f"{visible(str(path))}: {sentence_of(error)}", err=True)
            if said:
                aside(said)
            if not alone:
                shown(number + 1, len(paths))
    if csv_to is not None and tables:
        together(tables, alone=alone).to_csv(csv_to)
    if failed:
        raise typer.Exit(1)


def together(tables: dict[str, pd.DataFrame], *, alone: bool) -> pd.DataFrame:
    """Put the tables of several images one below the other."""
    return next(iter(tables.values())) if alone else pd.concat(tables, names=["image"])


def bar(what: str, unit: str) -> "AbstractContextManager[Callback]":
    """A progress bar if somebody watches; a file or a pipe gets none."""
    return ProgressBar(what, unit=unit, keep=False) if sys.stderr.isatty() else _unwatched()


def aside(text: str, *, err: bool = False) -> None:
    """Print without breaking the bar's line."""
    ProgressBar.write(text, sys.stderr if err else sys.stdout)


@contextmanager
def _unwatched() -> Iterator[Callback]:
    yield ignore_progress
