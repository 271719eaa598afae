"""The input of the contestants: a network with seeded random weights, ours and its package's own, and one seeded image."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
import timm
from PIL import Image
from torch import Tensor, nn
from torchvision.models import get_model

from resnet_viz.nets.families.timm import PREFIX
from resnet_viz.nets.net import Net
from resnet_viz.nets.zoo import load


@dataclass(frozen=True, eq=False)
class ExampleRun:
    """`stock` is the package's own network with the weights of `net`; `x` is `image` after preprocessing, (1, 3, 224, 224)."""

    net: Net
    stock: nn.Module
    image: Image.Image
    x: Tensor
    target: int

    @property
    def stock_blocks(self) -> dict[str, nn.Module]:
        """The blocks of `stock` by our names, first to last."""
        return {name: self.stock.get_submodule(name) for name in self.net.blocks}


def make_subject(name: str = "resnet50", seed: int = 0) -> ExampleRun:
    """Build the networks on the CPU; the image has the size after resizing, so that only the crop remains."""
    net = load(name, weights=None, device="cpu", seed=seed)
    stock = _stock(name)
    stock.load_state_dict(net.module.state_dict())
    stock.eval().requires_grad_(requires_grad=False)
    image = picture(net.preprocessing.resize, seed)
    x = net.preprocess(image)
    return ExampleRun(net, stock, image, x, int(stock(x).argmax()))


def _stock(name: str) -> nn.Module:
    """Build the network as its own package does."""
    plain = name.removeprefix(PREFIX)
    module: nn.Module = get_model(name, weights=None) if plain == name else timm.create_model(plain, pretrained=False)
    return module


def picture(size: int, seed: int = 0) -> Image.Image:
    """Draw a square RGB image with a spectrum that falls as 1 / frequency, like that of photographs."""
    noise = np.random.default_rng(seed).standard_normal((size, size, 3))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))
    frequency[0, 0] = np.inf
    drawn = np.fft.ifft2(np.fft.fft2(noise, axes=(0, 1)) / frequency[..., None], axes=(0, 1)).real
    return Image.fromarray(np.clip(128 + 50 * drawn / drawn.std(), 0, 255).astype(np.uint8))


def jpeg_file(size: int, seed: int) -> bytes:
    """Return `picture` as the bytes of a JPEG file."""
    buffer = BytesIO()
    picture(size, seed).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
