"""Weights that are fetched from the web: what a list, a download and an engine must know of them, wherever they come from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from resnet_viz.nets import imagenet
from resnet_viz.nets.families import timm, torchvision
from resnet_viz.nets.official import best_weights, fetch, weights_file, weights_size
from resnet_viz.progress import OnProgress


class RemoteWeights(Protocol):
    """The file of one network's weights; `title` is the network's, `size` in bytes, as far as it is known beforehand."""

    @property
    def title(self) -> str:
        """The network's title."""
        ...

    @property
    def size(self) -> int:
        """Bytes, or about so."""
        ...

    def are_here(self) -> bool:
        """Whether the file is on this machine."""
        ...

    def fetch(self, on_progress: OnProgress) -> Path:
        """Bring the file here where it is not; WeightsError with a sentence where it cannot be had."""
        ...


@dataclass(frozen=True)
class OfficialFile:
    """The file of torchvision's default weights of a network."""

    name: str

    @property
    def title(self) -> str:
        """The network's title."""
        return official_title(self.name)

    @property
    def size(self) -> int:
        """Bytes, to a thousandth of a MB."""
        return weights_size(best_weights(self.name))

    def are_here(self) -> bool:
        """Whether the file is on this machine."""
        return weights_file(best_weights(self.name)).exists()

    def fetch(self, on_progress: OnProgress) -> Path:
        """Bring the file here; WeightsError with a sentence."""
        return fetch(best_weights(self.name), on_progress)


def remote_weights(name: str) -> RemoteWeights:
    """Return where a network's weights come from; ValueError for a network whose weights are not on the web."""
    if timm.is_name(name):
        return timm.HubFile.of(name)
    if name in official_names():
        return OfficialFile(name)
    raise ValueError(
        f"{name!r} has no official weights: take one of {', '.join(official_names()[:4])} ... (rv.list_models() names them)"
    )


def is_remote(name: str) -> bool:
    """Whether a network's weights are on the web."""
    return timm.is_name(name) or name in official_names()


def official_names() -> tuple[str, ...]:
    """The networks whose weights torchvision publishes: the ResNets first."""
    return (*imagenet.ARCHITECTURES, *torchvision.names())


def official_title(name: str) -> str:
    """Return the title of a network whose weights torchvision publishes."""
    known = imagenet.ARCHITECTURES.get(name)
    return known.title if known else torchvision.title_of(name)


def official_labels(name: str) -> tuple[str, ...]:
    """Return the names of the classes of torchvision's weights of a network."""
    return tuple(best_weights(name).meta["categories"])
