"""How much of the image does the centre of each block output see, through all paths and through the shortcuts alone?

Luo et al. 2016 (https://arxiv.org/abs/1701.04128): the theoretical receptive field contains every pixel that can change a
value. The effective receptive field contains the pixels that do change it; it is far smaller and lies in the centre of the
theoretical one. Here it is measured for a trained network on a given image, as the gradient of the values at the centre of a
block output with respect to the pixels. If the gradient of every branch is stopped, only the gradient through the stem and
along the shortcuts remains.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.block_outputs import recorded_outputs
from resnet_viz.analyses.theoretical_field import theoretical_widths
from resnet_viz.nets.net import Net, WeightsOrigin, check_net
from resnet_viz.progress import OnProgress

# The part of a Gaussian that is more than two standard deviations from its centre (Luo et al., section 3).
THRESHOLD = 1 - 0.9545
PROBES = 4


@dataclass(frozen=True, eq=False)
class BlockField:
    """The receptive field of the central position of one block output, in pixels of the network input.

    `theoretical` is the width of the region that can change it, for any weights: inf for the whole image, NaN if it is unknown.
    `effective` is the side of a square with as many pixels as have more than 4.55% of the largest gradient. The fields that
    begin with `shortcut` are the same along the shortcuts alone; they are 0 for a plain block, which has no shortcut. `map` and
    `shortcut_map`, float32 (H, W), are the root mean square of the gradient over the channels of the output.
    """

    name: str
    stage: int
    theoretical: float
    effective: float
    shortcut_theoretical: float
    shortcut_effective: float
    map: Array
    shortcut_map: Array


@dataclass(frozen=True, eq=False)
class ReceptiveFields:
    """The receptive fields of all blocks, first to last; `side` is the size of the network input in pixels."""

    model: str
    title: str
    weights: WeightsOrigin
    side: int
    blocks: tuple[BlockField, ...]

    @property
    def nbytes(self) -> int:
        """Memory of all arrays in bytes."""
        return sum(block.map.nbytes + block.shortcut_map.nbytes for block in self.blocks)

    def block(self, name: str) -> BlockField:
        """Return a block by its name; ValueError lists the blocks."""
        for block in self.blocks:
            if block.name == name:
                return block
        raise ValueError(f"{self.title} has no block {name!r}; it has {', '.join(block.name for block in self.blocks)}")

    def table(self) -> pd.DataFrame:
        """Return one row per block with its widths in pixels, through all paths and along the shortcuts alone."""
        columns = ("name", "stage", "theoretical", "effective", "shortcut_theoretical", "shortcut_effective")
        rows = [{column: getattr(block, column) for column in columns} for block in self.blocks]
        return pd.DataFrame(rows).rename(columns={"name": "block"}).set_index("block")


def receptive_fields(
    net: Net, image: Image.Image, probes: int = PROBES, seed: int = 0, *, on_block: OnProgress | None = None
) -> ReceptiveFields:
    """Measure how much of an image the centre of every block output sees.

    The mean square of the gradient over the channels of the output is estimated from `probes` seeded directions of +1 and -1
    over these channels. The cost is `probes` backward passes from every block, twice. `on_block(done, total)` is called after
    each block of both sweeps; an exception that it raises cancels. Raises ValueError for blocks whose output is not (N, C, H,
    W), and for fewer than 1 probe.
    """
    if probes < 1:
        raise ValueError(f"{probes} probes are too few: choose 1 or more")
    check_net(net)
    x = net.preprocess(image)
    total = 2 * len(net.blocks)

    def step(done: int) -> None:
        if on_block is not None:
            on_block(done, total)

    maps = [_map(*found, probes, seed) for found in _outputs(net, x, step, 0, shortcuts_alone=False)]
    shortcut_maps = [_map(*found, probes, seed) for found in _outputs(net, x, step, len(net.blocks), shortcuts_alone=True)]
    widths = theoretical_widths(net, shortcuts_alone=False)
    shortcut_widths = theoretical_widths(net, shortcuts_alone=True)
    blocks = tuple(
        BlockField(name, block.stage, wide, effective_width(seen), narrow, effective_width(along), seen, along)
        for (name, block), seen, along, wide, narrow in zip(
            net.blocks.items(), maps, shortcut_maps, widths, shortcut_widths, strict=True
        )
    )
    return ReceptiveFields(net.name, net.title, net.weights, x.shape[-1], blocks)


def effective_width(seen: Array) -> float:
    """Return the side of a square with as many pixels as have more than 4.55% of the largest gradient; 0 if all are 0."""
    largest = float(seen.max())
    return math.sqrt(int((seen > THRESHOLD * largest).sum())) if largest > 0 else 0.0


def _outputs(
    net: Net, x: Tensor, step: Callable[[int], None], done: int, *, shortcuts_alone: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Return every block output together with the pixels that it was computed from."""
    twin, pixels = net.twin(), x.detach().requires_grad_()
    with torch.inference_mode(mode=False), torch.enable_grad():
        with recorded_outputs(twin, shortcuts_alone=shortcuts_alone) as outputs:
            twin(pixels)
        for number, (name, output) in enumerate(zip(net.blocks, outputs, strict=True), start=done + 1):
            if output.ndim != 4:
                raise ValueError(
                    f"block {name} of {net.title} returns {'×'.join(map(str, output.shape[1:]))} numbers and not feature maps"
                    " (channels, height, width), so it has no centre: take a convolutional network"
                )
            yield output, pixels
            step(number)


def _map(output: Tensor, pixels: Tensor, probes: int, seed: int) -> Array:
    middle = output[0, :, output.shape[2] // 2, output.shape[3] // 2]
    if not middle.requires_grad:
        return np.zeros(tuple(pixels.shape[2:]), np.float32)
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros_like(pixels[0, 0])
    for _ in range(probes):
        signs = 2 * torch.randint(2, middle.shape, generator=generator, device="cpu").to(middle) - 1
        (gradient,) = torch.autograd.grad(middle, pixels, signs, retain_graph=True)
        total = total + gradient[0].square().sum(0)
    seen: Array = (total / (probes * len(middle))).sqrt().cpu().numpy()
    return seen
