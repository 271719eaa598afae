"""Files that are known by their SHA-256: the weights that ship with ResNet Viz, and torchvision's official ResNets.

Nobody is asked about these: what the network is, its classes and its preprocessing are known for certain.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from torchvision.models import get_model_weights

from resnet_viz.nets.imagenet import ARCHITECTURES
from resnet_viz.nets.net import WeightsError
from resnet_viz.nets.preprocessing import Preprocessing
from resnet_viz.nets.trained import TRAINED, read_card
from resnet_viz.nets.weights_folder import promised_hash

# Torchvision's file names promise so many digits of the hash.
PROMISED = 8


@dataclass(frozen=True)
class KnownFile:
    """A file's origin, as a phrase, and its network's classes and preprocessing; `is_plain` if it has no shortcuts."""

    origin: str
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    is_plain: bool = False


def find_file(sha256: str) -> KnownFile | None:
    """Return what is known of the file with this hash, if anything."""
    files = _files()
    return files.get(sha256) or files.get(sha256[:PROMISED])


@cache
def _files() -> dict[str, KnownFile]:
    return dict(_shipped()) | dict(_official())


def _shipped() -> Iterator[tuple[str, KnownFile]]:
    for name, spec in TRAINED.items():
        try:
            sha256 = read_card(name)["sha256"]
        except WeightsError:
            continue
        origin = f"{name}, which ships with ResNet Viz"
        yield sha256, KnownFile(origin, spec.labels, spec.preprocessing, is_plain=spec.shortcut == "plain")


def _official() -> Iterator[tuple[str, KnownFile]]:
    for name in ARCHITECTURES:
        for weights in get_model_weights(name):
            labels = tuple(weights.meta["categories"])
            known = KnownFile(f"torchvision's {weights}", labels, Preprocessing.of(weights.transforms()))
            yield promised_hash(Path(weights.url)), known
