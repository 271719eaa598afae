"""New weights from a seed, the same on every device and whatever other threads draw meanwhile."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn


def initialise(module: nn.Module, seed: int) -> None:
    """Draw new weights from a separate generator, so that a seed always gives the same network, whatever other threads draw.

    Convolutions as in He et al. 2015b (https://arxiv.org/abs/1502.01852, equation 15, fan out), as in torchvision; batch norms
    1 and 0; linear layers uniform in +-1/sqrt(inputs). The numbers are drawn on the CPU and copied to the weights, so that
    every device and precision gets the same ones.
    """
    generator = torch.Generator().manual_seed(seed)

    def he(values: Tensor) -> Tensor:
        return nn.init.kaiming_normal_(values, mode="fan_out", nonlinearity="relu", generator=generator)

    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            _fill(layer.weight, he)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            if layer.affine:
                nn.init.ones_(layer.weight)
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Linear):
            bound = layer.in_features**-0.5
            uniform = partial(nn.init.uniform_, a=-bound, b=bound, generator=generator)
            _fill(layer.weight, uniform)
            if layer.bias is not None:
                _fill(layer.bias, uniform)


@torch.no_grad()
def _fill(parameter: Tensor, draw: Callable[[Tensor], Tensor]) -> None:
    if isinstance(parameter, nn.Parameter):  # A weight that is computed from others is not drawn itself.
        parameter.copy_(draw(torch.empty(parameter.shape, dtype=torch.float32, device="cpu")))
