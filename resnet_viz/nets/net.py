"""A network ready for analyses: module, labels, preprocessing, and the origin of its weights."""

from dataclasses import dataclass
from itertools import chain
from operator import index
from os import PathLike
from typing import Literal, get_args

import torch
from PIL import Image
from torch import Tensor, nn

from resnet_viz.nets.blocks import ResidualBlock, blocks_of, may_overwrite
from resnet_viz.nets.labels import checked_labels, repeated
from resnet_viz.nets.preprocessing import Preprocessing
from resnet_viz.nets.twins import make_twin, precision_of

Head = Literal["softmax", "sigmoid"]
Source = Literal["shipped", "official", "checkpoint", "module", "untrained"]


class WeightsError(RuntimeError):
    """Weights that are missing, cannot be downloaded or are not as expected; the message is for the user."""


@dataclass(frozen=True)
class WeightsOrigin:
    """The origin of the weights, in words that are shown wherever the network is."""

    source: Source
    note: str

    @property
    def trained(self) -> bool:
        """Whether the weights are trained; random weights are marked as such."""
        return self.source != "untrained"


@dataclass(frozen=True, eq=False)
class Net:
    """A network with torchvision's parameter names; an analysis runs on a twin of it, or on it without a hook or a change.

    It is shared between threads: never register a hook on `module`, use a `twin`. A pass calls the layers and the places of the
    blocks; modules that only contain others, such as "layer2.0", are not called, so a hook on them sees nothing: the output of
    that block is `blocks["layer2.0"].output`.

    `head` says how logits become probabilities: by the softmax, if exactly one class is correct, or each by its own sigmoid, if
    any number of classes may be (`dataclasses.replace(net, head="sigmoid")`). A single logit always uses the sigmoid: the
    probability of its one class. `notes` are sentences about what was chosen, left out or changed to open it.

    TypeError for labels that are not texts, ValueError for an empty label or an unknown head.
    """

    name: str
    title: str
    module: nn.Module
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    weights: WeightsOrigin
    head: Head = "softmax"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the labels, and use the sigmoid for a single logit: its softmax is 1 whatever the image."""
        object.__setattr__(self, "labels", checked_labels(self.labels))
        if self.head not in get_args(Head):
            raise ValueError(
                f"head {self.head!r} is unknown: choose 'softmax', or 'sigmoid' for classes that do not exclude one another"
            )
        if len(self.labels) == 1:
            object.__setattr__(self, "head", "sigmoid")

    def __repr__(self) -> str:
        """Say which network this is and what was assumed of it, and not every layer."""
        sizes = f"{len(self.blocks)} blocks, {len(self.labels):,} classes, {self.preprocessing.crop} pixels"
        more = [note for note in dict.fromkeys((*self.notes, repeated(self.labels))) if note not in self.weights.note]
        return f"<Net {self.title}: {sizes}; {'; '.join([self.weights.note, *more])}>"

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        tensors = chain(self.module.parameters(), self.module.buffers())
        return next((tensor.device for tensor in tensors), torch.device("cpu"))

    @property
    def precision(self) -> torch.dtype:
        """The number type that the network computes in."""
        return precision_of(self.module)

    @property
    def blocks(self) -> dict[str, ResidualBlock]:
        """Every block by name, first to last."""
        return blocks_of(self.module)

    def preprocess(self, image: Image.Image) -> Tensor:
        """PIL image -> float32 tensor (1, 3, H, W) on the network's device."""
        # Gradients can be taken with respect to it also where the caller has switched them off.
        with torch.inference_mode(mode=False):
            return self.preprocessing.tensor(image).to(self.device)

    def twin(self) -> nn.Module:
        """Return a copy of the module that shares its weights, with its own evaluation mode, buffers and hooks."""
        return make_twin(self.module)

    def on_fork(self, x: Tensor) -> None:
        """Receive the input of every block of a recorded pass; a subclass may stop the pass here."""

    def frugal_twin(self) -> nn.Module:
        """Return a twin for passes that are not recorded: in-place ReLUs need no memory, and save a tenth of the time."""
        twin = self.twin()
        for layer in twin.modules():
            if may_overwrite(layer):
                layer.inplace = True  # type: ignore[assignment]
        return twin

    def probabilities(self, logits: Tensor) -> Tensor:
        """(..., classes) -> float32 of the same shape, 0 to 1: the softmax, or each logit's sigmoid where `head` says so."""
        return logits.float().softmax(-1) if self.head == "softmax" else logits.float().sigmoid()

    def class_index(self, target: int | str) -> int:
        """Return the index of a class given by index or label.

        ValueError for a class that the network does not have (it lists the classes), and for a label that several classes have
        (it lists their indices); TypeError for anything but a text or a whole number.
        """
        if isinstance(target, str):
            return self._index_of(target)
        try:
            target = index(target)
        except TypeError as error:
            raise TypeError(f"target is the label or the index of a class, and not {target!r}") from error
        if 0 <= target < len(self.labels):
            return target
        raise ValueError(f"target {target} is outside {self.title}'s classes: choose 0 to {len(self.labels) - 1}")

    def _index_of(self, label: str) -> int:
        found = [number for number, name in enumerate(self.labels) if name == label]
        if len(found) > 1:
            listed = " and ".join(map(str, found))
            raise ValueError(f"{self.title} has several classes named {label!r}: choose one by its index, {listed}")
        if not found:
            more = " ..." if len(self.labels) > 10 else ""
            raise ValueError(f"{self.title} has no class {label!r}; it has {', '.join(self.labels[:10])}{more}")
        return found[0]


def check_net(net: object) -> None:
    """Raise TypeError with the way to open a network if this is none."""
    if isinstance(net, Net):
        return
    if isinstance(net, str | PathLike):
        name = str(net)
        how = f"open it with rv.load({name!r}), or with rv.load_checkpoint({name!r}) if it is a file"
        raise TypeError(f"the network is given by its name {name!r}: {how}")
    if isinstance(net, nn.Module):
        raise TypeError(f"the network is a module, {type(net).__name__}: open it with rv.from_module(module)")
    raise TypeError(
        f"the network comes first and is one that rv.load, rv.load_checkpoint or rv.from_module opened; this is of the type"
        f" {type(net).__name__}"
    )


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """Turn "auto" into cuda, mps or cpu, in this order of preference; ValueError if the requested device does not exist."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"{device!r} is not a device: choose device='auto' or 'cpu'") from error
    if (chosen.index or 0) >= count.get(chosen.type, 0):
        raise ValueError(
            f"there is no {chosen.type} device on this machine that matches {device}: choose device='auto' or 'cpu'"
        )
    return chosen
