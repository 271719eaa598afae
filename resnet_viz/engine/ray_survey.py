"""A survey on Ray Data: reading, decoding and passes are stages, each on whatever machines of a cluster have room for it.

Images are listed here and travel as paths, so the folder must have the same name on every machine. Workers that pass images
through the network are actors that hold it; each batch becomes a part of the survey, with the channels' strongest images in it,
and the parts come back in the images' order. A worker that dies is started again and its batch given to another one.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import ray
import ray.data
import torch
from PIL import Image

from resnet_viz.analyses.survey.assembling import PartBuilder
from resnet_viz.analyses.survey.classes import Labels, TrueClass
from resnet_viz.analyses.survey.errors import SurveyError
from resnet_viz.analyses.survey.folders import printable
from resnet_viz.analyses.survey.items import Item
from resnet_viz.analyses.survey.manifest import Manifest
from resnet_viz.analyses.survey.parts import SurveyPart
from resnet_viz.analyses.survey.result import Survey
from resnet_viz.analyses.survey.running import STRONGEST, OnSurveyProgress, Ready, Surveyor, SurveyProgress, skip
from resnet_viz.analyses.survey.sources import FolderSource, source_of
from resnet_viz.analyses.survey.unfinished import FinishedImage, Unfinished
from resnet_viz.engine.ray_environment import ray_environment
from resnet_viz.engine.wire import decode, encode
from resnet_viz.images import ImageError, open_image, read_image
from resnet_viz.nets.net import Net
from resnet_viz.nets.preprocessing import Preprocessing

LOCAL = "local"
ADDRESSES = (
    "Start it with `ray start --head` and give the address that this prints, or give local to start one on this machine."
)
CONNECT_SECONDS = 5.0
# Images that a worker gets at a time: a part of the survey.
PART_IMAGES = 128
# At least this many parts for each worker, where there are enough images.
FEWEST_PARTS = 4
MOST_PART_BYTES = 2**30


@dataclass(frozen=True)
class Cluster:
    """Where a survey runs: `workers` pass images through the network, each on a core and a share of a GPU, `gpus`.

    Ray counts `cpus` of a core for each, so that reading and decoding find room even where there are only two.
    """

    address: str = LOCAL
    workers: int | None = None
    cpus: float = 0.7
    gpus: float = 0.0


@dataclass(frozen=True, eq=False)
class WorkedPart:
    """A part, the process that made it, and when it was finished, in seconds of that machine's clock."""

    part: SurveyPart
    process: int
    finished: float


def survey_on_ray(
    net: Net,
    images: str | os.PathLike[str],
    *,
    cluster: Cluster | None = None,
    labels: Labels | None = None,
    batch_size: int | None = None,
    out: str | os.PathLike[str] | None = None,
    strongest: int = STRONGEST,
    on_progress: OnSurveyProgress | None = None,
) -> Survey:
    """Survey a folder as `survey` does, on a Ray cluster; the result is equal to rounding, and goes on where it stopped.

    Raises SurveyError for what is no folder of images, and as `survey` does.
    """
    source = source_of(images, labels, net.labels)
    if not isinstance(source, FolderSource):
        raise SurveyError(
            f"{images!s} is no folder, and a cluster reads images from a folder that all its machines have: unpack the"
            " archive, or leave --ray out."
        )
    surveyor = Surveyor(net, batch_size, strongest)
    if next(iter(source), None) is None:
        raise SurveyError(f"There are no images in {source.title}: give a folder of JPEG, PNG or WebP files.")
    manifest, where, kept = surveyor.manifest(source), cluster or Cluster(), list[SurveyPart]()

    def run(append: Callable[[SurveyPart], None], finished: Iterable[FinishedImage] = ()) -> None:
        items = iter(source)
        done, bad = skip(items, finished)
        if on_progress is not None:
            on_progress(SurveyProgress(done, source.count, bad))
        for worked in parts_on_ray(surveyor, manifest, items, where):
            done, bad = done + len(worked.part), bad + sum(map(bool, worked.part.sentences))
            append(worked.part)
            if on_progress is not None:
                on_progress(SurveyProgress(done, source.count, bad))

    if out is None:
        run(kept.append)
        return Survey.of_parts(manifest, kept)
    with Unfinished.begin(Path(out), manifest) as unfinished:
        run(unfinished.append, unfinished.images())
        return unfinished.finish()


def parts_on_ray(
    surveyor: Surveyor, manifest: Manifest, items: Iterator[Item], cluster: Cluster, images: int = PART_IMAGES
) -> Iterator[WorkedPart]:
    """Yield the parts of a survey in the images' order, while the workers go on."""
    begin(cluster.address)
    rows = [row_of(item) for item in items]
    if not rows:
        return
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    workers = cluster.workers or max(1, int(resources.get("GPU" if cluster.gpus else "CPU", 1)))
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = context.print_on_execution_start = False
    # Small surveys are divided as well, so that every worker has parts and the progress is seen.
    images = max(1, min(images, -(-len(rows) // (FEWEST_PARTS * workers))))
    blocks = -(-len(rows) // images)
    found = (
        ray.data.from_items(rows, override_num_blocks=blocks)
        .map(read, num_cpus=0.1)
        .map(Decoding(surveyor.net.preprocessing), num_cpus=0.5)
        .map_batches(
            Passes,
            batch_size=images,
            fn_constructor_args=(surveyor, manifest),
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers),
            num_cpus=0 if cluster.gpus else cluster.cpus,
            num_gpus=cluster.gpus or None,
        )
    )
    for row in found.iter_rows():
        part: SurveyPart = decode(row["part"], SurveyPart, MOST_PART_BYTES)
        yield WorkedPart(part, int(row["process"]), float(row["finished"]))


def begin(address: str) -> None:
    """Connect to a cluster, or start one on this machine; SurveyError where none answers.

    Ray Data then reports errors alone: what it says of its plans and of its workers' memory (that of their libraries) would
    break into the progress line.
    """
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if ray.is_initialized():
        return
    if address == LOCAL:
        os.environ |= ray_environment() | os.environ
    else:
        _refuse_silence(address)
    try:
        ray.init(address, include_dashboard=False if address == LOCAL else None, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise SurveyError(f"No Ray cluster answers at {address!r}: {reason}. {ADDRESSES}") from error


def _refuse_silence(address: str) -> None:
    """SurveyError where nobody listens at a host and port: Ray itself would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise SurveyError(f"Nothing answers at {address!r} ({error}), so there is no Ray cluster. {ADDRESSES}") from error


def row_of(item: Item) -> dict[str, Any]:
    """An image on its way through the stages. Its path is bytes, because names of files need not be text."""
    path, sentence = b"", ""
    if item.path is not None:
        path = os.fsencode(item.path.absolute())
    else:
        try:
            item.open()
        except ValueError as error:
            sentence = printable(str(error))
    label = {"class": item.label.name, "index": item.label.index}
    return {"path": path, "name": item.name, "version": item.version(), "sentence": sentence} | label


def read(row: dict[str, Any]) -> dict[str, Any]:
    """A file's bytes, or the sentence that says why it cannot be read."""
    if row["sentence"]:
        return row | {"data": b""}
    try:
        return row | {"data": read_image(os.fsdecode(row["path"]))}
    except ImageError as error:
        return row | {"data": b"", "sentence": printable(str(error))}


@dataclass(frozen=True)
class Decoding:
    """Bytes to the picture that the network sees, as numbers 0..255; or the sentence for an image that cannot be used.

    Every task gets it anew, so it holds no network.
    """

    preprocessing: Preprocessing

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Decode one row."""
        data, side = row.pop("data"), self.preprocessing.crop
        nothing = np.zeros((side, side, 3), np.uint8)
        if row["sentence"]:
            return row | {"seen": nothing}
        try:
            return row | {"seen": np.asarray(self.preprocessing.seen(open_image(data)))}
        except ValueError as error:
            return row | {"seen": nothing, "sentence": printable(str(error))}


class Passes:
    """An actor that holds the network and makes each batch of pictures a part."""

    def __init__(self, surveyor: Surveyor, manifest: Manifest) -> None:
        torch.set_num_threads(max(1, int(os.environ.get("OMP_NUM_THREADS", "1"))))
        self._surveyor, self._manifest = surveyor, manifest

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Make a batch of decoded rows a part, as one row."""
        builder = PartBuilder(self._surveyor.net, self._manifest)
        ready = (self._ready(batch, number) for number in range(len(batch["name"])))
        size = self._surveyor.pass_size(self._manifest)
        while group := list(islice(ready, size)):
            builder.add(group)
        return {"part": [encode(builder.part())], "process": [os.getpid()], "finished": [time.time()]}

    def _ready(self, batch: dict[str, Any], number: int) -> Ready:
        label = TrueClass(str(batch["class"][number]), int(batch["index"][number]))
        version, sentence = str(batch["version"][number]), str(batch["sentence"][number])
        item = Item(str(batch["name"][number]), label, lambda: torch.empty(0), lambda: version)
        seen = None if sentence else self._surveyor.net.preprocessing.normalise(Image.fromarray(batch["seen"][number]))
        return Ready(item, seen, sentence, version)
