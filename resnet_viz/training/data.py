"""CIFAR-10 as JPEG files in class folders, or the archive of them, as arrays in memory.

Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf. Both splits fit in 184 MB of bytes, so
they are decoded once.
"""

import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from resnet_viz.nets.cifar import CIFAR10_LABELS


@dataclass(frozen=True)
class Split:
    """Images uint8 (N, 3, 32, 32) and class indices int64 (N,)."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Dataset:
    """Both splits, and the SHA-256 of the archive ("" for an unpacked folder)."""

    train: Split
    test: Split
    sha256: str


def load_cifar10(source: Path) -> Dataset:
    """Read `<split>/<class>/*.jpg` from a folder or a tar archive; FileNotFoundError or ValueError says what is missing."""
    if not source.exists():
        raise FileNotFoundError(f"{source} does not exist: give the folder with train/ and test/, or the archive of them")
    files = _folder_files(source) if source.is_dir() else _archive_files(source)
    decoded: dict[str, list[tuple[str, np.ndarray, int]]] = {"train": [], "test": []}
    for name, data in files:
        split, label = PurePosixPath(name).parts[-3:-1]
        pixels = np.asarray(Image.open(io.BytesIO(data), formats=["JPEG"]).convert("RGB"))
        if split not in decoded or label not in CIFAR10_LABELS or pixels.shape != (32, 32, 3):
            raise ValueError(f"{name} is not CIFAR-10's: wanted are 32x32 images in train/ and test/, a folder a class")
        decoded[split].append((name, pixels, CIFAR10_LABELS.index(label)))
    sha256 = "" if source.is_dir() else hashlib.sha256(source.read_bytes()).hexdigest()
    return Dataset(_split(decoded["train"], source), _split(decoded["test"], source), sha256)


def _folder_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.glob("*/*/*.jpg"):
        yield path.relative_to(folder).as_posix(), path.read_bytes()


def _archive_files(archive: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(archive) as tar:
        for member in tar:
            handle = tar.extractfile(member) if member.name.endswith(".jpg") else None
            if handle is not None:
                yield member.name, handle.read()


def _split(rows: list[tuple[str, np.ndarray, int]], source: Path) -> Split:
    if not rows:
        raise ValueError(f"{source} lacks train/<class>/*.jpg or test/<class>/*.jpg")
    rows.sort(key=lambda row: row[0])
    images = torch.from_numpy(np.stack([pixels for _, pixels, _ in rows])).permute(0, 3, 1, 2).contiguous()
    return Split(images, torch.tensor([label for _, _, label in rows]))
