"""Torchvision's official ImageNet weights: location of their files, download, and loading without executing their content.

RESNET_VIZ_WEIGHTS_DIR names a folder of files on this machine, and RESNET_VIZ_WEIGHTS_URL a mirror to download them from; both
contain the files under torchvision's names, which include the first digits of their SHA-256.
"""

import logging
import pickle
from pathlib import Path

import torch
from torch import nn
from torchvision.models import WeightsEnum, get_model_weights

from resnet_viz.nets.download import TIMEOUT, WantedFile, download
from resnet_viz.nets.net import WeightsError
from resnet_viz.nets.weights_folder import is_whole, promised_hash, turn, weights_folder, weights_settings
from resnet_viz.progress import OnProgress, ignore_progress

LOG = logging.getLogger(__name__)


def best_weights(name: str) -> WeightsEnum:
    """Return torchvision's default weights of one of the ten networks."""
    best: WeightsEnum = get_model_weights(name).DEFAULT
    return best


def weights_file(official: WeightsEnum) -> Path:
    """Return the path at which the file is expected: in RESNET_VIZ_WEIGHTS_DIR if set, else in torch.hub's folder."""
    return weights_folder() / _name(official)


def weights_size(official: WeightsEnum) -> int:
    """Return the size of the file in bytes, to a thousandth of a MB."""
    return int(official.meta["_file_size"] * 2**20)


def weights_url(official: WeightsEnum) -> str:
    """Return the address of the file: on the mirror that RESNET_VIZ_WEIGHTS_URL names, else torchvision's.

    WeightsError if that variable is not a web address.
    """
    mirror = weights_settings().weights_url
    return f"{mirror.rstrip('/')}/{_name(official)}" if mirror else str(official.url)


def fetch(official: WeightsEnum, on_progress: OnProgress = ignore_progress, timeout: float = TIMEOUT) -> Path:
    """Return the file of official weights; if it is missing or does not match its name, it is downloaded.

    Other calls for the same file wait for it meanwhile. `on_progress` gets the received and the total number of bytes; an
    exception that it raises cancels. `timeout` is in seconds without a byte. Raises WeightsError if
    that fails; no partial file is left.
    """
    file = weights_file(official)
    with turn(file, on_progress):
        if not (file.exists() and is_whole(file)):
            wanted = WantedFile(weights_url(official), file, promised_hash(file), weights_size(official), timeout)
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
    if not is_whole(file):
        raise WeightsError(damaged)
    try:
        module.load_state_dict(torch.load(file, map_location="cpu", weights_only=True), assign=True)
    except (OSError, RuntimeError, EOFError, TypeError, AttributeError, pickle.UnpicklingError) as error:
        raise WeightsError(damaged) from error


def _name(official: WeightsEnum) -> str:
    return str(official.url).rsplit("/", 1)[-1]
