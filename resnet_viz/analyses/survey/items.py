"""One image of a survey: its name, its class, the function that opens it, and its version."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeGuard

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional as transforms

from resnet_viz.analyses.survey.classes import TrueClass
from resnet_viz.analyses.survey.errors import SurveyError, with_article
from resnet_viz.images import open_image

ImageOpener = Callable[[bytes], Image.Image]
Content = Image.Image | Tensor


@dataclass(frozen=True)
class Item:
    """One image: its name, its class, and the function that opens it. A float tensor (3, H, W) is already preprocessed.

    `version` returns a text that changes with the image: the size and the time of a file, or a hash of what is in memory.
    `path` is the file, where it is one.
    """

    name: str
    label: TrueClass
    open: Callable[[], Content]
    version: Callable[[], str]
    path: Path | None = None

    @classmethod
    def of(cls, name: str, label: TrueClass, content: Any, opener: ImageOpener) -> "Item":  # noqa: ANN401 - checked when opened
        """Return the item of a path, of bytes, of a PIL image, of a tensor, or of the error that says why there is none."""
        path = Path(content) if is_path(content) else None
        return cls(name, label, partial(_opened, content, opener), partial(_version, content), path)


class ImageSource(Protocol):
    """Images in a fixed order. `title` describes them; `count` is None if only reading them all would tell their number."""

    @property
    def title(self) -> str:
        """The description for the manifest."""

    @property
    def count(self) -> int | None:
        """The number of images."""

    def __iter__(self) -> Iterator[Item]:
        """Yield the images."""


def is_path(given: object) -> TypeGuard[str | os.PathLike[str]]:
    """Whether something is the path of a file."""
    return isinstance(given, (str, os.PathLike))


def _opened(content: Any, opener: ImageOpener) -> Content:  # noqa: ANN401 - checked here
    if isinstance(content, Exception):
        raise content
    if is_path(content):
        # `open_image` has a message for every way in which reading a file can fail.
        return open_image(content) if opener is open_image else opener(Path(content).read_bytes())
    if isinstance(content, (bytes, bytearray, memoryview)):
        return opener(bytes(content))
    if isinstance(content, Image.Image):
        return content
    if isinstance(content, Tensor):
        return _checked_tensor(content)
    if hasattr(content, "read"):
        return open_image(content)
    kind = with_article(content)
    raise SurveyError(f"{kind[0].upper()}{kind[1:]} is not an image: give paths, bytes, PIL images or tensors (3, H, W).")


def _checked_tensor(x: Tensor) -> Content:
    """A tensor as the network can take it; SurveyError for one that is no image."""
    if x.ndim != 3 or x.is_complex() or x.layout != torch.strided or x.is_meta:
        kind = "complex " if x.is_complex() else "sparse " if x.layout != torch.strided else "empty " if x.is_meta else ""
        raise SurveyError(
            f"This {kind}tensor of the shape {tuple(x.shape)} is not an image: give dense tensors (3, H, W) of real numbers."
        )
    if not x.is_floating_point():
        image: Image.Image = transforms.to_pil_image(_pixels(x))
        return image
    if x.shape[0] != 3 or not x.numel():
        raise SurveyError(
            f"This tensor has the shape {tuple(x.shape)}, and the input of a network has three channels and at least one pixel:"
            " give tensors (3, H, W)."
        )
    if not _is_finite(x):
        raise SurveyError("This tensor holds NaN or infinite values, of which nothing can be measured: check how it was made.")
    return x


def _pixels(x: Tensor) -> Tensor:
    """Whole numbers as pixels, 0..255; SurveyError if they are none."""
    if x.dtype == torch.uint8:
        return x
    if x.dtype == torch.bool or not x.numel() or int(x.min()) < 0 or int(x.max()) > 255:
        kind = str(x.dtype).removeprefix("torch.")
        raise SurveyError(
            f"This tensor of {kind} numbers holds no pixels, which are whole numbers from 0 to 255: give uint8 pixels, or the"
            " float input of the network."
        )
    return x.to(torch.uint8)


def _is_finite(x: Tensor) -> bool:
    """Whether all numbers are finite, without torch's threads: images are read while these run the network."""
    if x.device.type == "cpu" and x.dtype in (torch.float16, torch.float32, torch.float64):
        return bool(np.isfinite(x.detach().resolve_neg().numpy()).all())
    return bool(torch.isfinite(x).all())


def _version(content: Any) -> str:  # noqa: ANN401 - whatever an image is made of
    """The size and time of a file, or a hash of what is in memory; "" for what cannot be read."""
    try:
        if is_path(content):
            found = Path(content).stat()
            return f"{found.st_size} {found.st_mtime_ns}"
        if isinstance(content, Image.Image):
            return _hash(content.tobytes(), content.mode, content.size)
        if isinstance(content, Tensor):
            values = content.detach().cpu().contiguous()
            return _hash(values.flatten().view(torch.uint8).numpy(), values.dtype, tuple(values.shape))
        if hasattr(content, "read"):
            content.seek(0)
            content = content.read()
        return _hash(content)
    except Exception:  # noqa: BLE001 - `_opened` says what is wrong with it
        return ""


def _hash(data: Any, *kind: object) -> str:  # noqa: ANN401 - any buffer
    return hashlib.blake2b(memoryview(data), digest_size=8, person=b"survey").hexdigest() + "".join(f" {each}" for each in kind)
