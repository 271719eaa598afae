"""Networks whose layers are a ResNet's, by torchvision's names: lessons go through them one by one."""

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from resnet_viz.nets.blocks import ResidualBlock, blocks_of
from resnet_viz.nets.checkpoints.blocks import CheckpointBlock

_KNOWN = (BasicBlock, Bottleneck, CheckpointBlock)


def layers_of(module: nn.Module, block: ResidualBlock) -> nn.Module:
    """Return the module that contains a block, with its layers by torchvision's names: `conv1`, `bn1` and the rest.

    The activation behind the sum is the block's own `output`.
    """
    return module.get_submodule(block.facts.path)


def has_known_layers(module: nn.Module) -> bool:
    """Whether a network has a ResNet's stem, blocks and head by torchvision's names."""
    ends = all(hasattr(module, name) for name in ("conv1", "bn1", "fc"))
    return ends and all(isinstance(layers_of(module, block), _KNOWN) for block in blocks_of(module).values())


def require_known_layers(title: str, module: nn.Module) -> None:
    """Refuse a network whose layers have other names where a lesson goes through the layers of ResNets by their names.

    Raises:
        ValueError: with a sentence that names what to take instead.
    """
    if not has_known_layers(module):
        raise ValueError(
            f"This lesson goes through the layers of a ResNet by their names, and the layers of {title} have other names: take"
            " a ResNet from the list. Every page outside the lessons works with it."
        )
