"""The runs that ship with the app, as written by `super_resolution_record` to assets/lessons: networks, cards and curves."""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.torch import load

from resnet_viz import assets
from resnet_viz.lessons.super_resolution import FACTORS, Quality
from resnet_viz.lessons.super_resolution_nets import DESIGNS, SuperResolver, build
from resnet_viz.lessons.super_resolution_training import Trial, Trials
from resnet_viz.nets.net import WeightsError


def file(name: str, ending: str, folder: Path = assets.LESSONS_FOLDER) -> Path:
    """Return the path at which a network's "safetensors", "json" or "csv" file is expected."""
    return folder / f"super-resolution-{name}.{ending}"


@cache
def network(name: str, folder: Path = assets.LESSONS_FOLDER) -> SuperResolver:
    """Load a shipped network in evaluation mode; WeightsError if its file does not match its card."""
    about, path = card(name, folder), file(name, "safetensors", folder)
    data = path.read_bytes() if path.exists() else b""
    if data and hashlib.sha256(data).hexdigest() != about.get("sha256"):
        raise WeightsError(f"{path.name} is not the file that its card describes. Restore the file.")
    try:
        recipe = about["recipe"]
        net = build(name, recipe["depth"], recipe["channels"], recipe["factors"])
        net.load_state_dict(load(data))
    except (SafetensorError, RuntimeError, KeyError) as error:
        raise _damaged(path) from error
    return net.eval().requires_grad_(requires_grad=False)


def card(name: str, folder: Path = assets.LESSONS_FOLDER) -> dict[str, Any]:
    """Return the card of a shipped network; WeightsError if there is none."""
    path = file(name, "json", folder)
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise _damaged(path) from error
    return found


def curves(factor: int, folder: Path = assets.LESSONS_FOLDER) -> Trials:
    """Return the recorded curves of all networks for a factor; WeightsError if one is missing or damaged."""
    if factor not in FACTORS:
        raise ValueError(f"The factor {factor} is not one of {', '.join(map(str, FACTORS))}: choose one of these.")
    tables = {name: _table(name, factor, folder) for name in DESIGNS}
    steps = tables["plain"]["step"].to_numpy(np.float32)
    trials = tuple(_trial(name, table, factor, folder) for name, table in tables.items())
    return Trials(factor, card("plain", folder)["recipe"]["depth"], steps, _bicubic(factor, folder), trials)


def _bicubic(factor: int, folder: Path) -> Quality:
    return Quality(**card("plain", folder)["bicubic_on_curve"][str(factor)])


def _table(name: str, factor: int, folder: Path) -> pd.DataFrame:
    path = file(name, "csv", folder)
    try:
        return pd.read_csv(path, usecols=["step", "seconds", f"psnr_x{factor}", f"ssim_x{factor}"])
    except (OSError, ValueError) as error:
        raise _damaged(path) from error


def _trial(name: str, table: pd.DataFrame, factor: int, folder: Path) -> Trial:
    about = card(name, folder)
    return Trial(
        name,
        about["parameters"],
        about["multiply_adds_per_pixel"][str(factor)],
        table[f"psnr_x{factor}"].to_numpy(np.float32),
        float(table[f"ssim_x{factor}"].iloc[-1]),
        float(table["seconds"].iloc[-1]),
    )


def _damaged(path: Path) -> WeightsError:
    return WeightsError(f"{path.name} is missing or damaged. Restore it, or record it again.")
