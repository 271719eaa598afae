"""The accuracy of a network on images of known classes, which shows whether its maps can be trusted at all."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from PIL import Image

from resnet_viz.images import open_image
from resnet_viz.nets.net import Net

BATCH = 16
ENDINGS = {".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".heic"}
# 95 % of a normal distribution lie within this many standard deviations.
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
class Accuracy:
    """The results for images of known classes, in the given order."""

    answers: tuple[Answer, ...]

    @property
    def total(self) -> int:
        """The number of images."""
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
        """The 95 % confidence interval of the accuracy (Wilson 1927). It is wide for few images."""
        n, square = self.total, DEVIATIONS**2
        centre = (self.right + square / 2) / (n + square)
        half = DEVIATIONS / (n + square) * math.sqrt(self.right * (n - self.right) / n + square / 4)
        return max(0.0, centre - half), min(1.0, centre + half)

    def table(self) -> pd.DataFrame:
        """Return one row per image: name, label, predicted, probability (of the predicted class), label_probability, right."""
        return pd.DataFrame([vars(answer) | {"right": answer.right} for answer in self.answers])


def accuracy(net: Net, images: Mapping[str, Iterable[ImageOrPath]] | str | Path) -> Accuracy:
    """Classify images of known classes: rv.accuracy(net, {"cat": ["a.jpg", "b.jpg"], "dog": [photo]}), or a folder.

    `images` maps labels of the network to images (paths or PIL images), or is a folder with one sub-folder per label. Each
    image is preprocessed as `net.preprocessing` defines; images are not stored. Raises ValueError for a label that the network
    does not have, and if there are no images; rv.ImageError for a file that is not an image.
    """
    groups = images if isinstance(images, Mapping) else _folder(Path(images))
    unknown = [label for label in groups if label not in net.labels]
    if unknown:
        raise ValueError(
            f"{net.title} has no class {unknown[0]!r}: name the groups or folders after its labels,"
            f" {', '.join(net.labels[:10])} ..."
        )
    answers: list[Answer] = []
    batch: list[tuple[str, str, torch.Tensor]] = []
    for label, source in ((label, source) for label, group in groups.items() for source in group):
        photo = source if isinstance(source, Image.Image) else open_image(source)
        name = f"image {len(answers) + len(batch) + 1}" if isinstance(source, Image.Image) else Path(source).name
        batch.append((name, label, net.preprocess(photo)))
        if len(batch) == BATCH:
            answers += _answers(net, batch)
            batch = []
    answers += _answers(net, batch)
    if not answers:
        raise ValueError("There are no images to measure the accuracy on. Give at least one image with its class.")
    return Accuracy(tuple(answers))


def _folder(folder: Path) -> dict[str, list[ImageOrPath]]:
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder. Give a folder that contains one sub-folder of images per label.")
    found: dict[str, list[ImageOrPath]] = {}
    for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
        found[inner.name] = [path for path in sorted(inner.iterdir()) if path.suffix.lower() in ENDINGS]
    return found


@torch.no_grad()
def _answers(net: Net, batch: list[tuple[str, str, torch.Tensor]]) -> Iterator[Answer]:
    if not batch:
        return
    probabilities = net.probabilities(net.frugal_twin()(torch.cat([pixels for _, _, pixels in batch])))
    for (name, label, _), row in zip(batch, probabilities, strict=True):
        best = int(row.argmax())
        known = float(row[net.labels.index(label)])
        yield Answer(name, label, net.labels[best], float(row[best]), known)
