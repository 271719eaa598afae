"""Torchvision's official ImageNet weights: where their files are, fetching them, and loading without running what is inside.

RESNET_VIZ_WEIGHTS_DIR names a folder of files that are here already, and RESNET_VIZ_WEIGHTS_URL a mirror to fetch them from;
both hold them under torchvision's names, which carry the first digits of their SHA-256.
"""

import logging
import pickle
from pathlib import Path

import torch
from torch import nn
from torchvision.models import WeightsEnum, get_model_weights

from resnet_viz.nets.download import TIMEOUT, OnProgress, WantedFile, download, unheard
from resnet_viz.nets.net import WeightsError
from resnet_viz.nets.weights_folder import is_whole, promised_hash, turn, weights_folder, weights_settings

LOG = logging.getLogger(__name__)


def best_weights(name: str) -> WeightsEnum:
    """Return torchvision's default weights of a network."""
    best: WeightsEnum = get_model_weights(name).DEFAULT
    return best


def weights_file(official: WeightsEnum) -> Path:
    """Say where the file is looked for: in RESNET_VIZ_WEIGHTS_DIR if that names a folder, else in torch.hub's."""
    return weights_folder() / _name(official)


def weights_size(official: WeightsEnum) -> int:
    """Say how many bytes the file has, to a thousandth of a MB."""
    return int(official.meta["_file_size"] * 2**20)


def weights_url(official: WeightsEnum) -> str:
    """Say where the file is fetched: from the mirror that RESNET_VIZ_WEIGHTS_URL names, else from torchvision's address.

    WeightsError if that variable is no web address.
    """
    mirror = weights_settings().weights_url
    return f"{mirror.rstrip('/')}/{_name(official)}" if mirror else str(official.url)


def fetch(official: WeightsEnum, on_progress: OnProgress = unheard, timeout: float = TIMEOUT) -> Path:
    """Return the file of official weights; where it is not here, or is not what its name says, it is downloaded.

    Whoever asks for the same file meanwhile waits for it. `on_progress` gets the bytes that have arrived and how many there
    will be; what it raises cancels. `timeout` is in seconds without a byte. Raises WeightsError with a sentence, and nothing is
    left of what had arrived.
    """
    file = weights_file(official)
    with turn(file, on_progress):
        if not (file.exists() and is_whole(file)):
            wanted = WantedFile(weights_url(official), file, promised_hash(file), weights_size(official), timeout)
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
    if not is_whole(file):
        raise WeightsError(damaged)
    try:
        module.load_state_dict(torch.load(file, map_location="cpu", weights_only=True), assign=True)
    except (OSError, RuntimeError, EOFError, TypeError, AttributeError, pickle.UnpicklingError) as error:
        raise WeightsError(damaged) from error


def _name(official: WeightsEnum) -> str:
    return str(official.url).rsplit("/", 1)[-1]
