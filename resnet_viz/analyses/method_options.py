"""The options of the attribution methods, and the type of their results."""

import math
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any, Literal

from torch import Tensor

from resnet_viz.analyses.baselines import Baseline
from resnet_viz.analyses.whole_numbers import is_whole

# The points of a line are the roots of a polynomial of this degree, for which memory and time grow fast. Random samples only
# take long, and can be stopped.
MOST = {"steps": 2_000, "samples": 1_000_000}

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


def check_options(options: type[Any], given: dict[str, Any]) -> None:
    """Check that numbers are numbers; ValueError names the option and the kind of value that it takes."""
    defaults = {field.name: field.default for field in fields(options)}
    for name, value in given.items():
        default = defaults[name]
        if isinstance(default, int) and not is_whole(value):
            raise ValueError(f"{name}={value!r} is no whole number: choose one, such as {name}={default}")
        if isinstance(default, float) and not (isinstance(value, Real) and math.isfinite(value)):
            raise ValueError(f"{name}={value!r} is no finite number: choose one, such as {name}={default:.3g}")


def checked_count(name: str, count: int) -> int:
    """Return a number of "steps" or "samples"; ValueError for one that is not whole, too small or too large."""
    if not is_whole(count):
        raise ValueError(f"{name}={count!r} is no whole number: choose 1 to {MOST[name]:,}")
    if count < 1:
        raise ValueError(f"{name}={count} is too few: choose 1 or more")
    if count > MOST[name]:
        raise ValueError(f"{name}={count:,} is too many: choose at most {MOST[name]:,}")
    return count
