"""What tensors do not say: how they are wired up, found from what the batch norms remember.

A shortcut that pads zeros has no parameters, and neither has a max pool, so that one state dict fits several networks. But each
batch norm holds the mean and variance that its input had in training (Ioffe and Szegedy 2015,
https://arxiv.org/abs/1502.03167, algorithm 2). Among the possible wirings the right one gives back statistics like those.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from PIL import Image
from torch import Tensor, nn

from resnet_viz import assets
from resnet_viz.nets.preprocessing import Preprocessing

Wiring = Literal["as saved", "zero-pad", "zero-pad, zeros last", "no shortcut", "3x3 stem", "3x3 stem, max pool"]

EPSILON = 1e-5
# Enough to tell wirings apart; more would only cost time and memory, which grow with the gallery.
IMAGES = 16


def most_plausible(candidates: Mapping[Wiring, nn.Module], preprocessing: Preprocessing) -> Wiring:
    """Name the candidate whose batch norms see most nearly what they saw in training; the first where none can tell."""
    if len(candidates) == 1:
        return next(iter(candidates))
    images = _natural_images(preprocessing)
    return min(candidates, key=lambda wiring: surprise(candidates[wiring], images))


@torch.no_grad()
def surprise(module: nn.Module, images: Tensor) -> float:
    """Mean over batch norms of how far their input's statistics are from those they remember; images (N, 3, H, W).

    Per channel |mean - running mean| / running deviation + |log(deviation / running deviation)|, limited to 10.
    """
    distances: list[Tensor] = []

    def compare(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        variance, mean = torch.var_mean(inputs[0], (0, 2, 3))
        kept_mean, kept_deviation = norm.get_buffer("running_mean"), (norm.get_buffer("running_var") + EPSILON).sqrt()
        shift = (mean - kept_mean).abs() / kept_deviation
        stretch = ((variance + EPSILON).sqrt() / kept_deviation).log().abs()
        distances.append((shift + stretch).clamp(max=10).nan_to_num(10).mean())

    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    handles = [norm.register_forward_pre_hook(compare) for norm in norms]
    try:
        module(images)
    finally:
        for handle in handles:
            handle.remove()
    return torch.stack(distances).mean().item()


def _natural_images(preprocessing: Preprocessing) -> Tensor:
    """Return part of the sample gallery as the network would see it, (N, 3, crop, crop), N at most `IMAGES`."""
    paths = sorted(assets.SAMPLES_FOLDER.glob("*.jpg")) + sorted(assets.SAMPLES_FOLDER.glob("*.png"))
    return torch.cat([preprocessing.tensor(Image.open(path)) for path in paths[:IMAGES]])
