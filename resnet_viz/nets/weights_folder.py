"""The folder of downloaded weights: files whose names contain the first digits of their SHA-256."""

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import torch

from resnet_viz import assets
from resnet_viz.nets.net import WeightsError
from resnet_viz.progress import OnProgress
from resnet_viz.settings import SettingError, WeightsSettings

TURN_SECONDS = 0.2

Places = tuple[tuple[str, int], ...]

_turns: dict[Path, threading.Lock] = {}


def weights_folder() -> Path:
    """Return the folder that RESNET_VIZ_WEIGHTS_DIR names, otherwise torch.hub's."""
    return Path(weights_settings().weights_dir or Path(torch.hub.get_dir()) / "checkpoints")


def weights_settings() -> WeightsSettings:
    """Return where weights come from and where they are stored; WeightsError for an invalid variable."""
    try:
        return WeightsSettings.read()
    except SettingError as error:
        raise WeightsError(str(error)) from error


def weights_places() -> Places:
    """Return the folders that may contain weights, with the time of their last change, which shows whether files changed."""
    return tuple((str(folder), _changed(folder)) for folder in (assets.WEIGHTS_FOLDER, weights_folder(), hub_cache()))


def hub_cache() -> Path:
    """Return the cache folder of huggingface_hub without importing it, because the import is slow."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()


def promised_hash(file: Path) -> str:
    """Return the digits in a file name: "11ad3fa6" for resnet50-11ad3fa6.pth."""
    return file.stem.rsplit("-", 1)[-1]


def is_whole(file: Path) -> bool:
    """Whether a file has the hash in its name; WeightsError if it cannot be read."""
    try:
        found = file.stat()
        return _digest(file, found.st_mtime_ns, found.st_size).startswith(promised_hash(file))
    except OSError as error:
        raise WeightsError(f"{file} cannot be read ({error.strerror or error}). Make it readable, or remove it.") from error


@contextmanager
def turn(file: Path, on_progress: OnProgress) -> Iterator[None]:
    """Admit one caller at a time for each file; waiting callers can be cancelled too."""
    lock = _turns.setdefault(file, threading.Lock())
    while not lock.acquire(timeout=TURN_SECONDS):
        on_progress(0, 0)
    try:
        yield
    finally:
        lock.release()


def _changed(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=32)
def _digest(file: Path, _mtime_ns: int, _size: int) -> str:
    """SHA-256 in hex, computed again when the file changes: it takes about 0.1 seconds for 100 MB."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
