"""Torchvision's official ImageNet weights: where their files are, and loading them without running what is inside."""

import os
import pickle
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision.models import WeightsEnum, get_model_weights

from resnet_viz.nets.net import WeightsError


def best_weights(name: str) -> WeightsEnum:
    """Return torchvision's default weights of one of the ten networks."""
    best: WeightsEnum = get_model_weights(name).DEFAULT
    return best


def weights_file(official: WeightsEnum) -> Path:
    """Say where the file is looked for: in RESNET_VIZ_WEIGHTS_DIR if that names a folder, else in torch.hub's."""
    folder = os.environ.get("RESNET_VIZ_WEIGHTS_DIR") or Path(torch.hub.get_dir()) / "checkpoints"
    return Path(folder) / str(official.url).rsplit("/", 1)[-1]


def load_official(module: nn.Module, official: WeightsEnum, title: str) -> None:
    """Put official weights into a network made on the meta device, fetching the file where it is not here.

    WeightsError if it can neither be found nor fetched, or is damaged, or is another network's.
    """
    file = weights_file(official)
    here = file.exists()
    try:
        state: dict[str, Any] = official.get_state_dict(
            progress=False, model_dir=str(file.parent), check_hash=True, weights_only=True
        )
        module.load_state_dict(state, assign=True)
    except (OSError, RuntimeError, HTTPException, EOFError, TypeError, AttributeError, pickle.UnpicklingError) as error:
        if here:
            sentence = f"{file.name} is damaged or is not the file of {title}: remove it, and fetch it again."
        else:
            sentence = (
                f"The official weights of {title} are not on this machine and could not be downloaded"
                f" ({getattr(error, 'reason', error)}). Check the network and try again, put {file.name} into the folder that"
                " RESNET_VIZ_WEIGHTS_DIR names, or take a shipped model."
            )
        raise WeightsError(sentence) from error
