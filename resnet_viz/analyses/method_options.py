"""The options of the attribution methods, and the type of their results."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from resnet_viz.analyses.baselines import Baseline

CamPlace = Literal["residual", "shortcut", "output"]


@dataclass(frozen=True)
class NoOptions:
    """The options of a method without choices."""


@dataclass(frozen=True)
class BaselineOptions:
    """What the image is compared with; `seed` is for the noise."""

    baseline: Baseline = "black"
    seed: int = 0


@dataclass(frozen=True)
class PathOptions(BaselineOptions):
    """How many points on the straight line from the baseline to the image."""

    steps: int = 32


@dataclass(frozen=True)
class NoiseOptions:
    """How many noisy copies; `noise` is their standard deviation as a share of the image's range."""

    samples: int = 24
    noise: float = 0.15
    seed: int = 0


@dataclass(frozen=True)
class SampledPathOptions(NoiseOptions):
    """Random points on lines from the baseline to noisy copies of the image."""

    noise: float = 0.09
    baseline: Baseline = "black"


@dataclass(frozen=True)
class WindowOptions(BaselineOptions):
    """The side of the window and its stride, as shares of the image's side."""

    window: float = 1 / 6
    stride: float = 1 / 12


@dataclass(frozen=True)
class PlaceOptions:
    """Which block, by name (None for the last one), and which place in it: F(x), the shortcut's end, or the output."""

    block: str = ""
    place: CamPlace = "output"


@dataclass(frozen=True)
class Result:
    """Attributions (1, 3, H, W), and the baseline that they refer to, if any.

    `cells` (1, 1, h, w) is the map before it was enlarged to the pixels, for a method that works on a block's feature maps.
    """

    attributions: Tensor
    baseline: Tensor | None = None
    cells: Tensor | None = None
