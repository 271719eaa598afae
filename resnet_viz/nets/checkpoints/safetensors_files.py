"""A safetensors file: a length, a JSON header with each tensor's type, shape and place, and the numbers.

The format is described at https://huggingface.co/docs/safetensors. Only the header is read here, so that shapes are known
before any number is copied.
"""

import json
from functools import partial
from math import prod

from resnet_viz.nets.checkpoints.errors import CheckpointError, damaged, shown
from resnet_viz.nets.checkpoints.tensors import Storage, contiguous_strides, number_type, view_of
from resnet_viz.nets.checkpoints.torch_files import at

LARGEST_HEADER = 3 * 2**20
METADATA = "__metadata__"
TYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32", "I16": "int16",
    "I8": "int8", "U8": "uint8", "U16": "uint16", "U32": "uint32", "U64": "uint64", "BOOL": "bool", "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu", "F4": "float4_e2m1fn_x2",
}  # fmt: skip


def is_safetensors(data: bytes) -> bool:
    """Whether the file begins as safetensors do."""
    return data[8:9] == b"{"


def read_safetensors(data: bytes) -> dict[str, object]:
    """Return the tensors by name, and the file's own remarks under "__metadata__"; CheckpointError for a damaged file."""
    length = int.from_bytes(data[:8], "little")
    if length > len(data) - 8:
        raise CheckpointError("The safetensors file is damaged or incomplete. Copy it again, or save it again.")
    if length > LARGEST_HEADER:
        raise CheckpointError(
            f"The safetensors file has a header of {length / 2**20:,.0f} MB, far more than a network's tensors need."
        )
    try:
        header = json.loads(data[8 : 8 + length], object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise CheckpointError("The safetensors file is damaged (its header is not JSON). Copy it again.") from error
    found: dict[str, object] = {}
    for name, described in header.items():
        # A lone surrogate cannot be written or shown.
        text = name.encode("utf-8", "replace").decode()
        found[text] = described if name == METADATA else _tensor(data, 8 + length, text, described)
    return found


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise damaged("a name stands twice in its header")
    return found


def _tensor(data: bytes, start: int, name: str, described: object) -> object:
    fields = described if isinstance(described, dict) else {}
    offsets, shape, type_ = fields.get("data_offsets"), fields.get("shape"), fields.get("dtype")
    if not isinstance(offsets, list) or len(offsets) != 2 or not isinstance(type_, str) or not isinstance(shape, list):
        raise damaged(f"the tensor {shown(name)} is not described in its header")
    first, last = offsets
    if type(first) is not int or type(last) is not int or not 0 <= first <= last <= len(data) - start:
        raise CheckpointError(
            f"The safetensors file is damaged or incomplete: the tensor {shown(name)} lies outside it. Copy it again."
        )
    numbers = number_type(TYPES.get(type_, type_[:20]))
    storage = Storage(numbers, 0, last - first, partial(at, data, start + first))
    tensor = view_of(storage, 0, shape, [0] * len(shape))
    if numbers.dtype is not None and prod(tensor.shape) * numbers.size != last - first:
        raise damaged(f"the tensor {shown(name)} has another size than its shape says")
    return view_of(storage, 0, shape, contiguous_strides(tensor.shape))
