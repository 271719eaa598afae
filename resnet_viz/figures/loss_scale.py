"""The logarithmic scale of losses over a plane: one for all planes compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from resnet_viz.analyses.activations import Array
from resnet_viz.figures.theme import Theme

SCALE = "Cividis"


@dataclass(frozen=True)
class LossScale:
    """A logarithmic scale: powers of ten from `low` to `high`, with one colour per `step`, and losses that are named on it."""

    low: float
    high: float
    step: float
    named: tuple[float, ...]

    def powers(self, loss: Array) -> Array:
        """The logarithm of the loss, limited to the scale."""
        with np.errstate(divide="ignore", invalid="ignore"):
            powers: Array = np.clip(np.log10(loss), self.low, self.high).astype(np.float32).round(3)
        return powers

    def ticks(self) -> dict[str, list[Any]]:
        """Where losses are named, and how; at the ends of the widest scale, others may lie beyond."""
        texts = [f"{loss:g}" for loss in self.named]
        if self == WIDEST:
            texts = [f"≤ {texts[0]}", *texts[1:-1], f"≥ {texts[-1]}"]
        return {"tickvals": [round(float(np.log10(loss)), 4) for loss in self.named], "ticktext": texts}

    def bar(self, theme: Theme) -> dict[str, Any]:
        """The colour bar that names them."""
        return {
            "title": {"text": "loss"},
            **self.ticks(),
            "thickness": 10,
            "outlinewidth": 0,
            "tickfont": {"color": theme.muted},
        }


# Deep plain networks leave it at both ends.
WIDEST = LossScale(-2.0, 3.0, 0.5, (0.01, 0.1, 1, 10, 100, 1000))
# A plane with a narrower range, in powers of ten, gets a scale of its own.
NARROW = 1.5


def scale_of(losses: Sequence[Array]) -> LossScale:
    """Choose the scale for all of them: the widest, or that of a narrow range within it, in steps of a tenth of a power."""
    powers = np.concatenate([WIDEST.powers(each[np.isfinite(each)]) for each in losses])
    if not len(powers) or np.ptp(powers) > NARROW or powers.min() <= WIDEST.low or powers.max() >= WIDEST.high:
        return WIDEST
    low, high = np.floor(powers.min() * 10) / 10, np.ceil(powers.max() * 10) / 10
    named = [round(digit * 10.0**power, 6) for power in range(-2, 4) for digit in (1, 2, 3, 5)]
    return LossScale(
        float(low), float(max(high, low + 0.1)), 0.1, tuple(loss for loss in named if low <= np.log10(loss) <= high)
    )
