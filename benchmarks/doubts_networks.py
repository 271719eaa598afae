"""The networks of `doubts`: the shipped ones, and small ones with other forward passes that are trained here for a few minutes.

A network is also turned into every other one that fits its tensors: it keeps its weights, and its norms estimate their
statistics anew from training images in that forward pass. Nothing but the statistics then tells which network it is.
"""

import io
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import functional as transforms

from resnet_viz.nets.checkpoints.assembly import CheckpointResNet
from resnet_viz.nets.checkpoints.layouts import Layout, find_layout
from resnet_viz.nets.cifar import CifarResNet
from resnet_viz.nets.preprocessing import Preprocessing
from resnet_viz.nets.zoo import list_models, load
from resnet_viz.training.data import load_dataset
from resnet_viz.training.tasks import CIFAR10, IMAGENETTE

# Mean and deviation that pixels from 0 to 1 are normalised with; empty for the network's own.
SCALES: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]] | None] = {
    "own": None,
    "0 to 1": ((0.0,) * 3, (1.0,) * 3),
    "0 to 255": ((0.0,) * 3, (1 / 255,) * 3),
    "-1 to 1": ((0.5,) * 3, (0.5,) * 3),
    "ImageNet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
# Networks that the limits were not chosen on.
HELD_OUT = frozenset(
    {"plain20-cifar10", "resnet56-cifar10", "ResNet-8 A, LeakyReLU 0.01", "ResNet-8 B, SiLU", "ResNet-8 A, zeros last"}
)
STEPS, BATCH, RATE = 150, 64, 0.1
# Images that the statistics are estimated on anew.
CIFAR_IMAGES, PHOTOS = 256, 48

TensorShapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class Subject:
    """A trained network: its tensors, what they fit, the answers that it was trained with, and images of its training."""

    name: str
    layout: Layout
    state: dict[str, Tensor]
    truth: tuple[int, ...]
    preprocessing: Preprocessing
    images: Callable[[], Tensor]

    @property
    def held_out(self) -> bool:
        """Whether the limits were chosen without it."""
        return self.name in HELD_OUT

    @property
    def cost(self) -> int:
        """About how long a pass takes: blocks, of photos more."""
        return sum(self.layout.plan.blocks) * (8 if self.preprocessing.crop > CIFAR10.side else 1)

    def others(self) -> list[tuple[int, ...]]:
        """Return every network that differs from it in one answer."""
        found = []
        for question, axis in enumerate(self.layout.questions):
            for answer in range(len(axis.options)):
                other = (*self.truth[:question], answer, *self.truth[question + 1 :])
                if other != self.truth:
                    found.append(other)
        return found


def subjects(data: Path) -> Iterator[Subject]:
    """Yield all networks; the weights of those that are trained here are kept in torch's folder of downloads."""
    for info in list_models():
        if info.source == "shipped":
            yield _shipped(info.name, data)
    for name, (shapes, answer) in TRAINED_HERE.items():
        yield _trained(name, shapes(), answer, data)


def _shipped(name: str, data: Path) -> Subject:
    net = load(name, device="cpu")
    state = {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in net.module.state_dict().items()}
    layout = find_layout({key: tuple(tensor.shape) for key, tensor in state.items()})
    plain = {block.shortcut_kind for block in net.blocks.values()} == {"none"}
    truth = layout.answers("no shortcut") if plain else layout.usual
    small = net.preprocessing.crop == CIFAR10.side
    return Subject(name, layout, state, truth, net.preprocessing, lambda: _cifar(data) if small else _photos(data))


def _basic(option: str, *, depth: int = 8) -> Callable[[], TensorShapes]:
    def shapes() -> TensorShapes:
        return {name: tuple(t.shape) for name, t in CifarResNet(depth, option).state_dict().items()}  # type: ignore[arg-type]

    return shapes


def _bottlenecks() -> TensorShapes:
    """Return the shapes of three stages of a bottleneck each, with 16, 32 and 64 channels inside."""
    found: TensorShapes = {"conv1.weight": (16, 3, 3, 3), "fc.weight": (10, 256), "fc.bias": (10,)} | _norm("bn1", 16)
    inputs = 16
    for stage, width in enumerate((16, 32, 64), 1):
        place, outputs = f"layer{stage}.0", 4 * width
        layers = {"conv1": (width, inputs, 1, 1), "conv2": (width, width, 3, 3), "conv3": (outputs, width, 1, 1)}
        found |= {f"{place}.{layer}.weight": shape for layer, shape in layers.items()}
        for number, channels in enumerate((width, width, outputs), 1):
            found |= _norm(f"{place}.bn{number}", channels)
        found[f"{place}.downsample.0.weight"] = (outputs, inputs, 1, 1)
        found |= _norm(f"{place}.downsample.1", outputs)
        inputs = outputs
    return found


def _norm(name: str, channels: int) -> TensorShapes:
    return {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}


# By name: the shapes, and the one answer that is not the usual one.
TRAINED_HERE: dict[str, tuple[Callable[[], TensorShapes], str]] = {
    "ResNet-8 A, LeakyReLU 0.01": (_basic("A"), "zero-pad, LeakyReLU 0.01"),
    "ResNet-8 A, zeros last": (_basic("A"), "zero-pad, zeros last"),
    "ResNet-8 B, LeakyReLU 0.01": (_basic("B"), "LeakyReLU 0.01"),
    "ResNet-8 B, LeakyReLU 0.1": (_basic("B"), "LeakyReLU 0.1"),
    "ResNet-8 B, GELU": (_basic("B"), "GELU"),
    "ResNet-8 B, SiLU": (_basic("B"), "SiLU"),
    "ResNet-8 B, average pool before the projection": (_basic("B"), "average pool before the projection"),
    "ResNet-11 of bottlenecks, stride in the first 1x1 convolution": (_bottlenecks, "stride in the first 1x1 convolution"),
}


def _trained(name: str, shapes: TensorShapes, answer: str, data: Path) -> Subject:
    layout = find_layout(shapes)
    truth = layout.answers(answer)
    kept = Path(torch.hub.get_dir()) / f"resnet-viz-doubts-{STEPS}-{name.replace(' ', '_')}.pt"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        torch.save(train(layout.module(truth), data).state_dict(), kept)
    state = torch.load(kept, weights_only=True)
    return Subject(name, layout, state, truth, layout.preprocessing, lambda: _cifar(data))


def train(network: CheckpointResNet, data: Path) -> CheckpointResNet:
    """Train a network from seeded random weights, by SGD with momentum and a learning rate that falls as a cosine."""
    network.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, generator=generator)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            nn.init.ones_(layer.weight)
        if isinstance(layer, nn.Linear | nn.BatchNorm2d) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
    optimizer = torch.optim.SGD(network.parameters(), RATE, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    images, labels = _training_images(data)
    network.train()
    for _ in range(STEPS):
        chosen = torch.randint(len(images), (BATCH,), generator=generator)
        x = transforms.normalize(images[chosen].float() / 255, list(CIFAR10.mean), list(CIFAR10.std))
        flipped = torch.where(torch.rand(BATCH, 1, 1, 1, generator=generator) < 0.5, x, x.flip(3))
        loss = F.cross_entropy(network(flipped), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


@cache
def _training_images(data: Path) -> tuple[Tensor, Tensor]:
    split = load_dataset(data, CIFAR10).train
    return split.images, split.labels


def _cifar(data: Path) -> Tensor:
    """Return training images on the scale 0 to 1, (N, 3, 32, 32)."""
    images, _ = _training_images(data)
    every = len(images) // CIFAR_IMAGES
    return images[::every][:CIFAR_IMAGES].float() / 255


@cache
def _photos(data: Path) -> Tensor:
    """Return training photos on the scale 0 to 1, at the size at which the network was trained on them, (N, 3, side, side)."""
    with tarfile.open(data / IMAGENETTE.archives[0]) as tar:
        members = [member for member in tar if member.isfile()]
        chosen = islice(members, 0, None, max(1, len(members) // PHOTOS))
        photos = [Image.open(io.BytesIO(handle.read())) for member in chosen if (handle := tar.extractfile(member))]
        return torch.stack([transforms.to_tensor(photo.convert("RGB")) for photo in photos[:PHOTOS]])


def _numbers(subject: Subject, scale: str) -> tuple[Sequence[float], Sequence[float]]:
    return SCALES[scale] or (subject.preprocessing.mean, subject.preprocessing.std)


def rescaled(subject: Subject, scale: str) -> dict[str, Tensor]:
    """Let the first convolution take pixels on another scale; exact but at the border, where zeros mean another grey."""
    mean, std = map(torch.tensor, _numbers(subject, scale))
    own_mean, own_std = torch.tensor(subject.preprocessing.mean), torch.tensor(subject.preprocessing.std)
    weight = subject.state["conv1.weight"]
    factor, shift = std / own_std, (mean - own_mean) / own_std
    moved = (weight * shift[:, None, None]).sum((1, 2, 3))
    return subject.state | {
        "conv1.weight": weight * factor[:, None, None],
        "bn1.running_mean": subject.state["bn1.running_mean"] - moved,
    }


def as_candidate(subject: Subject, state: dict[str, Tensor], truth: tuple[int, ...], scale: str) -> dict[str, Tensor]:
    """Return the tensors of the network with these answers: its norms hold what they see of training images."""
    network = subject.layout.module(truth)
    network.load_state_dict({name: tensor.clone() for name, tensor in state.items()}, assign=True)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None
    mean, std = _numbers(subject, scale)
    with torch.no_grad():
        for batch in transforms.normalize(subject.images(), list(mean), list(std)).split(64):
            network.train()(batch)
    return dict(network.eval().state_dict())
