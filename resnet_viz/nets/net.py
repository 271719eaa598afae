"""A network ready to be looked into: module, labels, preprocessing, and where its weights come from."""

from dataclasses import dataclass
from typing import Literal

import torch
from PIL import Image
from torch import Tensor, nn

from resnet_viz.nets.blocks import ResidualBlock, blocks_of, may_overwrite
from resnet_viz.nets.preprocessing import Preprocessing

Source = Literal["shipped", "official", "checkpoint", "module", "untrained"]


class WeightsError(RuntimeError):
    """Weights that are not here, cannot be fetched or are not what they should be; the message is for the user."""


@dataclass(frozen=True)
class WeightsOrigin:
    """Where weights come from, in words that are shown wherever the network is."""

    source: Source
    note: str

    @property
    def trained(self) -> bool:
        """Whether anything was learned: random weights say so."""
        return self.source != "untrained"


@dataclass(frozen=True, eq=False)
class Net:
    """A network in evaluation mode, its parameters frozen, with torchvision's parameter names.

    It is shared between threads: never register a hook on `module`, take a `twin`.
    """

    name: str
    title: str
    module: nn.Module
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    weights: WeightsOrigin

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.module.parameters()).device

    @property
    def blocks(self) -> dict[str, ResidualBlock]:
        """Every block by name, first to last."""
        return blocks_of(self.module)

    def preprocess(self, image: Image.Image) -> Tensor:
        """PIL image -> float32 tensor (1, 3, H, W) on the network's device."""
        return self.preprocessing.tensor(image).to(self.device)

    def twin(self) -> nn.Module:
        """Return a copy of the module tree that shares every tensor and has hooks and settings of its own."""
        return _twin(self.module)

    def frugal_twin(self) -> nn.Module:
        """Return a twin for passes that nobody looks into: ReLUs in place take no memory, and a tenth of the time less."""
        twin = self.twin()
        for layer in twin.modules():
            if may_overwrite(layer):
                layer.inplace = True  # type: ignore[assignment]
        return twin

    def class_index(self, target: int | str) -> int:
        """Return the index of a class given by index or label; ValueError says which there are."""
        if isinstance(target, str):
            if target in self.labels:
                return self.labels.index(target)
            raise ValueError(f"{self.title} has no class {target!r}; it has {', '.join(self.labels[:10])} ...")
        if 0 <= target < len(self.labels):
            return int(target)
        raise ValueError(f"target {target} is outside {self.title}'s classes: take 0 to {len(self.labels) - 1}")


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """Turn "auto" into cuda, then mps, then cpu; ValueError when the device asked for is not there."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"{device!r} is no device: take device='auto' or 'cpu'") from error
    if (chosen.index or 0) >= count.get(chosen.type, 0):
        raise ValueError(f"there is no {chosen.type} device on this machine that fits {device}: take device='auto' or 'cpu'")
    return chosen


def _twin(module: nn.Module) -> nn.Module:
    """Copy the tree alone: several times faster than `copy.deepcopy`, which visits every value of every module."""
    twin = object.__new__(type(module))
    own = vars(twin)
    for name, value in vars(module).items():
        # Most of the dicts are empty ordered ones, which are made three times as fast as they are copied.
        own[name] = (value.copy() if value else type(value)()) if isinstance(value, dict) else value
    children = own["_modules"]
    for name, child in children.items():
        children[name] = None if child is None else _twin(child)
    return twin
