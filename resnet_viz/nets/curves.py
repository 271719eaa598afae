"""The training curves that ship with the weights: one CSV file per network, one row per epoch.

Columns: `epoch`; mean cross-entropies `train_loss` and `test_loss`; errors `train_error` and `test_error` in [0, 1];
`learning_rate`; `seconds`; and for each block b `gradient_norm:b`, the L2 norm of the gradient of all its parameters, mean over
steps. Training figures are running means over an epoch's augmented images.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from resnet_viz import assets
from resnet_viz.nets.net import WeightsError

GRADIENT_NORM = "gradient_norm:"


def curve_file(name: str) -> Path:
    """Return the path at which a network's curve is expected."""
    return assets.CURVES_FOLDER / f"{name}.csv"


def read_curve(name: str) -> pd.DataFrame:
    """Return a network's training curve, one row per epoch; WeightsError if there is none, or if it is damaged."""
    path = curve_file(name)
    if not path.exists():
        raise WeightsError(f"This copy does not include a training curve of {name}.")
    try:
        curve = pd.read_csv(path)
        if len(curve) and curve[["epoch", "train_error", "test_error"]].notna().all(axis=None):
            return curve
    except (ValueError, KeyError):
        pass
    raise WeightsError(f"{path.name} is damaged. Restore this file, which records how the weights were trained.")


def read_curves(names: Iterable[str]) -> dict[str, pd.DataFrame]:
    """Return the curves of those networks that have one."""
    return {name: read_curve(name) for name in names if curve_file(name).exists()}


def errors_table(curves: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the errors of several networks, in [0, 1]: one row per network and epoch."""
    columns = ["epoch", "train_error", "test_error"]
    return pd.concat({name: curve[columns].set_index("epoch") for name, curve in curves.items()}, names=["network"])


def block_norms(curve: pd.DataFrame) -> pd.DataFrame:
    """Return the gradient norms alone: one row per block, first to last, and one column per epoch."""
    norms = curve.set_index("epoch").filter(like=GRADIENT_NORM)
    return norms.rename(columns=lambda column: column.removeprefix(GRADIENT_NORM)).T
