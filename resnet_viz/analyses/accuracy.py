"""How many images of known classes a network classifies correctly: the check before any map of it is believed."""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
import torch
from PIL import Image

from resnet_viz.analyses.survey import archives
from resnet_viz.analyses.survey.classes import ClassNames
from resnet_viz.analyses.survey.errors import SurveyError, with_article
from resnet_viz.analyses.survey.folders import image_files, printable
from resnet_viz.analyses.survey.items import ImageOpener
from resnet_viz.analyses.survey.sources import ArchiveSource, FolderSource
from resnet_viz.counting import counted
from resnet_viz.images import ImageError, open_image
from resnet_viz.nets.net import Net, check_net
from resnet_viz.progress import OnProgress, ignore_progress

BATCH = 16
# Of a normal distribution 95% lie within so many deviations.
DEVIATIONS = 1.96

ImageOrPath = Image.Image | str | os.PathLike[str]


@dataclass(frozen=True)
class Answer:
    """The result for one image: its name, its true class, the predicted class, and the probabilities of both, 0 to 1."""

    name: str
    label: str
    predicted: str
    probability: float
    label_probability: float

    @property
    def right(self) -> bool:
        """Whether the predicted class is the true class."""
        return self.label == self.predicted


@dataclass(frozen=True)
class LeftOut:
    """An image that could not be used, and why, in a sentence."""

    name: str
    sentence: str


@dataclass(frozen=True)
class Accuracy:
    """What a network predicts for images of known classes, in the order in which they were given.

    `left_out` has the `name` of each image that could not be used, and a `sentence` that says why: they count neither as right
    nor as wrong.
    """

    answers: tuple[Answer, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def total(self) -> int:
        """How many images were classified."""
        return len(self.answers)

    @property
    def right(self) -> int:
        """The number of images that were classified correctly."""
        return sum(answer.right for answer in self.answers)

    @property
    def share(self) -> float:
        """The accuracy, 0 to 1."""
        return self.right / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% confidence interval of the accuracy (Wilson 1927). It is wide for few images."""
        n, square = self.total, DEVIATIONS**2
        centre = (self.right + square / 2) / (n + square)
        half = DEVIATIONS / (n + square) * math.sqrt(self.right * (n - self.right) / n + square / 4)
        return max(0.0, centre - half), min(1.0, centre + half)

    @property
    def nbytes(self) -> int:
        """Memory in bytes, about."""
        return 1000 + 400 * (len(self.answers) + len(self.left_out))

    def table(self) -> pd.DataFrame:
        """Return one row per image: name, label, predicted, probability (of the predicted class), label_probability, right."""
        return pd.DataFrame([vars(answer) | {"right": answer.right} for answer in self.answers])

    @classmethod
    def joined(cls, parts: Iterable["Accuracy"]) -> "Accuracy":
        """Join what was measured in several parts."""
        found = list(parts)
        return cls(
            tuple(answer for part in found for answer in part.answers), tuple(each for part in found for each in part.left_out)
        )


@dataclass(frozen=True)
class _Labelled:
    """An image by its name and the name that tells it from all others, the index of its class, and what opens it."""

    name: str
    place: str
    index: int
    open: Callable[[], Image.Image]
    label: str = ""


def accuracy(net: Net, images: Mapping[Any, ImageOrPath | Iterable[ImageOrPath]] | str | os.PathLike[str]) -> Accuracy:
    """Classify images of known classes: rv.accuracy(net, {"cat": ["a.jpg", "b.jpg"], "dog": "photos/dog"}), or a folder.

    `images` maps the network's labels, or the indices of its classes, to images: one PIL image, file or folder each, or a list
    of these. Or it names a folder, or a ZIP or TAR archive, with a folder for each label. Each image is prepared as the
    network's preprocessing says, and is not kept. An image that cannot be used is left out, and `Accuracy.left_out` names it.

    ValueError for a label that the network does not have, where there is no image, and for a network of a single logit;
    rv.ImageError where no image can be used, and for a class whose only path does not exist; rv.SurveyError for an archive that
    is refused; TypeError for anything but images and paths.
    """
    check_net(net)
    names = ClassNames(net.labels)
    if isinstance(images, Mapping):
        items = _listed({label: _index(net, names, label) for label in images}, images)
    elif isinstance(images, str | os.PathLike):
        items = _found(names, Path(images))
    else:
        raise TypeError(
            f"{with_article(images)} does not say which images have which class: map labels to images, as in"
            ' {"cat": ["a.jpg"], "dog": "photos/dog"}, or name a folder or an archive with a folder for each label.'
        )
    left_out: list[LeftOut] = []
    answers = tuple(_answers(net, items, left_out, ignore_progress))
    if not answers and left_out:
        first = left_out[0]
        raise ImageError(
            f"None of the images could be used ({len(left_out)} in total). The first is {first.name}: {first.sentence}"
        )
    if not answers:
        raise ValueError("There are no images to measure the accuracy on. Give at least one image with its class.")
    return Accuracy(answers, tuple(left_out))


def accuracy_of_archive(
    net: Net, data: bytes, indices: Sequence[int], opener: ImageOpener = open_image, on_image: OnProgress = ignore_progress
) -> Accuracy:
    """Classify the images of a ZIP archive, or a single one: `indices` are their classes, in the archive's order.

    An image that cannot be read is left out with its sentence. ValueError for a class that the network does not have, and where
    there are more or fewer classes than images.
    """
    wrong = next((index for index in indices if not 0 <= index < len(net.labels)), None)
    if wrong is not None:
        raise ValueError(f"class {wrong} is outside the network's classes: take 0 to {len(net.labels) - 1}")
    if archives.is_archive(BytesIO(data)):
        contents = [(name, read()) for name, read in archives.entries(data)]
    else:
        contents = [("image", data)]
    if len(contents) != len(indices):
        images, classes = counted(len(contents), "image"), counted(len(indices), "class", "classes")
        raise ValueError(f"There are not as many classes as images ({images} and {classes}): give one class for each image.")
    left_out: list[LeftOut] = []
    items = [
        _Labelled(name, name, index, partial(opener, content)) for (name, content), index in zip(contents, indices, strict=True)
    ]
    answers = tuple(_answers(net, items, left_out, lambda done, _: on_image(done, len(contents))))
    return Accuracy(answers, tuple(left_out))


def _listed(indices: Mapping[Any, int], groups: Mapping[Any, ImageOrPath | Iterable[ImageOrPath]]) -> Iterator[_Labelled]:
    number = 0
    for label, group in groups.items():
        for source in _sources(label, group):
            number += 1
            if isinstance(source, Image.Image):
                name = f"image {number}"
                yield _Labelled(name, name, indices[label], partial(_same, source))
            elif isinstance(source, str | os.PathLike):
                path = Path(source)
                yield _Labelled(printable(path.name), printable(str(path)), indices[label], partial(open_image, path))
            else:
                raise TypeError(
                    f"{with_article(source)} stands among the images of {label!r}: give paths, or PIL images as rv.open_image"
                    " returns them."
                )


def _sources(label: str | int, group: ImageOrPath | Iterable[ImageOrPath]) -> Iterator[ImageOrPath]:
    """Yield the images of a class; a text is one path, and a folder stands for the images in it and below."""
    if isinstance(group, str | os.PathLike) and not Path(group).exists():
        raise ImageError(f"There is no file or folder at {Path(group)}. Check its name and location.")
    if isinstance(group, Image.Image | str | os.PathLike):
        group = [group]
    elif not isinstance(group, Iterable):
        raise TypeError(f"{with_article(group)} holds no images of {label!r}: give an image, a path, or a list of these.")
    for source in group:
        if isinstance(source, str | os.PathLike) and Path(source).is_dir():
            yield from (found.path for found in image_files(Path(source)))
        else:
            yield source


def _found(names: ClassNames, path: Path) -> Iterator[_Labelled]:
    if path.is_dir():
        source: FolderSource | ArchiveSource = FolderSource(path, names, open_image)
    elif path.is_file() and _is_archive(path):
        source = ArchiveSource(path, names, open_image, title=path.name)
    else:
        raise ValueError(f"{path} is not a folder or an archive: give one with a folder of images for each label.")
    for item in source:
        open_: Any = item.open  # Files hold images and no tensors.
        yield _Labelled(PurePosixPath(item.name).name, item.name, item.label.index, open_, item.label.name or path.name)


def _is_archive(path: Path) -> bool:
    with path.open("rb") as file:
        return archives.is_archive(file)


def _index(net: Net, names: ClassNames, label: str | int) -> int:
    found = names.of(label)
    if found.index < 0:
        raise ValueError(_unknown(net, label))
    return net.class_index(found.name) if isinstance(label, str) else found.index


def _unknown(net: Net, label: str | int) -> str:
    listed = ", ".join(net.labels[:10]) + (" ..." if len(net.labels) > 10 else "")
    return f"{net.title} has no class {label!r}: name the groups or folders after its labels, {listed}"


def _same(photo: Image.Image) -> Image.Image:
    return photo


def _answers(net: Net, items: Iterable[_Labelled], left_out: list[LeftOut], on_image: OnProgress) -> Iterator[Answer]:
    """Yield the answers and collect what is `left_out`; `on_image` gets how many images are done, before each batch."""
    if len(net.labels) == 1:
        raise ValueError(
            f"{net.title} has a single logit, which no other competes with, so that every image would count as correct: compare"
            " its probability for images with and without the class on the Inspect page, or with rv.inspect."
        )
    done = 0
    batch: list[tuple[_Labelled, torch.Tensor]] = []
    for prepared in _prepared(net, items, left_out):
        batch.append(prepared)
        if len(batch) == BATCH:
            on_image(done + len(left_out), 0)
            yield from _classified(net, batch)
            done += len(batch)
            batch = []
    if batch:
        on_image(done + len(left_out), 0)
        yield from _classified(net, batch)


def _prepared(net: Net, items: Iterable[_Labelled], left_out: list[LeftOut]) -> Iterator[tuple[_Labelled, torch.Tensor]]:
    for item in items:
        try:
            pixels = net.preprocess(item.open())
        except (ImageError, SurveyError) as error:
            left_out.append(LeftOut(item.place, str(error)))
            continue
        if item.index < 0:
            raise ValueError(_unknown(net, item.label))
        if item.label:
            # A folder cannot say which of several classes of the same name it holds.
            net.class_index(item.label)
        yield item, pixels


@torch.no_grad()
def _classified(net: Net, batch: Sequence[tuple[_Labelled, torch.Tensor]]) -> list[Answer]:
    probabilities = net.probabilities(net.frugal_twin()(torch.cat([pixels for _, pixels in batch])))
    found = []
    for (item, _), row in zip(batch, probabilities, strict=True):
        best = int(row.argmax())
        label = net.labels[item.index]
        found.append(Answer(item.name, label, net.labels[best], float(row[best]), float(row[item.index])))
    return found
