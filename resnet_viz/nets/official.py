"""Torchvision's official ImageNet weights: location of their files, download, and loading without executing their content.

RESNET_VIZ_WEIGHTS_DIR names a folder of files on this machine, and RESNET_VIZ_WEIGHTS_URL a mirror to download them from; both
contain the files under torchvision's names, which include the first digits of their SHA-256.
"""

import hashlib
import logging
import pickle
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn
from torchvision.models import WeightsEnum, get_model_weights

from resnet_viz.nets.download import TIMEOUT, WantedFile, download
from resnet_viz.nets.net import WeightsError
from resnet_viz.progress import OnProgress, ignore_progress
from resnet_viz.settings import SettingError, WeightsSettings

LOG = logging.getLogger(__name__)
TURN_SECONDS = 0.2

_turns: dict[Path, threading.Lock] = {}


def best_weights(name: str) -> WeightsEnum:
    """Return torchvision's default weights of one of the ten networks."""
    best: WeightsEnum = get_model_weights(name).DEFAULT
    return best


def weights_file(official: WeightsEnum) -> Path:
    """Return the path at which the file is expected: in RESNET_VIZ_WEIGHTS_DIR if set, else in torch.hub's folder."""
    folder = _settings().weights_dir or Path(torch.hub.get_dir()) / "checkpoints"
    return Path(folder) / _name(official)


def weights_size(official: WeightsEnum) -> int:
    """Return the size of the file in bytes, to a thousandth of a MB."""
    return int(official.meta["_file_size"] * 2**20)


def weights_url(official: WeightsEnum) -> str:
    """Return the address of the file: on the mirror that RESNET_VIZ_WEIGHTS_URL names, else torchvision's.

    WeightsError if that variable is not a web address.
    """
    mirror = _settings().weights_url
    return f"{mirror.rstrip('/')}/{_name(official)}" if mirror else str(official.url)


def fetch(official: WeightsEnum, on_progress: OnProgress = ignore_progress, timeout: float = TIMEOUT) -> Path:
    """Return the file of official weights; if it is missing or does not match its name, it is downloaded.

    Other calls for the same file wait for it meanwhile. `on_progress` gets the received and the total number of bytes; an
    exception that it raises cancels. `timeout` is in seconds without a byte. Raises WeightsError with a sentence; then no
    partial file is left.
    """
    file = weights_file(official)
    with _turn(file, on_progress):
        if not (file.exists() and _is_whole(file)):
            wanted = WantedFile(weights_url(official), file, _promised_hash(file), weights_size(official), timeout)
            LOG.warning("Downloading %s from %s, %.0f MB, to %s", file.name, wanted.host, wanted.size / 1e6, file.parent)
            download(wanted, on_progress)
    return file


def load_official(module: nn.Module, official: WeightsEnum, title: str) -> None:
    """Load official weights into a network built on the meta device; a missing file is downloaded.

    WeightsError if it can neither be found nor downloaded, is damaged, or belongs to another network.
    """
    file = weights_file(official)
    if not file.exists():
        fetch(official)
    damaged = f"{file.name} is damaged or is not the file of {title}. Remove it, and download it again."
    if not _is_whole(file):
        raise WeightsError(damaged)
    try:
        module.load_state_dict(torch.load(file, map_location="cpu", weights_only=True), assign=True)
    except (OSError, RuntimeError, EOFError, TypeError, AttributeError, pickle.UnpicklingError) as error:
        raise WeightsError(damaged) from error


def _settings() -> WeightsSettings:
    try:
        return WeightsSettings.read()
    except SettingError as error:
        raise WeightsError(str(error)) from error


def _name(official: WeightsEnum) -> str:
    return str(official.url).rsplit("/", 1)[-1]


def _promised_hash(file: Path) -> str:
    """The digits in the name: "11ad3fa6" of resnet50-11ad3fa6.pth."""
    return file.stem.rsplit("-", 1)[-1]


def _is_whole(file: Path) -> bool:
    try:
        found = file.stat()
        return _digest(file, found.st_mtime_ns, found.st_size).startswith(_promised_hash(file))
    except OSError as error:
        raise WeightsError(f"{file} cannot be read ({error.strerror or error}). Make it readable, or remove it.") from error


@lru_cache(maxsize=32)
def _digest(file: Path, _mtime_ns: int, _size: int) -> str:
    """SHA-256 in hex, computed again if the file changes: it takes about 0.1 seconds for 100 MB."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


@contextmanager
def _turn(file: Path, on_progress: OnProgress) -> Iterator[None]:
    """One at a time for each file; waiting calls can be cancelled too."""
    lock = _turns.setdefault(file, threading.Lock())
    while not lock.acquire(timeout=TURN_SECONDS):
        on_progress(0, 0)
    try:
        yield
    finally:
        lock.release()
