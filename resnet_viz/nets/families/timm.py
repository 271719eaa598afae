"""The networks of the package timm, by name: "timm/resnet50d.ra2_in1k". Their weights come from the Hugging Face hub.

timm is installed by the extra "timm" (https://github.com/huggingface/pytorch-image-models). Its description of the weights,
`pretrained_cfg`, contains the preprocessing and the labels, so the network need not be built to know them.
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
    """timm's description of a network and its weights; `notes` say what ResNet Viz does differently."""

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
    """What is known about a timm network before it is built; `module` is the timm module that defines it."""

    module: str
    params: int
    blocks: int
    depth: int
    shortcuts: str


# Nothing is recorded about a network that is not in the lists.
UNRECORDED = TimmRecord("", 0, 0, 0, "")


@dataclass(frozen=True)
class HubFile:
    """The weight file of a network on the hub."""

    title: str
    size: int
    repository: HubRepository

    @classmethod
    def of(cls, name: str) -> "HubFile":
        """Return the file of a network; raises the errors of `configuration`, and WeightsError if there is no file."""
        found = configuration(name)
        if found.repository is None:
            raise WeightsError(
                f"timm keeps the weights of {found.title} outside the Hugging Face hub, so ResNet Viz cannot download them."
                f" Open the network with rv.from_module(timm.create_model({found.title!r}, pretrained=True))."
            )
        return cls(found.title, weights_size(records().get(name, UNRECORDED)), found.repository)

    def are_here(self) -> bool:
        """Whether the file is on this machine."""
        return self.repository.file_here() is not None

    def fetch(self, on_progress: OnProgress) -> Path:
        """Download the file if it is not on this machine; WeightsError if that fails."""
        return self.repository.fetch(on_progress)


def is_name(name: str) -> bool:
    """Whether a name is one of a timm network."""
    return name.startswith(PREFIX)


def is_installed() -> bool:
    """Whether timm is installed."""
    return find_spec("timm") is not None and find_spec("huggingface_hub") is not None


@cache
def records() -> dict[str, TimmRecord]:
    """The networks in the lists, by name: moderate in size, with ImageNet classes and residual blocks."""
    return {name: TimmRecord(*values) for name, values in json.loads(RECORDS.read_text()).items()}


def weights_size(record: TimmRecord) -> int:
    """Return the approximate size of the weight file in bytes: four per number."""
    return 4 * record.params


def names_here(names: Iterable[str]) -> frozenset[str]:
    """Return those of the given networks whose weights are on this machine; each folder is read once, not once per name."""
    held = [path.name.rsplit("-", 1)[0] for path in weights_folder().glob("timm-*")]
    held += [path.name.removeprefix("models--").replace("--", "-") for path in hub_cache().glob("models--timm--*")]
    likely = set(held)
    return frozenset(name for name in names if name.replace("/", "-") in likely and HubFile.of(name).are_here())


@cache
def configuration(name: str) -> Configuration:
    """Return timm's description of a network.

    Raises ValueError for a name that timm does not know (the message names the nearest ones), for a network without classes,
    and for an input that is not a square with three channels; WeightsError if timm is not installed.
    """
    cfg = _pretrained_cfg(_plain(name))
    channels, height, width = cfg.input_size
    if channels != 3 or height != width or height > LARGEST:
        raise ValueError(
            f"{name} takes inputs of {channels}×{height}×{width}, and ResNet Viz needs square inputs with 3 channels."
        )
    if not cfg.num_classes:
        raise ValueError(f"{name} returns features instead of classes. Choose weights that were trained for classification.")
    labels, notes = _labels(cfg)
    if cfg.crop_mode == "squash":
        notes.append("for these weights, timm scales the whole photo to a square; here, its centre is cropped")
    if cfg.crop_mode == "border":
        notes.append("for these weights, timm adds a border to the whole photo; here, its centre is cropped")
    repository = HubRepository(cfg.hf_hub_id, _files(cfg.hf_hub_filename)) if cfg.hf_hub_id else None
    return Configuration(name, repository, labels, _preprocessing(cfg), tuple(notes))


def skeleton(name: str) -> ResidualNetwork:
    """Build a network and find its blocks.

    The weights take no memory if the code of the network can run without them; otherwise they are random.
    """
    timm, shape = _timm(), _shape(name)
    try:
        with torch.device("meta"):
            module = timm.create_model(_plain(name), pretrained=False).eval()
        return find_blocks(module, shape)
    except (RuntimeError, NotImplementedError, ValueError):
        return build(name, 0)


def build(name: str, seed: int) -> ResidualNetwork:
    """Build a network with timm's random initialisation from a seed; ValueError if it has no residual additions."""
    timm, shape = _timm(), _shape(name)
    return find_blocks(build_seeded(lambda: timm.create_model(_plain(name), pretrained=False).eval(), seed), shape)


def load_trained(name: str) -> ResidualNetwork:
    """Return a network with its weights from the hub, downloaded if necessary; WeightsError if that fails.

    The file is read by safetensors, or by torch.load with `weights_only`: no code in it is run.
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
        raise WeightsError(f"Networks of timm need the package timm, which is not installed. Run `{INSTALL}`.")
    import timm  # noqa: PLC0415 - an extra, and slow to import

    return timm


def _pretrained_cfg(name: str) -> Any:  # noqa: ANN401 - a class of timm
    """Return timm's `PretrainedCfg` of a name."""
    timm = _timm()
    try:
        found = timm.models.get_pretrained_cfg(name, allow_unregistered=False) if timm.is_model(name) else None
    except (RuntimeError, KeyError, ValueError):
        # timm does not know the tag.
        found = None
    if found is None:
        known = timm.list_pretrained()
        architectures = list(dict.fromkeys(each.partition(".")[0] for each in known))
        nearest = get_close_matches(name, known, NEAREST, 0.5) or get_close_matches(name, architectures, NEAREST, 0.3)
        names = ", ".join(f"{PREFIX}{each}" for each in nearest)
        raise ValueError(
            f"timm knows no network {name!r}. "
            + (f"The nearest names are {names}." if names else "timm.list_pretrained() lists all names.")
        )
    return found


def _files(named: str | None) -> tuple[str, ...]:
    """Return the accepted files; the format that cannot contain code comes first."""
    return FILES if named is None else tuple(dict.fromkeys((str(Path(named).with_suffix(".safetensors")), named)))


def _preprocessing(cfg: Any) -> Preprocessing:  # noqa: ANN401 - a class of timm
    side = cfg.input_size[1]
    resize = min(LARGEST, math.floor(side / (cfg.crop_pct or 0.875)))
    known = {mode.value: mode for mode in InterpolationMode}
    return Preprocessing(
        max(side, resize), side, _three(cfg.mean), _three(cfg.std), known.get(cfg.interpolation, InterpolationMode.BICUBIC)
    )


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = values if len(values) == 3 else (values[0],) * 3
    return float(red), float(green), float(blue)


def _labels(cfg: Any) -> tuple[tuple[str, ...], list[str]]:  # noqa: ANN401 - a class of timm
    """Return the names of the classes, and a note about them if one is needed."""
    from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset  # noqa: PLC0415 - an extra

    count = cfg.num_classes
    if cfg.label_names and len(cfg.label_names) == count:
        described = cfg.label_descriptions or {}
        return tuple(str(described.get(each, each)) for each in cfg.label_names), []
    subset = infer_imagenet_subset({"num_classes": count})
    if subset == "imagenet-1k":
        # The names of torchvision, so that networks of both can be compared.
        return tuple(best_weights("resnet50").meta["categories"]), []
    if subset is not None:
        names = tuple(each.partition(",")[0] for each in ImageNetInfo(subset).label_descriptions())
        return names, []
    return tuple(f"class {index}" for index in range(count)), ["the classes are numbered because timm names none"]
