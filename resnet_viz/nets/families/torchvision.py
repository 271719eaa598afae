"""Torchvision's residual classifiers other than the ResNets: their names and titles, their modules, and their blocks.

RegNet (https://arxiv.org/abs/2003.13678), ConvNeXt (https://arxiv.org/abs/2201.03545), EfficientNet
(https://arxiv.org/abs/1905.11946) and V2 (https://arxiv.org/abs/2104.00298), MobileNetV2 (https://arxiv.org/abs/1801.04381) and
V3 (https://arxiv.org/abs/1905.02244), MNASNet (https://arxiv.org/abs/1807.11626), Swin (https://arxiv.org/abs/2103.14030) and
V2 (https://arxiv.org/abs/2111.09883), ViT (https://arxiv.org/abs/2010.11929) and MaxViT (https://arxiv.org/abs/2204.01697).
"""

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torchvision.models import get_model_builder

from resnet_viz.nets.families.records import torchvision_records
from resnet_viz.nets.families.seeded import build_seeded
from resnet_viz.nets.official import best_weights, load_official
from resnet_viz.nets.residual_graph import ResidualNetwork, find_blocks

# The names of a family begin with this prefix; if two prefixes match, the first one counts.
FAMILIES = {
    "convnext_": "ConvNeXt",
    "efficientnet_v2_": "EfficientNetV2",
    "efficientnet_": "EfficientNet",
    "maxvit_": "MaxViT",
    "mnasnet": "MNASNet",
    "mobilenet_v2": "MobileNetV2",
    "mobilenet_v3_": "MobileNetV3",
    "regnet_x_": "RegNetX",
    "regnet_y_": "RegNetY",
    "swin_v2_": "Swin V2",
    "swin_": "Swin",
    "vit_": "ViT",
}
SIZES = {"t": "T", "s": "S", "b": "B", "m": "M", "l": "L"}


def names() -> tuple[str, ...]:
    """The names of all networks, in the order of the records."""
    return tuple(torchvision_records())


def family_of(name: str) -> str:
    """Return the family of a network: "EfficientNetV2" for "efficientnet_v2_s"."""
    return next(family for prefix, family in FAMILIES.items() if name.startswith(prefix))


def title_of(name: str) -> str:
    """Return the name of a network as its paper writes it: "RegNetY-1.6GF" for "regnet_y_1_6gf"."""
    prefix, family = next(pair for pair in FAMILIES.items() if name.startswith(pair[0]))
    rest = name.removeprefix(prefix)
    if family.startswith("RegNet"):
        return f"{family}-{rest.upper().replace('_', '.')}"
    if family == "MNASNet":
        return f"{family} {rest.replace('_', '.')}"
    if family == "ViT":
        size, patch = rest.split("_")
        return f"{family}-{size.upper()}/{patch}"
    if family == "EfficientNet":
        return f"{family}-{rest.upper()}"
    return f"{family}-{SIZES.get(rest, rest.capitalize())}" if rest else family


def crop_of(name: str) -> int:
    """Return the side of the square network input in pixels."""
    side: int = best_weights(name).transforms().crop_size[0]
    return side


def skeleton(name: str) -> ResidualNetwork:
    """Build a network on the meta device, without memory for its weights, and find its blocks; takes up to a second."""
    return find_blocks(without_weights(name), (3, crop_of(name), crop_of(name)))


def build(name: str, seed: int) -> ResidualNetwork:
    """Build a network with weights as torchvision draws them, from a seed."""
    return _with_weights_of(build_seeded(lambda: module(name), seed), name)


def load_trained(name: str) -> ResidualNetwork:
    """Return a network with torchvision's default weights, fetched where they are not here; WeightsError with a sentence."""
    empty = without_weights(name)
    load_official(empty, best_weights(name), title_of(name))
    return _with_weights_of(empty, name)


def _with_weights_of(loaded: nn.Module, name: str) -> ResidualNetwork:
    """Put a module's weights into the traced skeleton: finding blocks on the meta device computes nothing."""
    network = skeleton(name)
    try:
        network.load_state_dict(loaded.state_dict(), assign=True)
    except RuntimeError:
        # An old file made the module another one: torchvision's MNASNet becomes its first version.
        return find_blocks(loaded, (3, crop_of(name), crop_of(name)))
    if any(tensor.is_meta for tensor in (*network.parameters(), *network.buffers())):
        # The graph holds a constant, which only a pass with numbers brings along.
        return find_blocks(loaded, (3, crop_of(name), crop_of(name)))
    return network


def module(name: str, classes: int = 1000) -> nn.Module:
    """Build torchvision's own module with random weights."""
    # A vision transformer is built for images of one size.
    size = {"image_size": crop_of(name)} if name.startswith("vit_") else {}
    built: nn.Module = get_model_builder(name)(weights=None, num_classes=classes, **size)
    return built.eval()


def without_weights(name: str) -> nn.Module:
    """Build torchvision's own module on the meta device."""
    # RegNet computes its widths with tensors, which need real numbers.
    place: AbstractContextManager[Any] = _WeightsOnMeta() if name.startswith("regnet_") else torch.device("meta")
    with place:
        built = module(name)
    return built.to("meta")


class _WeightsOnMeta(TorchFunctionMode):
    """Creates the weights of layers on the meta device, and leaves every other tensor where it is."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Tensor:  # noqa: ANN401 - as in torch
        del types
        keywords = dict(kwargs or {})
        if func is torch.empty:
            keywords["device"] = "meta"
        found: Tensor = func(*args, **keywords)
        return found
