"""Image files for the tests of surveys: small, seeded, and in folders that are classes."""

import tarfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
from PIL import Image


def picture(seed: int, width: int = 40, height: int = 36) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def png(seed: int) -> bytes:
    buffer = BytesIO()
    picture(seed).save(buffer, "PNG")
    return buffer.getvalue()


def folder_of(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def zip_of(files: Mapping[str, bytes]) -> bytes:
    buffer = BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tar_of(files: Mapping[str, bytes], mode: str = "w", members: tuple[tarfile.TarInfo, ...] = ()) -> bytes:
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, BytesIO(data))
        for info in members:
            archive.addfile(info)
    return buffer.getvalue()


def classes_of(count: int) -> dict[str, bytes]:
    """`count` pictures, by turns in the folders cat, dog and zebra, which no network of CIFAR-10 knows."""
    return {f"{('cat', 'dog', 'zebra')[number % 3]}/{number:03}.png": png(number) for number in range(count)}
