"""The catalogue: every network by name, its properties, and the origin of its weights."""

import hashlib
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache

import torch
from safetensors.torch import load_file
from torch import nn
from torchvision.models import WeightsEnum

from resnet_viz import assets
from resnet_viz.nets import imagenet
from resnet_viz.nets.families import timm, torchvision
from resnet_viz.nets.families.records import resnet_records, torchvision_records
from resnet_viz.nets.net import Net, Source, WeightsError, WeightsOrigin, pick_device
from resnet_viz.nets.official import best_weights, load_official, weights_file, weights_size
from resnet_viz.nets.preprocessing import Preprocessing
from resnet_viz.nets.remote_weights import official_labels, official_names, official_title
from resnet_viz.nets.residual_graph import find_blocks
from resnet_viz.nets.residual_graph.copying import evaluation_copy
from resnet_viz.nets.trained import (
    CIFAR,
    CIFAR_DEPTHS,
    CIFAR_PREPROCESSING,
    CIFAR_TASK,
    PHOTO_PREPROCESSING,
    PHOTO_TASK,
    PHOTOS,
    TRAINED,
    Spec,
    read_card,
)

__all__ = [
    "CIFAR",
    "CIFAR_DEPTHS",
    "CIFAR_PREPROCESSING",
    "CIFAR_TASK",
    "DEFAULT_MODEL",
    "PHOTOS",
    "PHOTO_PREPROCESSING",
    "PHOTO_TASK",
    "TRAINED",
    "ModelInfo",
    "Spec",
    "blueprint",
    "describe",
    "is_name",
    "list_models",
    "load",
    "read_card",
    "similar_names",
]

DEFAULT_MODEL = "resnet18-imagenette"


@dataclass(frozen=True)
class ModelInfo:
    """A row of the catalogue.

    `depth` counts layers with weights, `params` trainable parameters; `size` is the size of the weights in bytes, estimated
    for those of timm; `source` says where trained weights come from and `here` whether they are on this machine. `family`
    groups lists.
    """

    name: str
    title: str
    task: str
    depth: int
    blocks: int
    shortcut: str
    params: int
    size: int
    source: Source
    here: bool
    note: str
    family: str = ""


def list_models() -> list[ModelInfo]:
    """Every network of the catalogue; those whose trained weights are on this machine first, then family by family.

    Of timm, where it is installed, those of moderate size with ImageNet's classes are listed; `load` opens every name.
    """
    rows = [_trained_info(name) for name in TRAINED] + [_official_info(name) for name in official_names()]
    if timm.is_installed():
        here = timm.names_here(tuple(timm.records()))
        rows += [_timm_info(name, here=name in here) for name in timm.records()]
    return sorted(rows, key=lambda row: not row.here)


def describe(name: str) -> ModelInfo:
    """Return a network's row, also of one of timm that the list leaves out; raises as `load` does for an unknown name."""
    _known(name)
    if timm.is_name(name):
        return _timm_info(name, here=bool(timm.names_here((name,))))
    return _trained_info(name) if name in TRAINED else _official_info(name)


def load(name: str = DEFAULT_MODEL, weights: str | None = "trained", device: str | torch.device = "auto", seed: int = 0) -> Net:
    """Load a network of the catalogue; `weights=None` draws random ones from `seed` and marks the network as untrained.

    Beside the names of `list_models`, "timm/" and any name that timm knows opens that network with its weights from the Hugging
    Face hub, such as "timm/resnet50d.ra2_in1k"; timm is the extra "timm".

    Raises ValueError for an unknown name, device or `weights`, TypeError for a name that is no text, WeightsError if trained
    weights are not available.
    """
    _known(name)
    if weights not in ("trained", None):
        raise ValueError(f"weights={weights!r} is unknown: leave it out for trained weights, or use None for random ones")
    chosen = pick_device(device)
    make = _trained_net if name in TRAINED else _timm_net if timm.is_name(name) else _official_net
    net = make(name, weights, seed)
    net.module.eval().requires_grad_(requires_grad=False).to(chosen)
    return net


def blueprint(name: str) -> Net:
    """Return a network of the catalogue on the meta device, for uses that need only shapes; ValueError for an unknown name.

    It has no weights and takes no memory for them.
    """
    _known(name)
    origin = WeightsOrigin("untrained", "a blueprint: shapes without weights")
    if name in TRAINED:
        spec = TRAINED[name]
        return Net(name, spec.title, _traced(name), spec.labels, spec.preprocessing, origin)
    if timm.is_name(name):
        return _with_timms_labels(name, timm.skeleton(name), origin)
    module = _traced(name) if name in imagenet.ARCHITECTURES else torchvision.skeleton(name)
    return _with_official_labels(name, module, origin)


def is_name(name: str) -> bool:
    """Whether `load` opens a network of this name; every name that begins with "timm/" counts, and timm says what it knows."""
    return timm.is_name(name) or name in TRAINED or name in official_names()


def similar_names(name: str) -> str:
    """Return the end of a sentence with the most similar names, "; did you mean 'resnet50'?", or "" if none is similar."""
    nearest = get_close_matches(name, (*TRAINED, *official_names()), 3)
    return f"; did you mean {' or '.join(map(repr, nearest))}?" if nearest else ""


def _known(name: str) -> None:
    if not isinstance(name, str):
        raise TypeError(
            f"the name of a network is a text, and this is of the type {type(name).__name__}: rv.list_models() names them,"
            " rv.load_checkpoint opens a file and rv.from_module a module"
        )
    if timm.is_name(name):
        timm.configuration(name)
    elif not is_name(name):
        raise ValueError(
            f"there is no model {name!r}; rv.list_models() names them, for example {DEFAULT_MODEL!r} or 'resnet50'"
            f"{similar_names(name)}"
        )


def _trained_net(name: str, weights: str | None, seed: int) -> Net:
    spec, origin = TRAINED[name], _untrained(seed)
    if weights is None:
        module = _initialised(name, seed)
    else:
        card = read_card(name)
        path = assets.WEIGHTS_FOLDER / f"{name}.safetensors"
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != card["sha256"]:
            raise WeightsError(f"{path.name} is missing or was changed: its SHA-256 is not its model card's. Restore the file.")
        module = _traced(name).to_empty(device="cpu")
        module.load_state_dict(load_file(path))
        origin = WeightsOrigin("shipped", f"trained on {spec.task}, test accuracy {card['test_accuracy']:.1%}")
    return Net(name, spec.title, module, spec.labels, spec.preprocessing, origin)


def _official_net(name: str, weights: str | None, seed: int) -> Net:
    resnet = name in imagenet.ARCHITECTURES
    if weights is None:
        module = _initialised(name, seed) if resnet else torchvision.build(name, seed)
        return _with_official_labels(name, module, _untrained(seed))
    official = best_weights(name)
    if resnet:
        module = _traced(name)
        load_official(module, official, imagenet.ARCHITECTURES[name].title)
    else:
        module = torchvision.load_trained(name)
    origin = WeightsOrigin("official", f"torchvision {official.name}, trained on ImageNet")
    return _with_official_labels(name, module, origin)


def _traced(name: str) -> nn.Module:
    """Return a network of ours, or one of torchvision's ResNets, on the meta device, with named places in its blocks."""
    return evaluation_copy(_skeleton(name))


@lru_cache(maxsize=64)
def _skeleton(name: str) -> nn.Module:
    if name in TRAINED:
        module, side = TRAINED[name].skeleton(), TRAINED[name].preprocessing.crop
    else:
        module, side = imagenet.skeleton(name), torchvision.crop_of(name)
    return find_blocks(module, (3, side, side))


def _initialised(name: str, seed: int) -> nn.Module:
    """Return a network with named places in its blocks and random weights."""
    built = TRAINED[name].build(seed) if name in TRAINED else imagenet.build(name, seed=seed)
    module = _traced(name)
    module.load_state_dict(built.state_dict(), assign=True)
    return module


def _with_official_labels(name: str, module: nn.Module, origin: WeightsOrigin) -> Net:
    official = best_weights(name)
    return Net(name, official_title(name), module, official_labels(name), Preprocessing.of(official.transforms()), origin)


def _timm_net(name: str, weights: str | None, seed: int) -> Net:
    if weights is None:
        return _with_timms_labels(name, timm.build(name, seed), _untrained(seed))
    origin = WeightsOrigin("official", "; ".join(("timm's weights from the Hugging Face hub", *timm.configuration(name).notes)))
    return _with_timms_labels(name, timm.load_trained(name), origin)


def _with_timms_labels(name: str, module: nn.Module, origin: WeightsOrigin) -> Net:
    found = timm.configuration(name)
    return Net(name, found.title, module, found.labels, found.preprocessing, origin)


def _untrained(seed: int) -> WeightsOrigin:
    return WeightsOrigin("untrained", f"untrained: random weights, seed {seed}")


def _trained_info(name: str) -> ModelInfo:
    spec, file = TRAINED[name], assets.WEIGHTS_FOLDER / f"{name}.safetensors"
    params = resnet_records()[name].parameters
    source: Source = "shipped"
    try:
        note = f"test accuracy {read_card(name)['test_accuracy']:.1%}"
        size = file.stat().st_size
    except (WeightsError, OSError):
        note, size, source = "no trained weights yet", 4 * params, "untrained"
    kind = "no shortcut" if spec.shortcut == "plain" else f"shortcut {spec.shortcut}"
    here = source == "shipped"
    title, task, depth, blocks = spec.title, spec.task, spec.depth, spec.blocks
    return ModelInfo(name, title, task, depth, blocks, kind, params, size, source, here, note, family=spec.task)


def _official_info(name: str) -> ModelInfo:
    official = best_weights(name)
    return replace(_official_row(name, official), here=weights_file(official).exists())


@lru_cache(maxsize=256)
def _official_row(name: str, official: WeightsEnum) -> ModelInfo:
    """Return a row as if the weights were not here."""
    arch = imagenet.ARCHITECTURES.get(name)
    accuracy = official.meta["_metrics"]["ImageNet-1K"]["acc@1"]
    if arch:
        depth, blocks, shortcuts = arch.depth, sum(arch.blocks), "shortcut B"
    else:
        record = torchvision_records()[name]
        depth, blocks, shortcuts = record.depth, len(record.blocks), record.shortcuts
    return ModelInfo(
        name=name,
        title=official_title(name),
        task="ImageNet",
        depth=depth,
        blocks=blocks,
        shortcut=shortcuts,
        params=int(official.meta["num_params"]),
        size=weights_size(official),
        source="official",
        here=False,
        note=f"ImageNet validation accuracy {accuracy:.1f}%",
        family=arch.title.partition("-")[0] if arch else torchvision.family_of(name),
    )


def _timm_info(name: str, *, here: bool) -> ModelInfo:
    record = timm.records().get(name)
    title, family = name.removeprefix(timm.PREFIX), f"timm {record.module}" if record else "timm"
    found = record or timm.UNRECORDED
    size = timm.weights_size(found)
    note = "accuracy not measured here"
    task = "ImageNet" if record else f"{len(timm.configuration(name).labels):,} classes"
    return ModelInfo(
        name, title, task, found.depth, found.blocks, found.shortcuts, found.params, size, "official", here, note, family
    )
