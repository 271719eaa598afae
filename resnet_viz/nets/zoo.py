"""The catalogue: every network by name, its properties, and the origin of its weights."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from resnet_viz import assets
from resnet_viz.nets import imagenet
from resnet_viz.nets.cifar import CIFAR10_LABELS, CIFAR10_MEAN, CIFAR10_STD, CifarResNet, ShortcutOption
from resnet_viz.nets.costs import count_parameters
from resnet_viz.nets.net import Net, Source, WeightsError, WeightsOrigin, pick_device
from resnet_viz.nets.official import best_weights, load_official, weights_file
from resnet_viz.nets.photos import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    IMAGENETTE_LABELS,
    PHOTO_ARCHITECTURES,
    photo_network,
    photo_skeleton,
)
from resnet_viz.nets.preprocessing import Preprocessing

DEFAULT_MODEL = "resnet18-imagenette"
CIFAR_DEPTHS = (20, 32, 44, 56, 110)
CIFAR_PREPROCESSING = Preprocessing(32, 32, CIFAR10_MEAN, CIFAR10_STD)
# Of 160, 192 and 224 pixels the most accurate: 87.4, 88.8 and 87.4 % of all test images in bfloat16.
PHOTO_PREPROCESSING = Preprocessing(192, 192, IMAGENET_MEAN, IMAGENET_STD)
CIFAR_TASK, PHOTO_TASK = "CIFAR-10", "Imagenette and cats"


@dataclass(frozen=True)
class ModelInfo:
    """A row of the catalogue.

    `depth` counts layers with weights, `params` trainable parameters; `size` is the size of the weights in bytes; `source` says
    where trained weights come from and `here` whether they are on this machine.
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


@dataclass(frozen=True)
class Spec:
    """A network that this project trains: its properties, and how it is built.

    `build` takes a seed and returns the module with random weights, `skeleton` returns it on the meta device. `shortcut` is an
    option of He et al., or "plain" for none.
    """

    title: str
    task: str
    depth: int
    blocks: int
    shortcut: ShortcutOption
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    build: Callable[[int], nn.Module]
    skeleton: Callable[[], nn.Module]


def _cifar_specs() -> dict[str, Spec]:
    kinds: tuple[tuple[str, str, ShortcutOption], ...] = (
        ("resnet{}-cifar10", "ResNet-{}", "A"),
        ("resnet{}b-cifar10", "ResNet-{} B", "B"),
        ("resnet{}c-cifar10", "ResNet-{} C", "C"),
        ("plain{}-cifar10", "Plain-{}", "plain"),
    )
    return {
        name.format(depth): Spec(
            title=title.format(depth),
            task=CIFAR_TASK,
            depth=depth,
            blocks=(depth - 2) // 2,
            shortcut=shortcut,
            labels=CIFAR10_LABELS,
            preprocessing=CIFAR_PREPROCESSING,
            build=partial(_cifar_network, depth, shortcut),
            skeleton=partial(_cifar_skeleton, depth, shortcut),
        )
        for name, title, shortcut in kinds
        for depth in CIFAR_DEPTHS
    }


def _cifar_network(depth: int, shortcut: ShortcutOption, seed: int) -> nn.Module:
    return CifarResNet(depth, shortcut, seed=seed)


def _cifar_skeleton(depth: int, shortcut: ShortcutOption) -> nn.Module:
    return CifarResNet(depth, shortcut).to("meta")


def _photo_specs() -> dict[str, Spec]:
    return {
        name: Spec(
            title=f"{arch.title} Imagenette",
            task=PHOTO_TASK,
            depth=arch.depth,
            blocks=sum(arch.blocks),
            shortcut="plain" if name.startswith("plain") else "B",
            labels=IMAGENETTE_LABELS,
            preprocessing=PHOTO_PREPROCESSING,
            build=partial(photo_network, name),
            skeleton=partial(photo_skeleton, name),
        )
        for name, arch in PHOTO_ARCHITECTURES.items()
    }


CIFAR = _cifar_specs()
PHOTOS = _photo_specs()
TRAINED = PHOTOS | CIFAR


def list_models() -> list[ModelInfo]:
    """Every network of the catalogue; those whose trained weights are on this machine first."""
    rows = [_trained_info(name) for name in TRAINED] + [_imagenet_info(name) for name in imagenet.ARCHITECTURES]
    return sorted(rows, key=lambda row: not row.here)


def load(name: str = DEFAULT_MODEL, weights: str | None = "trained", device: str | torch.device = "auto", seed: int = 0) -> Net:
    """Load a network of the catalogue; `weights=None` draws random ones from `seed` and marks the network as untrained.

    Raises ValueError for an unknown name, device or `weights`, WeightsError if trained weights are not available.
    """
    _known(name)
    if weights not in ("trained", None):
        raise ValueError(f"weights={weights!r} is unknown: leave it out for trained weights, or use None for random ones")
    chosen = pick_device(device)
    net = _trained_net(name, weights, seed) if name in TRAINED else _imagenet_net(name, weights, seed)
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
        return Net(name, spec.title, spec.skeleton().eval(), spec.labels, spec.preprocessing, origin)
    return _with_official_labels(name, imagenet.skeleton(name).eval(), origin)


def read_card(name: str) -> dict[str, Any]:
    """Return the model card of shipped weights; WeightsError if there is none, or if it is incomplete."""
    path = assets.WEIGHTS_FOLDER / f"{name}.json"
    if not path.exists():
        raise WeightsError(
            f"This copy does not include trained weights of {name}. Choose another model, or load it with random weights "
            f"(weights=None)."
        )
    try:
        card: dict[str, Any] = json.loads(path.read_text())
        if isinstance(card["sha256"], str) and isinstance(card["test_accuracy"], float):
            return card
    except (ValueError, TypeError, KeyError):
        pass
    raise WeightsError(f"{path.name} is damaged. Restore this model card, which describes the weights next to it.")


def _known(name: str) -> None:
    if name not in TRAINED and name not in imagenet.ARCHITECTURES:
        raise ValueError(
            f"there is no model {name!r}; rv.list_models() names them, for example {DEFAULT_MODEL!r} or 'resnet50'"
        )


def _trained_net(name: str, weights: str | None, seed: int) -> Net:
    spec = TRAINED[name]
    module = spec.build(seed)
    origin = _untrained(seed)
    if weights is not None:
        card = read_card(name)
        path = assets.WEIGHTS_FOLDER / f"{name}.safetensors"
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != card["sha256"]:
            raise WeightsError(f"{path.name} is missing or was changed: its SHA-256 is not its model card's. Restore the file.")
        module.load_state_dict(load_file(path))
        origin = WeightsOrigin("shipped", f"trained on {spec.task}, {card['test_accuracy']:.1%} of the test images right")
    return Net(name, spec.title, module, spec.labels, spec.preprocessing, origin)


def _imagenet_net(name: str, weights: str | None, seed: int) -> Net:
    if weights is None:
        return _with_official_labels(name, imagenet.build(name, seed=seed), _untrained(seed))
    module, official = imagenet.skeleton(name), best_weights(name)
    load_official(module, official, imagenet.ARCHITECTURES[name].title)
    origin = WeightsOrigin("official", f"torchvision {official.name}, trained on ImageNet")
    return _with_official_labels(name, module, origin)


def _with_official_labels(name: str, module: nn.Module, origin: WeightsOrigin) -> Net:
    official = best_weights(name)
    labels, title = tuple(official.meta["categories"]), imagenet.ARCHITECTURES[name].title
    return Net(name, title, module, labels, Preprocessing.of(official.transforms()), origin)


def _untrained(seed: int) -> WeightsOrigin:
    return WeightsOrigin("untrained", f"untrained: random weights, seed {seed}")


def _trained_info(name: str) -> ModelInfo:
    spec, file = TRAINED[name], assets.WEIGHTS_FOLDER / f"{name}.safetensors"
    params = _parameters(name)
    source: Source = "shipped"
    try:
        note = f"{read_card(name)['test_accuracy']:.1%} of the test images right"
        size = file.stat().st_size
    except (WeightsError, OSError):
        note, size, source = "no trained weights yet", 4 * params, "untrained"
    kind = "no shortcut" if spec.shortcut == "plain" else f"shortcut {spec.shortcut}"
    here = source == "shipped"
    return ModelInfo(name, spec.title, spec.task, spec.depth, spec.blocks, kind, params, size, source, here, note)


def _imagenet_info(name: str) -> ModelInfo:
    arch, official = imagenet.ARCHITECTURES[name], best_weights(name)
    here = weights_file(official).exists()
    size = int(official.meta["_file_size"] * 2**20)
    accuracy = official.meta["_metrics"]["ImageNet-1K"]["acc@1"]
    note = f"{accuracy:.1f}% of the ImageNet validation images right"
    params = int(official.meta["num_params"])
    return ModelInfo(
        name, arch.title, "ImageNet", arch.depth, sum(arch.blocks), "shortcut B", params, size, "official", here, note
    )


@cache
def _parameters(name: str) -> int:
    return count_parameters(TRAINED[name].skeleton())
