"""Weights that are downloaded: what lists, downloads and engines need to know about them, from any source."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from resnet_viz.nets import imagenet
from resnet_viz.nets.families import timm, torchvision
from resnet_viz.nets.official import best_weights, fetch, weights_file, weights_size
from resnet_viz.progress import OnProgress


class RemoteWeights(Protocol):
    """The weight file of one network: `title` names the network, `size` is in bytes, approximate before the download."""

    @property
    def title(self) -> str:
        """The title of the network."""
        ...

    @property
    def size(self) -> int:
        """The size in bytes, possibly approximate."""
        ...

    def are_here(self) -> bool:
        """Whether the file is on this machine."""
        ...

    def fetch(self, on_progress: OnProgress) -> Path:
        """Download the file if it is not on this machine; WeightsError if that fails."""
        ...


@dataclass(frozen=True)
class OfficialFile:
    """The file with torchvision's default weights of a network."""

    name: str

    @property
    def title(self) -> str:
        """The title of the network."""
        return official_title(self.name)

    @property
    def size(self) -> int:
        """The size in bytes, to a thousandth of a MB."""
        return weights_size(best_weights(self.name))

    def are_here(self) -> bool:
        """Whether the file is on this machine."""
        return weights_file(best_weights(self.name)).exists()

    def fetch(self, on_progress: OnProgress) -> Path:
        """Download the file if it is not on this machine; WeightsError if that fails."""
        return fetch(best_weights(self.name), on_progress)


def remote_weights(name: str) -> RemoteWeights:
    """Return the weight file of a network; ValueError for a network whose weights cannot be downloaded."""
    if timm.is_name(name):
        return timm.HubFile.of(name)
    if name in official_names():
        return OfficialFile(name)
    raise ValueError(
        f"{name!r} has no official weights: take one of {', '.join(official_names()[:4])} ... (rv.list_models() names them)"
    )


def is_remote(name: str) -> bool:
    """Whether the weights of a network can be downloaded."""
    return timm.is_name(name) or name in official_names()


def official_names() -> tuple[str, ...]:
    """The names of the networks with weights from torchvision, the ResNets first."""
    return (*imagenet.ARCHITECTURES, *torchvision.names())


def official_title(name: str) -> str:
    """Return the title of a network with weights from torchvision."""
    known = imagenet.ARCHITECTURES.get(name)
    return known.title if known else torchvision.title_of(name)


def official_labels(name: str) -> tuple[str, ...]:
    """Return the class names of torchvision's weights of a network."""
    return tuple(best_weights(name).meta["categories"])
