"""The loop of a survey: images are opened while the passes run, bad images are noted, and finished parts are kept."""

import copy
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from resnet_viz.analyses.context import CPU_PIXELS, batch_of
from resnet_viz.analyses.survey.assembling import PartBuilder
from resnet_viz.analyses.survey.classes import Labels
from resnet_viz.analyses.survey.errors import SurveyError
from resnet_viz.analyses.survey.files import Unfinished
from resnet_viz.analyses.survey.manifest import Manifest, describe
from resnet_viz.analyses.survey.parts import SurveyedPart, SurveyPart
from resnet_viz.analyses.survey.passes import block_facts
from resnet_viz.analyses.survey.result import Survey
from resnet_viz.analyses.survey.sources import ImageOpener, ImageSource, Item, source_of
from resnet_viz.images import open_image
from resnet_viz.nets.net import Net, pick_device

STRONGEST = 9
# A part is kept after this number of images or seconds. An interruption costs at most this much work.
PART_IMAGES, PART_SECONDS = 512, 30.0
DECODERS = 2
# The message for an image whose own error has no text.
UNREADABLE = "This image could not be read ({}): check that it opens in an image program, or leave it out."


@dataclass(frozen=True)
class SurveyProgress:
    """The progress of a survey: `done` of `total` images (None if the total is unknown), of which `bad` could not be used."""

    done: int
    total: int | None
    bad: int


OnSurveyProgress = Callable[[SurveyProgress], None]


def survey(
    net: Net,
    images: Any,  # noqa: ANN401 - a folder, an archive, a list, a tensor or a data set
    *,
    labels: Labels | None = None,
    batch_size: int | None = None,
    device: str | torch.device = "auto",
    out: str | os.PathLike[str] | None = None,
    strongest: int = STRONGEST,
    on_progress: OnSurveyProgress | None = None,
) -> Survey:
    """Measure every block of a network for many images, with one forward and one backward pass per batch.

    `images` is a folder (whose sub-folders are classes), a ZIP or TAR archive, a list of paths, bytes or PIL images, a tensor
    (N, 3, H, W) of preprocessed inputs, or a torch dataset, with or without labels. `labels` is one class per image of a list,
    or a mapping from names of sub-folders to classes. `batch_size` is the number of images per pass; by default it suits the
    device. `device="auto"` is the device of the network. With `out`, finished images are kept next to that Parquet file: memory
    does not grow with their number, and an interrupted survey resumes where it stopped. Without `out`, everything stays in
    memory. `strongest` is the number of images that are kept per channel. An exception that `on_progress` raises stops the
    survey.

    A bad image never stops a survey: the result lists it with the reason. Gradients are those of the predicted class, as in
    `inspect`.

    Raises:
        SurveyError: there are no images, an archive is refused, or `out` contains something else.
        ValueError: a label, the device or the batch size is invalid.
    """
    placed = on_device(net, device)
    source = source_of(images, labels, net.labels)
    if (batch_size is not None and batch_size < 1) or strongest < 0:
        raise ValueError(f"batch size {batch_size} and {strongest} strongest images: take a batch size of 1 or more, or None")
    surveyor = Surveyor(placed, batch_size, strongest)
    first = next(iter(source), None)
    if first is None:
        raise SurveyError(
            f"There are no images in {source.title}: give JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP or TIFF files, or a data set"
            " with at least one image."
        )
    manifest = surveyor.manifest(source, first)
    if out is None:
        return Survey.of_parts(manifest, list(surveyor.parts(source, manifest, on_progress)))
    unfinished = Unfinished.begin(Path(out), manifest)
    for part in surveyor.parts(source, manifest, on_progress, unfinished.names()):
        unfinished.append(part)
    return unfinished.finish()


def survey_part(
    net: Net,
    archive: bytes,
    *,
    strongest: int = STRONGEST,
    opener: ImageOpener = open_image,
    on_image: Callable[[int, int], None] | None = None,
) -> SurveyedPart:
    """Survey a small ZIP archive as one part of a larger survey, which `Survey.of_parts` combines.

    `on_image(done, total)` is called after every pass; an exception that it raises stops the part. Raises the errors of
    `survey`.
    """
    source = source_of(archive, None, net.labels, opener)
    surveyor = Surveyor(net, None, strongest)
    side = net.preprocessing.crop
    manifest = describe(net, (side, side), block_facts(net, (side, side)), strongest, source.title)
    count = source.count or 0
    builder = PartBuilder(net, manifest)
    for batch in surveyor.batches(iter(source), surveyor.pass_size(manifest)):
        builder.add(batch)
        if on_image is not None:
            on_image(len(builder), count)
    return SurveyedPart(manifest.to_json(), builder.part())


@dataclass(frozen=True)
class Ready:
    """An image after it was opened: its input (1, 3, H, W), or the message that says why it could not be opened."""

    item: Item
    x: Tensor | None
    sentence: str = ""


@dataclass(frozen=True)
class Read:
    """An image that was read: cropped for the network or as its input (1, 3, H, W); or the message why it could not be read."""

    item: Item
    content: Image.Image | Tensor | None
    sentence: str = ""


@dataclass(frozen=True)
class Surveyor:
    """A network with the options of a survey."""

    net: Net
    batch_size: int | None
    strongest: int

    def manifest(self, source: ImageSource, first: Item) -> Manifest:
        """Describe the survey. If the images are tensors, the first one determines the size of the inputs."""
        side = self.net.preprocessing.crop
        x = self._ready(self._read(first)).x
        size = (side, side) if x is None else (int(x.shape[2]), int(x.shape[3]))
        return describe(self.net, size, block_facts(self.net, size), self.strongest, source.title)

    def parts(
        self,
        source: ImageSource,
        manifest: Manifest,
        on_progress: OnSurveyProgress | None = None,
        done: Iterable[tuple[str, bool]] = (),
    ) -> Iterator[SurveyPart]:
        """Survey the images that are not `done`, and yield them part by part."""
        items = iter(source)
        skipped, bad = skip(items, done)
        builder, started = PartBuilder(self.net, manifest), time.monotonic()
        total = source.count
        if on_progress is not None:
            on_progress(SurveyProgress(skipped, total, bad))
        for batch in self.batches(items, self.pass_size(manifest)):
            builder.add(batch)
            skipped, bad = skipped + len(batch), bad + sum(ready.x is None for ready in batch)
            if on_progress is not None:
                on_progress(SurveyProgress(skipped, total, bad))
            if len(builder) >= PART_IMAGES or time.monotonic() - started > PART_SECONDS:
                yield builder.part()
                builder, started = PartBuilder(self.net, manifest), time.monotonic()
        if len(builder):
            yield builder.part()

    def pass_size(self, manifest: Manifest) -> int:
        """Return the number of images per pass."""
        if self.batch_size is not None:
            return self.batch_size
        return batch_of(torch.empty(0, 3, *manifest.size, device=self.net.device), CPU_PIXELS)

    def batches(self, items: Iterator[Item], size: int) -> Iterator[list[Ready]]:
        """Read images in threads while the caller works, at most two batches ahead."""
        waiting: deque[Future[Read]] = deque()
        with ThreadPoolExecutor(DECODERS, "survey-decoder") as pool:
            try:
                while True:
                    while len(waiting) < 2 * size and (item := next(items, None)) is not None:
                        waiting.append(pool.submit(self._read, item))
                    if not waiting:
                        return
                    yield [self._ready(waiting.popleft().result()) for _ in range(min(size, len(waiting)))]
            finally:
                for each in waiting:
                    each.cancel()

    def _read(self, item: Item) -> Read:
        try:
            content = item.open()
            return Read(item, content[None].float() if isinstance(content, Tensor) else self.net.preprocessing.seen(content))
        except (SurveyError, ValueError) as error:
            return Read(item, None, str(error))
        except Exception as error:  # noqa: BLE001 - one image never stops the others
            return Read(item, None, UNREADABLE.format(type(error).__name__))

    def _ready(self, read: Read) -> Ready:
        """Make the input where the passes run: in a thread of its own, torch's would take the cores from them."""
        if read.content is None or isinstance(read.content, Tensor):
            return Ready(read.item, read.content, read.sentence)
        return Ready(read.item, self.net.preprocessing.normalise(read.content))


def on_device(net: Net, device: str | torch.device) -> Net:
    """Return the network on a device: the network itself if it is already there, otherwise a copy."""
    if device == "auto" or pick_device(device) == net.device:
        return net
    return replace(net, module=copy.deepcopy(net.module).to(pick_device(device)))


def skip(items: Iterator[Item], done: Iterable[tuple[str, bool]]) -> tuple[int, int]:
    """Skip the images that are done; SurveyError if they are no longer the same images."""
    skipped, bad = 0, 0
    for name, usable in done:
        item = next(islice(items, 1), None)
        if item is None or item.name != name:
            raise SurveyError(
                f"The images have changed since this survey was interrupted: {name!r} was image {skipped + 1:,} and is not"
                " any more. Put the images back, or delete the folder of parts and start again."
            )
        skipped, bad = skipped + 1, bad + (not usable)
    return skipped, bad
