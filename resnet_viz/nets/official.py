"""Torchvision's official ImageNet weights: where their files are, fetching them, and loading without running what is inside.

RESNET_VIZ_WEIGHTS_DIR names a folder of files that are here already, and RESNET_VIZ_WEIGHTS_URL a mirror to fetch them from;
both hold them under torchvision's names, which carry the first digits of their SHA-256.
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
    """Say where the file is looked for: in RESNET_VIZ_WEIGHTS_DIR if that names a folder, else in torch.hub's."""
    folder = _settings().weights_dir or Path(torch.hub.get_dir()) / "checkpoints"
    return Path(folder) / _name(official)


def weights_size(official: WeightsEnum) -> int:
    """Say how many bytes the file has, to a thousandth of a MB."""
    return int(official.meta["_file_size"] * 2**20)


def weights_url(official: WeightsEnum) -> str:
    """Say where the file is fetched: from the mirror that RESNET_VIZ_WEIGHTS_URL names, else from torchvision's address.

    WeightsError if that variable is no web address.
    """
    mirror = _settings().weights_url
    return f"{mirror.rstrip('/')}/{_name(official)}" if mirror else str(official.url)


def fetch(official: WeightsEnum, on_progress: OnProgress = ignore_progress, timeout: float = TIMEOUT) -> Path:
    """Return the file of official weights; where it is not here, or is not what its name says, it is downloaded.

    Whoever asks for the same file meanwhile waits for it. `on_progress` gets the bytes that have arrived and how many there
    will be; what it raises cancels. `timeout` is in seconds without a byte. Raises WeightsError with a sentence, and nothing is
    left of what had arrived.
    """
    file = weights_file(official)
    with _turn(file, on_progress):
        if not (file.exists() and _is_whole(file)):
            wanted = WantedFile(weights_url(official), file, _promised_hash(file), weights_size(official), timeout)
            LOG.warning("Downloading %s from %s, %.0f MB, to %s", file.name, wanted.host, wanted.size / 1e6, file.parent)
            download(wanted, on_progress)
    return file


def load_official(module: nn.Module, official: WeightsEnum, title: str) -> None:
    """Put official weights into a network made on the meta device, fetching the file where it is not here.

    WeightsError if it can neither be found nor fetched, or is damaged, or is another network's.
    """
    file = weights_file(official)
    if not file.exists():
        fetch(official)
    damaged = f"{file.name} is damaged or is not the file of {title}: remove it, and fetch it again."
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
    """The digits that the name carries: "11ad3fa6" of resnet50-11ad3fa6.pth."""
    return file.stem.rsplit("-", 1)[-1]


def _is_whole(file: Path) -> bool:
    try:
        found = file.stat()
        return _digest(file, found.st_mtime_ns, found.st_size).startswith(_promised_hash(file))
    except OSError as error:
        raise WeightsError(f"{file} cannot be read ({error.strerror or error}): make it readable, or remove it.") from error


@lru_cache(maxsize=32)
def _digest(file: Path, _mtime_ns: int, _size: int) -> str:
    """SHA-256 in hex, computed again when the file changes: it takes about 0.1 seconds for 100 MB."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


@contextmanager
def _turn(file: Path, on_progress: OnProgress) -> Iterator[None]:
    """One at a time for each file; who waits can be cancelled too."""
    lock = _turns.setdefault(file, threading.Lock())
    while not lock.acquire(timeout=TURN_SECONDS):
        on_progress(0, 0)
    try:
        yield
    finally:
        lock.release()
