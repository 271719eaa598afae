"""The training curves that ship beside weights: a CSV file a network, a row an epoch.

Columns: `epoch`; mean cross-entropies `train_loss` and `test_loss`; errors `train_error` and `test_error` in [0, 1];
`learning_rate`; `seconds`; and for each block b `gradient_norm:b`, the L2 norm of the gradient of all its parameters, mean over
steps. Training figures are running means over an epoch's augmented images.
"""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from resnet_viz import assets
from resnet_viz.nets.net import WeightsError

GRADIENT_NORM = "gradient_norm:"


def curve_file(name: str) -> Path:
    """Say where a network's curve is looked for."""
    return assets.CURVES_FOLDER / f"{name}.csv"


def read_curve(name: str) -> pd.DataFrame:
    """Return a network's training curve, a row an epoch; WeightsError where there is none, or a damaged one."""
    path = curve_file(name)
    if not path.exists():
        raise WeightsError(f"No training curve of {name} is shipped with this copy.")
    try:
        curve = pd.read_csv(path)
        if len(curve) and curve[["epoch", "train_error", "test_error"]].notna().all(axis=None):
            return curve
    except (ValueError, KeyError):
        pass
    raise WeightsError(f"{path.name} is damaged: restore the training curve, which says how the weights came about.")


def read_curves(names: Iterable[str]) -> dict[str, pd.DataFrame]:
    """Return the curves of those of the networks that have one."""
    return {name: read_curve(name) for name in names if curve_file(name).exists()}


def block_norms(curve: pd.DataFrame) -> pd.DataFrame:
    """Return the gradient norms alone: a row a block, first to last, and a column an epoch."""
    norms = curve.set_index("epoch").filter(like=GRADIENT_NORM)
    return norms.rename(columns=lambda column: column.removeprefix(GRADIENT_NORM)).T
