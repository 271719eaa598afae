"""The networks that this project trains: what each is, how it is built, and the model card of its weights."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from resnet_viz import assets
from resnet_viz.nets.cifar import CIFAR10_LABELS, CIFAR10_MEAN, CIFAR10_STD, CifarResNet, ShortcutOption
from resnet_viz.nets.net import WeightsError
from resnet_viz.nets.photos import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    IMAGENETTE_LABELS,
    PHOTO_ARCHITECTURES,
    photo_network,
    photo_skeleton,
)
from resnet_viz.nets.preprocessing import Preprocessing

CIFAR_DEPTHS = (20, 32, 44, 56, 110)
CIFAR_PREPROCESSING = Preprocessing(32, 32, CIFAR10_MEAN, CIFAR10_STD)
# Of 160, 192 and 224 pixels the most accurate: 91.2, 92.3 and 91.7% of all test images in bfloat16.
PHOTO_PREPROCESSING = Preprocessing(192, 192, IMAGENET_MEAN, IMAGENET_STD)
CIFAR_TASK, PHOTO_TASK = "CIFAR-10", "Imagenette and cats"


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
