"""Servers parse uploads here: images to pixels, checkpoints to tensors and surveys, with a sentence for each failure.

The library itself parses in its own process, with the same checks; so does this pool on systems without memory files (Linux has
them).
"""

import hashlib
import math
import os
from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from resnet_viz.analyses.survey.errors import SurveyError
from resnet_viz.analyses.survey.files import open_survey
from resnet_viz.analyses.survey.result import Survey
from resnet_viz.engine.parsing.budget import MemoryBudget, NoRoomError
from resnet_viz.engine.parsing.warm_process import KilledError, Limits, Parsed, WarmProcess
from resnet_viz.engine.store import EVERYBODY, Store
from resnet_viz.images import MAX_BYTES, ImageError, open_image
from resnet_viz.nets.checkpoints.errors import CheckpointError
from resnet_viz.nets.checkpoints.facts import Facts
from resnet_viz.nets.checkpoints.loading import Extract, extract
from resnet_viz.nets.checkpoints.reading import LIMIT
from resnet_viz.nets.families.signatures import Signed

MEGABYTE = 2**20
# All files being parsed take at most this, in addition to the processes themselves.
TOTAL = 1280 * MEGABYTE
# Most photos need less than the first; one that needs more is tried again, alone.
IMAGE_MEMORY, IMAGE_SECONDS, IMAGE_WALL = 384 * MEGABYTE, 5, 20.0
# A checkpoint is held as the file, as its unpacked content and as tensors.
CHECKPOINT_SECONDS, CHECKPOINT_WALL, CHECKPOINT_COPIES = 30, 90.0, 4
SURVEY_MEMORY, SURVEY_SECONDS, SURVEY_WALL = 768 * MEGABYTE, 20, 60.0
PATIENCE = 20.0
KEPT_PIXELS = 192 * MEGABYTE

BUSY = "This server is opening as many files as its memory allows. Try again in a minute."
IMAGE_KILLED = (
    "This image takes too much memory or time to open, more than an ordinary image of its size. Open it in an image program "
    "and save it again as JPEG or PNG."
)
CHECKPOINT_KILLED = (
    "This checkpoint takes too much memory or time to read, more than ordinary weights of its size. Save only "
    "model.state_dict(), preferably as safetensors."
)
SURVEY_KILLED = (
    "This survey takes too much memory or time to read, more than an ordinary one of its images. Open it in Python with "
    "rv.open_survey, or make the survey again."
)
_DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in vars(torch).values() if isinstance(dtype, torch.dtype)}


class ParsingPool:
    """Parses in separate processes, all of them together within `total` bytes; call `close` at the end.

    Recently opened images are kept, by their SHA-256, so that nothing is decoded twice while there is room.
    """

    def __init__(self, total: int = TOTAL) -> None:
        self._isolated = hasattr(os, "memfd_create")
        self._budget = MemoryBudget(total)
        self._images, self._checkpoints = WarmProcess("images"), WarmProcess("checkpoints")
        # Few people bring a survey, so its process starts with the first.
        self._surveys = WarmProcess("surveys")
        self._opened: Store[Image.Image] = Store(KEPT_PIXELS, lambda image: image.width * image.height * 4)

    def start(self) -> None:
        """Start the processes, so that the first file does not wait for them."""
        if self._isolated:
            self._images.start()
            self._checkpoints.start()

    def close(self) -> None:
        """End the processes."""
        self._images.close()
        self._checkpoints.close()
        self._surveys.close()

    def forget(self) -> None:
        """Release the opened images."""
        self._opened.forget(EVERYBODY)

    def open_image(self, data: bytes) -> Image.Image:
        """Open an image like `resnet_viz.open_image`, in another process; ImageError also if it exceeds a limit."""
        if len(data) > MAX_BYTES or not data or not self._isolated:
            return open_image(data)
        name = hashlib.sha256(data).hexdigest()
        kept = self._opened.get(name)
        if kept is not None:
            return kept
        parsed = self._image(data)
        image = _image(parsed)
        self._opened.put(name, image)
        return image

    def extract(self, data: bytes, part: str | None = None) -> Extract:
        """Extract a checkpoint's tensors like `extract`, in another process; CheckpointError also if it exceeds a limit."""
        if len(data) > LIMIT or not data or not self._isolated:
            return extract(data, part)
        limits = Limits(
            min(self._budget.total, CHECKPOINT_COPIES * len(data) + 256 * MEGABYTE), CHECKPOINT_SECONDS, CHECKPOINT_WALL
        )
        try:
            with self._budget.taking(limits.memory, PATIENCE):
                parsed = self._checkpoints.parse(data, limits, part)
        except NoRoomError as error:
            raise CheckpointError(BUSY) from error
        except KilledError as error:
            raise CheckpointError(CHECKPOINT_KILLED) from error
        candidates = parsed.answer.get("candidates", [])
        _raise(
            parsed,
            {"CheckpointError": lambda sentence: CheckpointError(sentence, candidates)},
            CheckpointError(CHECKPOINT_KILLED),
        )
        tensors = {name: _tensor(parsed, *row) for name, *row in parsed.answer["tensors"]}
        said = parsed.answer["known"]
        known = None if said is None else Signed(tuple(said["names"]), said["head"])
        return Extract(tensors, _facts(parsed.answer["facts"]), tuple(parsed.answer["notes"]), parsed.answer["part"], known)

    def open_survey(self, data: bytes, most_images: int) -> Survey:
        """Open a survey like `resnet_viz.open_survey`, in another process first; SurveyError also if it exceeds a limit."""
        if not data or not self._isolated:
            return open_survey(data, most_images)
        limits = Limits(min(self._budget.total, SURVEY_MEMORY), SURVEY_SECONDS, SURVEY_WALL)
        try:
            with self._budget.taking(limits.memory, PATIENCE):
                parsed = self._surveys.parse(data, limits, str(most_images))
        except NoRoomError as error:
            raise SurveyError(BUSY) from error
        except KilledError as error:
            raise SurveyError(SURVEY_KILLED) from error
        _raise(parsed, {"SurveyError": SurveyError}, SurveyError(SURVEY_KILLED))
        return open_survey(bytes(parsed.memory or b""), most_images)

    def _image(self, data: bytes) -> Parsed:
        """Parse with the memory of an ordinary photo, and with all memory if that was not enough."""
        for memory in (min(IMAGE_MEMORY, self._budget.total), self._budget.total):
            try:
                with self._budget.taking(memory, PATIENCE):
                    parsed = self._images.parse(data, Limits(memory, IMAGE_SECONDS, IMAGE_WALL))
            except NoRoomError as error:
                raise ImageError(BUSY) from error
            except KilledError as error:
                raise ImageError(IMAGE_KILLED) from error
            if not _lacked_memory(parsed):
                break
        _raise(parsed, {"ImageError": ImageError}, ImageError(IMAGE_KILLED))
        return parsed


def _lacked_memory(parsed: Parsed) -> bool:
    """Whether memory ran out, which the parser may have reported as a sentence."""
    return parsed.answer.get("error") == "MemoryError" or "not enough memory" in parsed.answer.get("sentence", "")


def _raise(parsed: Parsed, known: dict[str, Callable[[str], Exception]], otherwise: Exception) -> None:
    """Raise the parser's error, if it has a sentence for people."""
    error = parsed.answer.get("error")
    if error in known:
        raise known[error](str(parsed.answer["sentence"]))
    if error is not None:
        raise otherwise


def _image(parsed: Parsed) -> Image.Image:
    """Make an image of the pixels in place: the shared memory stays as long as the image."""
    if parsed.memory is None:
        raise ImageError(IMAGE_KILLED)
    width, height = parsed.answer["size"]
    try:
        # Streamlit needs it, the library does not.
        import pyarrow as pa  # noqa: PLC0415 - see above
    except ImportError:
        return Image.frombytes("RGB", (width, height), memoryview(parsed.memory), "raw", "RGBX")
    pixels = pa.Array.from_buffers(pa.uint8(), len(parsed.memory), [None, pa.py_buffer(parsed.memory)])
    return Image.fromarrow(pa.FixedSizeListArray.from_arrays(pixels, 4), "RGB", (width, height))


def _facts(said: dict[str, Any]) -> Facts:
    """Restore the facts that a file states about itself: JSON has lists instead of tuples."""
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
    return Facts(**fields)


def _tensor(parsed: Parsed, dtype: str, shape: list[int], place: int) -> Tensor:
    """View a tensor in shared memory without a copy: the memory stays as long as one of its tensors."""
    count = math.prod(shape)
    if not count or parsed.memory is None:
        return torch.empty(shape, dtype=_DTYPES[dtype])
    found: Any = torch.frombuffer(parsed.memory, dtype=_DTYPES[dtype], count=count, offset=place)
    values: Tensor = found.reshape(shape)
    return values
