"""From the bytes of a checkpoint to named tensors, without running anything that is inside.

Safetensors hold nothing but tensors. What `torch.save` writes is a pickle, which is read by `torch.load(weights_only=True)`
and never otherwise.
"""

import io
import re
import zipfile
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from resnet_viz.nets.net import WeightsError

LIMIT = 2**30
WRAPPERS = (
    "state_dict", "model_state_dict", "model_state", "model", "net_state_dict", "net", "network", "weights", "params", "module",
    "ema", "model_ema", "ema_state_dict", "state_dict_ema",
)  # fmt: skip
DEEPEST = 4


class CheckpointError(WeightsError):
    """A checkpoint that is none, or that no network here fits; the message is for the user."""


def read_tensors(data: bytes) -> dict[str, Tensor]:
    """Return the network's tensors of a safetensors file or of what `torch.save` wrote, named as the file names them.

    Wrappers such as `state_dict` are unwrapped, and what is no tensor is left out. CheckpointError for anything else.
    """
    if len(data) > LIMIT:
        raise CheckpointError(
            f"The checkpoint has {len(data) / 2**20:,.0f} MB, more than {LIMIT / 2**20:,.0f}: save the weights alone."
        )
    tensors = _safetensors(data) if _is_safetensors(data) else _unwrap(_unpickle(data))
    if not tensors:
        raise CheckpointError(
            "No tensors were found in the checkpoint: save model.state_dict(), alone or under a key such as 'state_dict'."
        )
    return tensors


def _is_safetensors(data: bytes) -> bool:
    return data[8:9] == b"{"


def _safetensors(data: bytes) -> dict[str, Tensor]:
    try:
        return load_safetensors(data)
    except (SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(f"The safetensors file is damaged ({error}): copy it again, or save it again.") from error


def _unpickle(data: bytes) -> object:
    _check_archive(data)
    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:
        # A damaged pickle can raise anything.
        raise CheckpointError(_why_refused(str(error))) from error


def _check_archive(data: bytes) -> None:
    """A small archive may unpack to any size."""
    if not data.startswith(b"PK"):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise CheckpointError("The checkpoint is damaged or was cut off: copy it again, or save it again.") from error
    if unpacked > LIMIT:
        raise CheckpointError(f"The checkpoint unpacks to {unpacked / 2**20:,.0f} MB, more than {LIMIT / 2**20:,.0f}.")
    if any("/code/" in name for name in names):
        raise CheckpointError("The file is a TorchScript program, not a checkpoint: save model.state_dict() of the network.")


def _why_refused(message: str) -> str:
    found = re.search(r"(?:GLOBAL|function|object for|instantiate) `?([\w.]+)", message)
    if found is None:
        return (
            "The file cannot be read as a checkpoint: it is neither safetensors nor what torch.save writes, or it is damaged."
        )
    return (
        f"The file holds a Python object ({found[1]}), and opening that could run code: it is not opened. Save"
        " model.state_dict() instead of the model, best as safetensors."
    )


def _unwrap(content: object) -> dict[str, Tensor]:
    """Return the first mapping that holds tensors: the content itself, or what stands under a wrapper's key."""
    for _ in range(DEEPEST):
        if not isinstance(content, Mapping):
            return {}
        tensors = _tensors(content)
        inside = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
        # A lone tensor beside a wrapper is a training script's own, for example the best accuracy.
        if inside is None or len(tensors) > len(WRAPPERS):
            return tensors
        content = inside
    return {}


def _tensors(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
