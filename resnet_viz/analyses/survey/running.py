"""The loop of a survey: images are opened while the passes run, bad images are noted, and finished parts are kept."""

import copy
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from resnet_viz.analyses.context import CPU_PIXELS, GPU_FACTOR, batch_of
from resnet_viz.analyses.survey.assembling import PartBuilder
from resnet_viz.analyses.survey.classes import Labels, TrueClass
from resnet_viz.analyses.survey.errors import SurveyError
from resnet_viz.analyses.survey.folders import printable
from resnet_viz.analyses.survey.items import ImageOpener, ImageSource, Item
from resnet_viz.analyses.survey.manifest import MOST_STRONGEST, Manifest, describe
from resnet_viz.analyses.survey.parts import SurveyedPart, SurveyPart
from resnet_viz.analyses.survey.passes import block_facts
from resnet_viz.analyses.survey.result import Survey
from resnet_viz.analyses.survey.sources import source_of
from resnet_viz.analyses.survey.unfinished import FinishedImage, Unfinished, refuse_existing
from resnet_viz.analyses.whole_numbers import is_whole
from resnet_viz.images import open_image
from resnet_viz.nets.net import Net, check_net, pick_device

STRONGEST = 9
# A part is kept after this number of images or seconds. An interruption costs at most this much work.
PART_IMAGES, PART_SECONDS = 512, 30.0
DECODERS = 2
# A tenth of the time that an equal thread would get, where others want the core too.
LOW_PRIORITY = 10
# A pass has at most this many times the pixels at which a device is fast, whatever batch size is asked for.
MOST_FACTOR = 8
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
        SurveyError: there are no images, an archive is refused, `out` contains something else, or the images or their classes
            are not those of the survey that is to be resumed.
        ValueError: a label, the device, the batch size or the number of strongest images is invalid.
        TypeError: `net` is no network.
    """
    check_net(net)
    surveyor = Surveyor(on_device(net, device), batch_size, strongest)
    source = source_of(images, labels, net.labels)
    if out is not None:
        refuse_existing(Path(out))
    if next(iter(source), None) is None:
        raise SurveyError(
            f"There are no images in {source.title}: give JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP or TIFF files, or a data set"
            " with at least one image."
        )
    manifest = surveyor.manifest(source)
    if out is None:
        return Survey.of_parts(manifest, list(surveyor.parts(source, manifest, on_progress)))
    with Unfinished.begin(Path(out), manifest) as unfinished:
        for part in surveyor.parts(source, manifest, on_progress, unfinished.images()):
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
    version: str = ""


@dataclass(frozen=True)
class Read:
    """An image that was read: cropped for the network or as its input (1, 3, H, W); or the message why it could not be read."""

    item: Item
    content: Image.Image | Tensor | None
    sentence: str = ""
    version: str = ""


@dataclass(frozen=True)
class Surveyor:
    """A network with the options of a survey."""

    net: Net
    batch_size: int | None
    strongest: int

    def __post_init__(self) -> None:
        """Check the options."""
        if self.batch_size is not None and not _is_within(self.batch_size, 1):
            raise ValueError(f"batch_size={self.batch_size!r} is not possible: take a whole number from 1, or None")
        if not _is_within(self.strongest, 0, MOST_STRONGEST):
            raise ValueError(f"strongest={self.strongest!r} is not possible: take a whole number from 0 to {MOST_STRONGEST}")

    def manifest(self, source: ImageSource) -> Manifest:
        """Describe the survey. If the images are tensors, the first one that can be used determines the size of the inputs."""
        side = self.net.preprocessing.crop
        inputs = (self._ready(self._read(item)).x for item in source)
        x = next((x for x in inputs if x is not None), None)
        size = (side, side) if x is None else (int(x.shape[2]), int(x.shape[3]))
        try:
            facts = block_facts(self.net, size)
        except RuntimeError as error:
            raise SurveyError(
                f"{self.net.title} cannot process inputs of {size[0]}x{size[1]} pixels ({str(error).splitlines()[0]}): give"
                f" tensors of another size, such as {side}x{side}."
            ) from error
        return describe(self.net, size, facts, self.strongest, source.title)

    def parts(
        self,
        source: ImageSource,
        manifest: Manifest,
        on_progress: OnSurveyProgress | None = None,
        done: Iterable[FinishedImage] = (),
    ) -> Iterator[SurveyPart]:
        """Survey the images that are not `done`, and yield them part by part.

        An error or an interruption yields what has been measured, and is raised with the next step.
        """
        items = iter(source)
        skipped, bad = skip(items, done)
        builder, started = PartBuilder(self.net, manifest), time.monotonic()
        total = source.count
        if on_progress is not None:
            on_progress(SurveyProgress(skipped, total, bad))
        try:
            for batch in self.batches(items, self.pass_size(manifest)):
                builder.add(batch)
                skipped += len(batch)
                if on_progress is not None:
                    on_progress(SurveyProgress(skipped, total, bad + builder.bad))
                if len(builder) >= PART_IMAGES or time.monotonic() - started > PART_SECONDS:
                    finished, builder, started = builder, PartBuilder(self.net, manifest), time.monotonic()
                    bad += finished.bad
                    yield finished.part()
        except (Exception, KeyboardInterrupt):
            if len(builder):
                yield builder.part()
            raise
        if len(builder):
            yield builder.part()

    def pass_size(self, manifest: Manifest) -> int:
        """Return the number of images per pass: not more than fit into the memory of usual machines."""
        x = torch.empty(0, 3, *manifest.size, dtype=torch.float32, device=self.net.device)
        if self.batch_size is None:
            return batch_of(x, CPU_PIXELS)
        factor = MOST_FACTOR * (1 if x.device.type == "cpu" else GPU_FACTOR)
        return min(self.batch_size, max(1, factor * CPU_PIXELS // (manifest.size[0] * manifest.size[1])))

    def batches(self, items: Iterator[Item], size: int) -> Iterator[list[Ready]]:
        """Read images in threads while the caller works, at most two batches ahead."""
        waiting: deque[Future[Read]] = deque()
        initializer = _give_way if self.net.device.type == "cpu" else None
        with ThreadPoolExecutor(DECODERS, "survey-decoder", initializer) as pool:
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
        content, sentence = None, ""
        try:
            opened = item.open()
            content = opened[None].float() if isinstance(opened, Tensor) else self.net.preprocessing.seen(opened)
        except ValueError as error:
            sentence = str(error)
        except Exception as error:  # noqa: BLE001 - one image never stops the others
            sentence = UNREADABLE.format(type(error).__name__)
        return Read(item, content, printable(sentence), item.version())

    def _ready(self, read: Read) -> Ready:
        """Make the input where the passes run: in a thread of its own, torch's would take the cores from them."""
        x = self.net.preprocessing.normalise(read.content) if isinstance(read.content, Image.Image) else read.content
        return Ready(read.item, x, read.sentence, read.version)


def _give_way() -> None:
    """Prefer passes on the same cores to this thread: if it takes a core from one of their threads, all of them wait."""
    # On other systems, a thread has no priority of its own; a sandbox may forbid to change it.
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOW_PRIORITY)


def on_device(net: Net, device: str | torch.device) -> Net:
    """Return the network on a device: the network itself if it is already there, otherwise a copy."""
    if device == "auto" or pick_device(device) == net.device:
        return net
    return replace(net, module=copy.deepcopy(net.module).to(pick_device(device)))


def skip(items: Iterator[Item], done: Iterable[FinishedImage]) -> tuple[int, int]:
    """Skip the images that are done; SurveyError if they are no longer the same images, or have other classes."""
    skipped, bad = 0, 0
    for image in done:
        item = next(islice(items, 1), None)
        if item is None or item.name != image.name or item.version() != image.version:
            changed = "is not any more" if item is None or item.name != image.name else "is another image now"
            raise SurveyError(
                f"The images have changed since this survey was interrupted: {image.name!r} was image {skipped + 1:,} and"
                f" {changed}. Put the images back, or choose another file name; to start again, delete the folder of parts."
            )
        if item.label != image.label:
            raise SurveyError(
                f"The classes have changed since this survey was interrupted: image {image.name!r} had"
                f" {_class_in_words(image.label)} and has {_class_in_words(item.label)} now. Give the same labels, or choose"
                " another file name; to start again, delete the folder of parts."
            )
        skipped, bad = skipped + 1, bad + (not image.usable)
    return skipped, bad


def _class_in_words(label: TrueClass) -> str:
    return f"the class {label.name!r}" if label.name else "no class"


def _is_within(number: object, least: int, most: int | None = None) -> bool:
    return is_whole(number) and least <= int(number) and (most is None or int(number) <= most)  # type: ignore[call-overload]  # it is one
