"""The one recipe all networks of the zoo share, as data."""

from dataclasses import dataclass
from typing import Literal

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Recipe:
    """SGD with Nesterov momentum under a one-cycle schedule (Smith and Topin 2017, https://arxiv.org/abs/1708.07120).

    Augmentation as in He et al. 2015, section 4.2: 4 pixels of padding, a random crop, a random flip. `precision`
    is that of the forward pass under autocast; weights and gradients stay in float32.
    """

    epochs: int = 24
    batch_size: int = 128
    peak_learning_rate: float = 0.2
    warm_up: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 5e-4
    padding: int = 4
    seed: int = 0
    precision: Precision = "float32"
