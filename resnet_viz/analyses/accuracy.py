"""How many images of known classes a network classifies correctly: the check before any map of it is believed."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath

import pandas as pd
import torch
from PIL import Image

from resnet_viz.analyses.survey import archives
from resnet_viz.analyses.survey.classes import ClassNames
from resnet_viz.analyses.survey.items import ImageOpener
from resnet_viz.analyses.survey.sources import ArchiveSource, FolderSource
from resnet_viz.images import ImageError, open_image
from resnet_viz.nets.net import Net
from resnet_viz.progress import OnProgress, ignore_progress

BATCH = 16
# Of a normal distribution 95% lie within so many deviations.
DEVIATIONS = 1.96

ImageOrPath = Image.Image | str | Path


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
    """What a network predicts for images of known classes, in the order in which they were given."""

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
    """An image by its name, the index of its class, and what opens it."""

    name: str
    index: int
    open: Callable[[], Image.Image]


def accuracy(net: Net, images: Mapping[str, Iterable[ImageOrPath]] | str | Path) -> Accuracy:
    """Classify images of known classes: rv.accuracy(net, {"cat": ["a.jpg", "b.jpg"], "dog": [photo]}), or a folder.

    `images` maps the network's labels to images (paths, or PIL images), or names a folder, or a ZIP or TAR archive, with a
    folder for each label. Each image is prepared as the network's preprocessing says, and is not kept.

    ValueError for a label that the network does not have, where there is no image, and for a network of a single logit;
    rv.ImageError for a file that is none; rv.SurveyError for an archive that is refused.
    """
    names = ClassNames(net.labels)
    items = _listed(net, names, images) if isinstance(images, Mapping) else _found(net, names, Path(images))
    answers = tuple(_answers(net, items, ignore_progress))
    if not answers:
        raise ValueError("There are no images to measure the accuracy on. Give at least one image with its class.")
    return Accuracy(answers)


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
        raise ValueError(f"There are {len(contents)} images and {len(indices)} classes: give one class for each image.")
    left_out: list[LeftOut] = []
    items = _readable(contents, indices, opener, left_out)
    answers = tuple(_answers(net, items, lambda done, _: on_image(done + len(left_out), len(contents))))
    return Accuracy(answers, tuple(left_out))


def _readable(
    contents: Iterable[tuple[str, bytes]], indices: Iterable[int], opener: ImageOpener, left_out: list[LeftOut]
) -> Iterator[_Labelled]:
    for (name, content), index in zip(contents, indices, strict=True):
        try:
            photo = opener(content)
        except ImageError as error:
            left_out.append(LeftOut(name, str(error)))
        else:
            yield _Labelled(name, index, partial(_same, photo))


def _listed(net: Net, names: ClassNames, groups: Mapping[str, Iterable[ImageOrPath]]) -> Iterator[_Labelled]:
    indices = {label: _index(net, names, label) for label in groups}
    number = 0
    for label, group in groups.items():
        for source in group:
            number += 1
            if isinstance(source, Image.Image):
                yield _Labelled(f"image {number}", indices[label], partial(_same, source))
            else:
                yield _Labelled(Path(source).name, indices[label], partial(open_image, source))


def _found(net: Net, names: ClassNames, path: Path) -> Iterator[_Labelled]:
    if path.is_dir():
        source: FolderSource | ArchiveSource = FolderSource(path, names, open_image)
    elif path.is_file() and _is_archive(path):
        source = ArchiveSource(path, names, open_image, title=path.name)
    else:
        raise ValueError(f"{path} is not a folder or an archive: give one with a folder of images for each label.")
    for item in source:
        if item.label.index < 0:
            raise ValueError(_unknown(net, item.label.name or path.name))
        yield _Labelled(PurePosixPath(item.name).name, item.label.index, item.open)  # type: ignore[arg-type]  # files give images


def _is_archive(path: Path) -> bool:
    with path.open("rb") as file:
        return archives.is_archive(file)


def _index(net: Net, names: ClassNames, label: str) -> int:
    found = names.of(label)
    if found.index < 0:
        raise ValueError(_unknown(net, label))
    return found.index


def _unknown(net: Net, label: str) -> str:
    listed = ", ".join(net.labels[:10]) + (" ..." if len(net.labels) > 10 else "")
    return f"{net.title} has no class {label!r}: name the groups or folders after its labels, {listed}"


def _same(photo: Image.Image) -> Image.Image:
    return photo


def _answers(net: Net, items: Iterable[_Labelled], on_image: OnProgress) -> Iterator[Answer]:
    """Yield the answers; `on_image` gets how many images were classified, before each batch."""
    if len(net.labels) == 1:
        raise ValueError(
            f"{net.title} has a single logit, which no other competes with, so that every image would count as correct: compare"
            " its probability for images with and without the class on the Inspect page, or with rv.inspect."
        )
    done = 0
    batch: list[tuple[_Labelled, torch.Tensor]] = []
    for item in items:
        batch.append((item, net.preprocess(item.open())))
        if len(batch) == BATCH:
            on_image(done, 0)
            yield from _classified(net, batch)
            done += len(batch)
            batch = []
    if batch:
        on_image(done, 0)
        yield from _classified(net, batch)


@torch.no_grad()
def _classified(net: Net, batch: Sequence[tuple[_Labelled, torch.Tensor]]) -> list[Answer]:
    probabilities = net.probabilities(net.frugal_twin()(torch.cat([pixels for _, pixels in batch])))
    found = []
    for (item, _), row in zip(batch, probabilities, strict=True):
        best = int(row.argmax())
        label = net.labels[item.index]
        found.append(Answer(item.name, label, net.labels[best], float(row[best]), float(row[item.index])))
    return found
