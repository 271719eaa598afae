"""The manifest of a survey: everything that holds for all of its images, so that it can be opened and compared later."""

import hashlib
import json
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from resnet_viz.analyses.survey.errors import SurveyError
from resnet_viz.analyses.survey.measuring import MEASURED
from resnet_viz.nets.net import Net

FORMAT = 1
MOST_STRONGEST, MOST_CHANNELS = 64, 1_000_000
PACKAGES = ("resnet-viz", "torch", "torchvision", "numpy", "pillow", "pyarrow")
SHARED = {
    "network": "the network",
    "sha256": "the weights",
    "head": "the head",
    "precision": "the precision",
    "labels": "the classes",
    "preprocessing": "the preprocessing",
    "size": "the size of the inputs",
    "blocks": "the blocks",
    "strongest": "the number of strongest images per channel",
}


@dataclass(frozen=True)
class SurveyedBlock:
    """The properties of a block that are the same for every image; `shape` is (C, H, W) of its output."""

    name: str
    stage: int
    shortcut: str
    shape: tuple[int, int, int]
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Manifest:
    """What a survey describes: the network with a hash of its weights, the preprocessing, the blocks and the versions.

    `weights` says where the weights come from, and `sha256` covers the names, shapes and numbers of all tensors. `size` is
    (height, width) of the inputs, `images` says where the images come from, and `strongest` is the number of images that are
    kept per channel.
    """

    network: str
    title: str
    weights: str
    sha256: str
    head: str
    precision: str
    labels: tuple[str, ...]
    preprocessing: dict[str, str]
    size: tuple[int, int]
    blocks: tuple[SurveyedBlock, ...]
    strongest: int
    images: str
    versions: dict[str, str]

    @property
    def channels(self) -> tuple[int, ...]:
        """The number of channels of each block output."""
        return tuple(block.shape[0] for block in self.blocks)

    def differences(self, other: "Manifest") -> list[str]:
        """Return in words what differs of the entries that two runs must share for their numbers to be equal up to rounding."""
        return [words for name, words in SHARED.items() if getattr(self, name) != getattr(other, name)]

    def block_number(self, name: str) -> int:
        """Return the position of a block; KeyError lists the blocks."""
        names = [block.name for block in self.blocks]
        if name not in names:
            raise KeyError(f"{self.title} has no block {name!r}; it has {', '.join(names)}")
        return names.index(name)

    def to_json(self) -> str:
        """Return the manifest as JSON."""
        return json.dumps(asdict(self) | {"format": FORMAT, "measures": list(MEASURED)})

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """Read the JSON that `to_json` returned; SurveyError for anything else."""
        try:
            given = json.loads(text)
            if given.pop("format") != FORMAT or given.pop("measures") != list(MEASURED):
                raise SurveyError(
                    "This survey was written by another version of ResNet Viz, which measures other things: make the survey"
                    " again, or open it with that version."
                )
            return _checked(cls, given)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            if isinstance(error, SurveyError):
                raise
            raise SurveyError(
                "The manifest of this survey is damaged, so its numbers cannot be read: make the survey again."
            ) from error


def describe(net: Net, size: tuple[int, int], blocks: tuple[SurveyedBlock, ...], strongest: int, images: str) -> Manifest:
    """Return the manifest of a survey with this network in this environment; `size` is (height, width) of its inputs."""
    preprocessing = {name: str(value) for name, value in vars(net.preprocessing).items()}
    return Manifest(
        network=net.name,
        title=net.title,
        weights=net.weights.note,
        sha256=weights_hash(net),
        head=net.head,
        precision=str(net.precision).removeprefix("torch."),
        labels=tuple(net.labels),
        preprocessing=preprocessing,
        size=size,
        blocks=blocks,
        strongest=strongest,
        images=images,
        versions={"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
    )


def weights_hash(net: Net) -> str:
    """SHA-256 of the names, types, shapes and numbers of all parameters and buffers, on any device."""
    hasher = hashlib.sha256()
    for name, tensor in sorted(net.module.state_dict().items()):
        values = tensor.detach().cpu().contiguous()
        hasher.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
        hasher.update(memoryview(values.flatten().view(torch.uint8).numpy()))
    return hasher.hexdigest()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def _checked(cls: type[Manifest], given: dict[str, Any]) -> Manifest:
    blocks = tuple(_block(each) for each in given["blocks"])
    strongest = int(given["strongest"])
    height, width = (int(side) for side in given["size"])
    names = {block.name for block in blocks}
    if (
        not blocks
        or len(names) < len(blocks)
        or min(height, width) < 1
        or not 0 <= strongest <= MOST_STRONGEST
        or sum(block.shape[0] for block in blocks) > MOST_CHANNELS
    ):
        raise KeyError("blocks")
    texts: dict[str, Any] = {
        name: str(given[name]) for name in ("network", "title", "weights", "sha256", "head", "precision", "images")
    }
    return cls(
        blocks=blocks,
        labels=tuple(map(str, given["labels"])),
        preprocessing=_texts(given["preprocessing"]),
        versions=_texts(given["versions"]),
        strongest=strongest,
        size=(height, width),
        **texts,
    )


def _texts(given: dict[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in given.items()}


def _block(given: dict[str, Any]) -> SurveyedBlock:
    channels, height, width = (int(side) for side in given["shape"])
    if min(channels, height, width) < 1:
        raise KeyError("shape")
    return SurveyedBlock(
        name=str(given["name"]),
        stage=int(given["stage"]),
        shortcut=str(given["shortcut"]),
        shape=(channels, height, width),
        parameters=int(given["parameters"]),
        multiply_adds=int(given["multiply_adds"]),
    )
