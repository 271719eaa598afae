"""Shared by several test files: seeded images, networks with nothing trivially 0 or 1, and independent references."""

import functools
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_viz.analyses.inspection import Inspection, inspect
from resnet_viz.nets import imagenet
from resnet_viz.nets.cifar import CIFAR10_LABELS, CifarResNet
from resnet_viz.nets.net import Net, WeightsOrigin
from resnet_viz.nets.residual_graph import find_blocks
from resnet_viz.nets.zoo import CIFAR_PREPROCESSING, blueprint, load


@pytest.fixture(scope="session")
def make_image() -> Callable[..., Image.Image]:
    """Return `make_image(width=32, height=32, seed=0)`, an RGB image of coloured noise."""

    def make(width: int = 32, height: int = 32, seed: int = 0) -> Image.Image:
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        return Image.fromarray(pixels)

    return make


@pytest.fixture(scope="session")
def shake() -> Callable[[nn.Module, int], nn.Module]:
    """Return `shake(module, seed)`, which gives every batch norm random statistics, weights and biases."""

    @torch.no_grad()
    def fill(module: nn.Module, seed: int) -> nn.Module:
        generator = torch.Generator().manual_seed(seed)
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                assert layer.running_mean is not None
                assert layer.running_var is not None
                layer.running_mean.normal_(0, 0.2, generator=generator)
                layer.running_var.uniform_(0.5, 1.5, generator=generator)
                layer.weight.uniform_(0.5, 1.5, generator=generator)
                layer.bias.normal_(0, 0.2, generator=generator)
        return module

    return fill


@pytest.fixture(scope="session")
def make_cifar(shake: Callable[[nn.Module, int], nn.Module]) -> Callable[..., Net]:
    """Return `make_cifar(shortcut="A", depth=8, seed=0)`, a Net for 32x32 pixels."""

    def make(shortcut: Any = "A", depth: int = 8, seed: int = 0) -> Net:
        module = find_blocks(shake(CifarResNet(depth, shortcut, seed=seed), seed), (3, 32, 32))
        module.requires_grad_(requires_grad=False)
        origin = WeightsOrigin("untrained", "made in a test")
        return Net(f"{shortcut}{depth}", f"Test {shortcut}-{depth}", module, CIFAR10_LABELS, CIFAR_PREPROCESSING, origin)

    return make


@pytest.fixture(scope="session")
def make_imagenet(shake: Callable[[nn.Module, int], nn.Module]) -> Callable[[str], Net]:
    """Return `make_imagenet(name)`, the same Net each time, which sees 64x64 pixels."""

    @functools.cache
    def make(name: str) -> Net:
        module = find_blocks(shake(imagenet.build(name), 1), (3, 64, 64)).requires_grad_(requires_grad=False)
        net = blueprint(name)
        return replace(net, module=module, preprocessing=replace(net.preprocessing, resize=64, crop=64))

    return make


@pytest.fixture(scope="session")
def make_stock() -> Callable[[Net], nn.Module]:
    """Return `make_stock(net)`, a fresh model of torchvision's own with the weights of `net`."""

    def make(net: Net) -> nn.Module:
        with torch.device("meta"):
            stock: nn.Module = torchvision.models.get_model(net.name, weights=None)
        stock.load_state_dict(net.module.state_dict(), assign=True)
        return stock.eval().requires_grad_(requires_grad=False)

    return make


@pytest.fixture(scope="session")
def count_hooks() -> Callable[[nn.Module], int]:
    """Return `count_hooks(module)`, the number of hooks of every kind on a module and its children."""

    def count(module: nn.Module) -> int:
        kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
        return sum(len(getattr(layer, kind)) for layer in module.modules() for kind in kinds)

    return count


@pytest.fixture
def global_noise() -> Iterator[None]:
    """Other threads draw from the global random generator while the test runs."""
    stop = threading.Event()

    def draw() -> None:
        while not stop.is_set():
            torch.rand(16)

    threads = [threading.Thread(target=draw) for _ in range(2)]
    for thread in threads:
        thread.start()
    yield
    stop.set()
    for thread in threads:
        thread.join()


@dataclass(frozen=True, eq=False)
class ReferenceBlock:
    """One block's tensors, (1, C, H, W), computed by `CifarReference`."""

    identity: Tensor | None
    residual: Tensor
    sum: Tensor
    output: Tensor


class CifarReference:
    """He et al. 2015, section 4.2, implemented independently: weights by name and functions, no modules."""

    def __init__(self, module: nn.Module, option: str) -> None:
        self.state = module.state_dict()
        self.option = option
        self.blocks = [key.removesuffix(".conv1.weight") for key in self.state if key.endswith(".conv1.weight")]

    def stem(self, x: Tensor) -> Tensor:
        return self._bn(F.conv2d(x, self.state["conv1.weight"], padding=1), "bn1").relu()

    def block(self, name: str, to_shortcut: Tensor, to_branch: Tensor) -> ReferenceBlock:
        stride = 2 if name in ("layer2.0", "layer3.0") else 1
        hidden = F.conv2d(to_branch, self.state[f"{name}.conv1.weight"], stride=stride, padding=1)
        hidden = self._bn(hidden, f"{name}.bn1").relu()
        residual = self._bn(F.conv2d(hidden, self.state[f"{name}.conv2.weight"], padding=1), f"{name}.bn2")
        identity = self._identity(name, to_shortcut, stride)
        total = residual if identity is None else identity + residual
        return ReferenceBlock(identity, residual, total, total.relu())

    def head(self, x: Tensor) -> Tensor:
        return F.linear(x.mean((2, 3)), self.state["fc.weight"], self.state["fc.bias"])

    def logits(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for name in self.blocks:
            x = self.block(name, x, x).output
        return self.head(x)

    def _identity(self, name: str, x: Tensor, stride: int) -> Tensor | None:
        if self.option == "plain":
            return None
        if self.option == "C" or (self.option == "B" and stride == 2):
            return self._bn(F.conv2d(x, self.state[f"{name}.downsample.0.weight"], stride=stride), f"{name}.downsample.1")
        if stride == 1:
            return x
        kept = x[:, :, ::2, ::2]
        zeros = torch.zeros_like(kept[:, ::2])
        return torch.cat([zeros, kept, zeros], 1)

    def _bn(self, x: Tensor, name: str) -> Tensor:
        mean, variance = self.state[f"{name}.running_mean"], self.state[f"{name}.running_var"]
        return F.batch_norm(x, mean, variance, self.state[f"{name}.weight"], self.state[f"{name}.bias"])


@pytest.fixture(scope="session")
def cifar_reference() -> type[CifarReference]:
    """Return the class, because test files cannot import from here."""
    return CifarReference


@pytest.fixture
def twins(monkeypatch: pytest.MonkeyPatch) -> list[weakref.ref[nn.Module]]:
    """Weak references to every twin made during the test."""
    made: list[weakref.ref[nn.Module]] = []
    twin = Net.twin

    def recorded(net: Net) -> nn.Module:
        module = twin(net)
        made.append(weakref.ref(module))
        return module

    monkeypatch.setattr(Net, "twin", recorded)
    return made


@pytest.fixture(scope="session")
def inspect_noise() -> Callable[..., Inspection]:
    """Return `inspect_noise(model, seed=3)`, an untrained network of the catalogue on coloured noise."""

    def run(model: str, seed: int = 3) -> Inspection:
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        return inspect(load(model, weights=None, device="cpu"), Image.fromarray(pixels))

    return run


@pytest.fixture(scope="session")
def residual(inspect_noise: Callable[..., Inspection]) -> Inspection:
    """An inspection of a residual network."""
    return inspect_noise("resnet20-cifar10")


@pytest.fixture(scope="session")
def plain(inspect_noise: Callable[..., Inspection]) -> Inspection:
    """An inspection of a plain network of the same depth."""
    return inspect_noise("plain20-cifar10")
