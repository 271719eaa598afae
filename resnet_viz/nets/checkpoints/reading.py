"""From the bytes of a checkpoint to what it holds, without running anything that is inside.

Safetensors hold nothing but tensors and text. What `torch.save` writes is a pickle: its tensors and plain values are read by an
interpreter that imports and calls nothing, and every other object becomes an inert stand-in.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from resnet_viz.nets.checkpoints.contents import TensorMapping, find_mappings
from resnet_viz.nets.checkpoints.errors import CheckpointError
from resnet_viz.nets.checkpoints.facts import Facts, find_facts
from resnet_viz.nets.checkpoints.safetensors_files import METADATA, is_safetensors, read_safetensors
from resnet_viz.nets.checkpoints.tar_files import is_tar_file, read_tar_file
from resnet_viz.nets.checkpoints.torch_files import is_legacy_file, read_legacy_file, read_plain_pickle, read_zip_file

LIMIT = 2**30

Format = Literal["safetensors", "torch.save, zip", "torch.save, before 1.6", "torch.save, before 0.2", "pickle"]

IMAGE = "an image and not a checkpoint: choose the file that holds the weights (.pt, .pth or .safetensors)"
# How files begin that people take for checkpoints, and what they are.
OTHER_FILES: Mapping[bytes, str] = {
    b"\x1f\x8b": "a gzip archive: unpack it and give the checkpoint inside",
    b"BZh": "a bzip2 archive: unpack it and give the checkpoint inside",
    b"\xfd7zXZ": "an xz archive: unpack it and give the checkpoint inside",
    b"7z\xbc\xaf": "a 7-Zip archive: unpack it and give the checkpoint inside",
    b"Rar!": "a RAR archive: unpack it and give the checkpoint inside",
    b"\x89HDF": "an HDF5 file, as Keras writes them: save the network from PyTorch",
    b"GGUF": "a GGUF file, which holds a language model: give the checkpoint of an image network",
    b"\x93NUMPY": "a single NumPy array: save the network with torch.save",
    b"version https://git-lfs": "a Git LFS pointer, not the checkpoint itself: fetch it with `git lfs pull`",
    b"<!DOCTYPE": "a web page, not the checkpoint itself: download the file again",
    b"<!doctype": "a web page, not the checkpoint itself: download the file again",
    b"<html": "a web page, not the checkpoint itself: download the file again",
    b"\x89PNG": IMAGE,
    b"\xff\xd8\xff": IMAGE,
    b"GIF8": IMAGE,
    b"RIFF": IMAGE,
}


@dataclass(frozen=True, eq=False)
class CheckpointFile:
    """What a file holds: every mapping from names to tensors, in the file's order, and what it says about itself.

    `capacity` is how many bytes of numbers the file can hold, unpacked: tensors that claim more share them.
    """

    format: Format
    mappings: tuple[TensorMapping, ...]
    facts: Facts
    capacity: int


def read_file(data: bytes) -> CheckpointFile:
    """Return what a checkpoint of at most 1 GiB holds: safetensors, or what any version of `torch.save` wrote.

    No tensor's numbers are read yet. CheckpointError with a sentence for anything else.
    """
    if len(data) > LIMIT:
        raise CheckpointError(
            f"The checkpoint has {len(data) / 2**20:,.0f} MB, more than {LIMIT / 2**20:,.0f} MB: save only model.state_dict(),"
            " without the optimizer."
        )
    format_, content, capacity = _content(data)
    mappings = tuple(find_mappings(content))
    if not mappings:
        raise CheckpointError(
            "No tensors were found in the file: save model.state_dict(), by itself or under a key such as 'state_dict'."
        )
    said = content.get(METADATA) if format_ == "safetensors" and isinstance(content, dict) else content
    return CheckpointFile(format_, mappings, find_facts(said), capacity)


def file_bytes(source: object) -> bytes:
    """Return the bytes of a file of at most 1 GiB, or the bytes that are given; CheckpointError where there are none."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if not isinstance(source, str | os.PathLike):
        raise CheckpointError(
            f"The checkpoint is of the type {type(source).__name__}: give the path of its file, or its bytes."
        )
    path = Path(source)
    try:
        size = path.stat().st_size
        if size > LIMIT:
            raise CheckpointError(f"{path.name} has {size / 2**20:,.0f} MB: save only the weights, without the optimizer.")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CheckpointError(f"There is no checkpoint file at {source!s}. Check its name and folder.") from error
    except IsADirectoryError as error:
        raise CheckpointError(f"{source!s} is a folder. Name the checkpoint file in it.") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CheckpointError(f"{source!s} could not be read: {reason}. Check that you may read it, or copy it.") from error


def _content(data: bytes) -> tuple[Format, object, int]:
    if not data:
        raise CheckpointError("The file is empty: copy it again, or save the network again with torch.save.")
    known = next((what for beginning, what in OTHER_FILES.items() if data.startswith(beginning)), None)
    if known is not None:
        raise CheckpointError(f"The file is {known}.")
    if is_safetensors(data):
        return "safetensors", read_safetensors(data), len(data)
    if data.startswith(b"PK"):
        return "torch.save, zip", *read_zip_file(data)
    if is_tar_file(data):
        return "torch.save, before 0.2", read_tar_file(data), len(data)
    if is_legacy_file(data):
        return "torch.save, before 1.6", read_legacy_file(data), len(data)
    if not data.startswith((b"\x80", b"(", b"c", b"}", b"]")):
        raise _no_checkpoint()
    try:
        return "pickle", read_plain_pickle(data), len(data)
    except CheckpointError as error:
        raise _no_checkpoint() from error


def _no_checkpoint() -> CheckpointError:
    return CheckpointError(
        "The file cannot be read as a checkpoint: it is neither safetensors nor what torch.save writes, or it is damaged. Copy"
        " it again, or save model.state_dict() with torch.save."
    )
