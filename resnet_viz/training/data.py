"""Image files in class folders, or archives of them, as arrays in memory, decoded once."""

import hashlib
import io
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from resnet_viz.training.tasks import CIFAR10, TrainingTask

FORMATS = {".jpg": "JPEG", ".webp": "WEBP"}


@dataclass(frozen=True)
class Split:
    """Images uint8 (N, 3, H, W), class indices int64 (N,), and the task that they belong to."""

    images: Tensor
    labels: Tensor
    task: TrainingTask = CIFAR10

    def step_to(self, count: int) -> int:
        """Return the n for which every n-th image makes about `count`: as many of each class, by which they are sorted."""
        return max(1, len(self.labels) // max(1, count))

    def every(self, n: int) -> "Split":
        """Return every n-th image."""
        return replace(self, images=self.images[::n], labels=self.labels[::n])


@dataclass(frozen=True)
class Dataset:
    """Both splits, and the SHA-256 of each archive, joined by commas ("" for an unpacked folder)."""

    train: Split
    test: Split
    sha256: str


def load_dataset(source: Path, task: TrainingTask) -> Dataset:
    """Read `<split>/<class>/*` of a task from a folder, an archive, or a folder that contains the task's archives.

    Raises FileNotFoundError or ValueError about what is missing.
    """
    if not source.exists():
        raise FileNotFoundError(f"{source} does not exist. Pass the folder with train/ and {task.test}/, or an archive of it")
    archives = _archives(source, task)
    files = (file for archive in archives for file in _archive_files(archive)) if archives else _folder_files(source)
    decoded: dict[str, list[tuple[str, np.ndarray, int]]] = {"train": [], task.test: []}
    with ThreadPoolExecutor() as threads:  # Pillow decodes without holding Python's lock.
        named = list(threads.map(_decoded, files))
    for name, pixels in named:
        split, label = PurePosixPath(name).parts[-3:-1]
        if split not in decoded or label not in task.labels or pixels.shape != (task.side, task.side, 3):
            raise ValueError(
                f"{name} does not belong to {task.name}. Images of {task.side}x{task.side} pixels are expected in train/ and"
                f" {task.test}/, one folder per class"
            )
        decoded[split].append((name, pixels, task.labels.index(label)))
    sha256 = ", ".join(hashlib.sha256(archive.read_bytes()).hexdigest() for archive in archives)
    return Dataset(_split(decoded["train"], source, task), _split(decoded[task.test], source, task), sha256)


def _decoded(file: tuple[str, bytes]) -> tuple[str, np.ndarray]:
    name, data = file
    return name, np.asarray(Image.open(io.BytesIO(data), formats=list(FORMATS.values())).convert("RGB"))


def _archives(source: Path, task: TrainingTask) -> list[Path]:
    if not source.is_dir():
        return [source]
    archives = [source / name for name in task.archives]
    return archives if all(archive.exists() for archive in archives) else []


def _folder_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.glob("*/*/*"):
        if path.suffix in FORMATS:
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def _archive_files(archive: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(archive) as tar:
        for member in tar:
            handle = tar.extractfile(member) if PurePosixPath(member.name).suffix in FORMATS else None
            if handle is not None:
                yield member.name, handle.read()


def _split(rows: list[tuple[str, np.ndarray, int]], source: Path, task: TrainingTask) -> Split:
    if not rows:
        raise ValueError(f"{source} has no images in train/<class>/ or {task.test}/<class>/")
    rows.sort(key=lambda row: row[0])
    images = torch.from_numpy(np.stack([pixels for _, pixels, _ in rows])).permute(0, 3, 1, 2).contiguous()
    return Split(images, torch.tensor([label for _, _, label in rows]), task)
