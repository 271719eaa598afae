"""The networks of the package timm, by name: "timm/resnet50d.ra2_in1k"; their weights come from the Hugging Face hub.

timm is the extra "timm" (https://github.com/huggingface/pytorch-image-models). What it says of a network's weights, its
`pretrained_cfg`, gives the preprocessing and the labels, without a network being built.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision.transforms import InterpolationMode

from resnet_viz import assets
from resnet_viz.nets.families.hub import HubRepository
from resnet_viz.nets.families.seeded import build_seeded
from resnet_viz.nets.net import WeightsError
from resnet_viz.nets.official import best_weights
from resnet_viz.nets.preprocessing import LARGEST, Preprocessing
from resnet_viz.nets.residual_graph import ResidualNetwork, find_blocks
from resnet_viz.nets.weights_folder import hub_cache, weights_folder
from resnet_viz.progress import OnProgress, ignore_progress

PREFIX = "timm/"
RECORDS = assets.ARCHITECTURES_FOLDER / "timm.json"
FILES = ("model.safetensors", "pytorch_model.bin")
INSTALL = "pip install 'resnet-viz[timm]'"
NEAREST = 5


@dataclass(frozen=True)
class Configuration:
    """What timm says of a network and its weights; `notes` are what differs here, in words."""

    name: str
    repository: HubRepository | None
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """The name without the prefix."""
        return self.name.removeprefix(PREFIX)


@dataclass(frozen=True)
class TimmRecord:
    """What is known of a network of timm before it is built; `module` is the one of timm that defines it."""

    module: str
    params: int
    blocks: int
    depth: int
    shortcuts: str


# Nothing is known of a network that no list offers.
UNRECORDED = TimmRecord("", 0, 0, 0, "")


@dataclass(frozen=True)
class HubFile:
    """The file of a network's weights on the hub."""

    title: str
    size: int
    repository: HubRepository

    @classmethod
    def of(cls, name: str) -> "HubFile":
        """Return the file of a network by its name; raises as `configuration` does, and WeightsError where there is none."""
        found = configuration(name)
        if found.repository is None:
            raise WeightsError(
                f"timm keeps the weights of {found.title} outside the Hugging Face hub, where ResNet Viz does not fetch them."
                f" Open the network with rv.from_module(timm.create_model({found.title!r}, pretrained=True))."
            )
        return cls(found.title, weights_size(records().get(name, UNRECORDED)), found.repository)

    def are_here(self) -> bool:
        """Whether the file is on this machine."""
        return self.repository.file_here() is not None

    def fetch(self, on_progress: OnProgress) -> Path:
        """Bring the file here; WeightsError with a sentence."""
        return self.repository.fetch(on_progress)


def is_name(name: str) -> bool:
    """Whether a name is one of timm's."""
    return name.startswith(PREFIX)


def is_installed() -> bool:
    """Whether the package is there."""
    return find_spec("timm") is not None and find_spec("huggingface_hub") is not None


@cache
def records() -> dict[str, TimmRecord]:
    """The networks that lists offer, by name: those with ImageNet's classes and residual blocks, of moderate size."""
    return {name: TimmRecord(*values) for name, values in json.loads(RECORDS.read_text()).items()}


def weights_size(record: TimmRecord) -> int:
    """Say about how many bytes a file has: four a number."""
    return 4 * record.params


def names_here(names: Iterable[str]) -> frozenset[str]:
    """Return those of some networks whose weights are on this machine, from a look at each folder and not at each name."""
    held = [path.name.rsplit("-", 1)[0] for path in weights_folder().glob("timm-*")]
    held += [path.name.removeprefix("models--").replace("--", "-") for path in hub_cache().glob("models--timm--*")]
    likely = set(held)
    return frozenset(name for name in names if name.replace("/", "-") in likely and HubFile.of(name).are_here())


@cache
def configuration(name: str) -> Configuration:
    """Return what timm says of a network.

    ValueError for a name that timm does not know, with the nearest ones, for a network without classes and for an input that is
    no square of three colours; WeightsError where timm is not installed.
    """
    said = _said(_plain(name))
    channels, height, width = said.input_size
    if channels != 3 or height != width or height > LARGEST:
        raise ValueError(f"{name} takes inputs of {channels}×{height}×{width}: ResNet Viz takes squares of three colours.")
    if not said.num_classes:
        raise ValueError(f"{name} has no classes, it returns features: take a name whose weights were trained to classify.")
    labels, notes = _labels(said)
    if said.crop_mode == "squash":
        notes.append("timm squeezes the whole photo into the square for these weights, here its centre is cropped")
    if said.crop_mode == "border":
        notes.append("timm shows these weights the whole photo with a border, here its centre is cropped")
    repository = HubRepository(said.hf_hub_id, _files(said.hf_hub_filename)) if said.hf_hub_id else None
    return Configuration(name, repository, labels, _preprocessing(said), tuple(notes))


def skeleton(name: str) -> ResidualNetwork:
    """Build a network and find its blocks: without memory for its weights where its code runs so, else with random ones."""
    timm, shape = _timm(), _shape(name)
    try:
        with torch.device("meta"):
            module = timm.create_model(_plain(name), pretrained=False).eval()
        return find_blocks(module, shape)
    except (RuntimeError, NotImplementedError, ValueError):
        return build(name, 0)


def build(name: str, seed: int) -> ResidualNetwork:
    """Build a network with weights as timm draws them, from a seed; ValueError where no residual additions are found."""
    timm, shape = _timm(), _shape(name)
    return find_blocks(build_seeded(lambda: timm.create_model(_plain(name), pretrained=False).eval(), seed), shape)


def load_trained(name: str) -> ResidualNetwork:
    """Return a network with the weights of the hub, fetched where they are not here; WeightsError with a sentence.

    The file is read by safetensors, or by torch.load with `weights_only`: nothing in it is run.
    """
    timm, shape = _timm(), _shape(name)
    file = HubFile.of(name).fetch(ignore_progress)
    overlay = {"file": str(file)}

    def load() -> nn.Module:
        module: nn.Module = timm.create_model(_plain(name), pretrained=True, pretrained_cfg_overlay=overlay)
        return module.eval()

    try:
        module = build_seeded(load, 0)
    except Exception as error:
        raise WeightsError(
            f"{file.name} is damaged or is not the file of {_plain(name)}. Remove it from {file.parent}, and download it again."
        ) from error
    return find_blocks(module, shape)


def without_weights(name: str, classes: int | None = None) -> nn.Module:
    """Build timm's own module with random weights; WeightsError where timm is not installed."""
    timm = _timm()
    options = {} if classes is None else {"num_classes": classes}
    module: nn.Module = timm.create_model(_plain(name), pretrained=False, **options)
    return module.eval()


def _plain(name: str) -> str:
    return name.removeprefix(PREFIX)


def _shape(name: str) -> tuple[int, int, int]:
    side = configuration(name).preprocessing.crop
    return 3, side, side


def _timm() -> Any:  # noqa: ANN401 - a module without types
    if not is_installed():
        raise WeightsError(f"Networks of timm need the package timm, which is not installed: run `{INSTALL}`.")
    import timm  # noqa: PLC0415 - an extra, and slow to import

    return timm


def _said(name: str) -> Any:  # noqa: ANN401 - a class of timm
    """Return timm's `PretrainedCfg` of a name."""
    timm = _timm()
    try:
        found = timm.models.get_pretrained_cfg(name, allow_unregistered=False) if timm.is_model(name) else None
    except (RuntimeError, KeyError, ValueError):
        # A tag that timm does not know.
        found = None
    if found is None:
        known = timm.list_pretrained()
        architectures = list(dict.fromkeys(each.partition(".")[0] for each in known))
        nearest = get_close_matches(name, known, NEAREST, 0.5) or get_close_matches(name, architectures, NEAREST, 0.3)
        names = ", ".join(f"{PREFIX}{each}" for each in nearest)
        raise ValueError(
            f"timm knows no network {name!r}. "
            + (f"The nearest names are {names}." if names else "timm.list_pretrained() names those that it knows.")
        )
    return found


def _files(named: str | None) -> tuple[str, ...]:
    """Return the files to look for, the one that cannot hold code first."""
    return FILES if named is None else tuple(dict.fromkeys((str(Path(named).with_suffix(".safetensors")), named)))


def _preprocessing(said: Any) -> Preprocessing:  # noqa: ANN401 - a class of timm
    side = said.input_size[1]
    resize = min(LARGEST, math.floor(side / (said.crop_pct or 0.875)))
    known = {mode.value: mode for mode in InterpolationMode}
    return Preprocessing(
        max(side, resize), side, _three(said.mean), _three(said.std), known.get(said.interpolation, InterpolationMode.BICUBIC)
    )


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = values if len(values) == 3 else (values[0],) * 3
    return float(red), float(green), float(blue)


def _labels(said: Any) -> tuple[tuple[str, ...], list[str]]:  # noqa: ANN401 - a class of timm
    """Return the names of the classes, and what must be said of them."""
    from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset  # noqa: PLC0415 - an extra

    count = said.num_classes
    if said.label_names and len(said.label_names) == count:
        described = said.label_descriptions or {}
        return tuple(str(described.get(each, each)) for each in said.label_names), []
    subset = infer_imagenet_subset({"num_classes": count})
    if subset == "imagenet-1k":
        # In the words of torchvision, so that networks of both can be compared.
        return tuple(best_weights("resnet50").meta["categories"]), []
    if subset is not None:
        names = tuple(each.partition(",")[0] for each in ImageNetInfo(subset).label_descriptions())
        return names, []
    return tuple(f"class {index}" for index in range(count)), ["the classes are numbered because timm names none"]
