"""The photo-scale networks that this project trains: He et al.'s ResNet-18 and -34 and the plain networks of the same depth.

Torchvision's own layers and parameter names (https://arxiv.org/abs/1512.03385, Table 1), with the eleven classes of Imagenette
and cats; the weights load into a stock `torchvision.models.resnet18(num_classes=11)`.
"""

from dataclasses import replace

from torch import nn

from resnet_viz.nets.imagenet import ARCHITECTURES, Architecture, assemble
from resnet_viz.nets.initialisation import initialise
from resnet_viz.nets.layers import PlainBasicBlock

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
IMAGENETTE_LABELS = (
    "tench",
    "English springer",
    "cassette player",
    "cat",
    "chain saw",
    "church",
    "French horn",
    "garbage truck",
    "gas pump",
    "golf ball",
    "parachute",
)
# Comparisons with published figures for Imagenette's ten classes leave out the added class.
ADDED_LABEL = "cat"


PHOTO_ARCHITECTURES: dict[str, Architecture] = {
    f"{family}{depth}-imagenette": arch
    for depth in (18, 34)
    for family, arch in (
        ("resnet", ARCHITECTURES[f"resnet{depth}"]),
        ("plain", replace(ARCHITECTURES[f"resnet{depth}"], title=f"Plain-{depth}", block=PlainBasicBlock)),
    )
}


def photo_skeleton(name: str) -> nn.Module:
    """One of `PHOTO_ARCHITECTURES` on the meta device, without memory for its weights; KeyError for another name."""
    return assemble(PHOTO_ARCHITECTURES[name], len(IMAGENETTE_LABELS))


def photo_network(name: str, seed: int = 0) -> nn.Module:
    """One of `PHOTO_ARCHITECTURES` with seeded random weights: (N, 3, H, W) -> logits (N, 11); KeyError for another name."""
    net = photo_skeleton(name).to_empty(device="cpu")
    initialise(net, seed)
    return net
