"""NumPy's scalars and arrays as a pickle describes them, turned into plain numbers and stored tensors without unpickling."""

import re
from functools import partial
from math import prod

import numpy as np

from resnet_viz.nets.checkpoints.tensors import Storage, StoredTensor, contiguous_strides, number_type, view_of
from resnet_viz.nets.checkpoints.torch_files import at
from resnet_viz.nets.checkpoints.values import Span, StandIn

SCALAR = "numpy._core.multiarray.scalar"
ARRAYS = {"numpy._core.multiarray._reconstruct", "numpy._core.numeric._frombuffer", "numpy.ndarray"}
CODE = re.compile(r"[<>=|]?([fiub])([1248])")
NAMES = {"f": "float", "i": "int", "u": "uint"}
FLAG = {"b1": "bool"}


def scalar_value(stand_in: StandIn) -> bool | int | float | None:
    """Return the number of a NumPy scalar; None where it is something else."""
    arguments = stand_in.arguments
    if stand_in.name != SCALAR or not isinstance(arguments, tuple) or len(arguments) != 2:
        return None
    code, raw = _code(arguments[0]), _bytes(arguments[1])
    if code is None or raw is None or len(raw) != np.dtype(code).itemsize:
        return None
    value = np.frombuffer(raw, code)[0].item()
    return value if isinstance(value, (bool, int, float)) else None


def array_tensor(stand_in: StandIn) -> StoredTensor | None:
    """Return a NumPy array of numbers as a tensor of the file; None where it is something else."""
    described = _described(stand_in)
    if described is None:
        return None
    shape, code, raw, fortran = described
    name = FLAG.get(code[1:]) or NAMES[code[1]] + str(8 * int(code[2:]))
    if isinstance(raw, Span):
        size, read = raw.stop - raw.start, partial(at, raw.data, raw.start)
    else:
        size, read = len(raw), partial(at, raw, 0)
    type_ = number_type(name)
    if prod(shape) * type_.size != size:
        return None
    strides = tuple(reversed(contiguous_strides(tuple(reversed(shape))))) if fortran else contiguous_strides(shape)
    return view_of(Storage(type_, prod(shape), size, read, big_endian=code[0] == ">"), 0, shape, strides)


def _described(stand_in: StandIn) -> tuple[tuple[int, ...], str, bytes | Span, bool] | None:
    """Return shape, type, bytes, and whether the first dimension is the innermost."""
    state, arguments = stand_in.state, stand_in.arguments
    if stand_in.name not in ARRAYS:
        return None
    if isinstance(state, tuple) and len(state) == 5:
        _, shape, type_, fortran, raw = state
    elif isinstance(arguments, tuple) and len(arguments) == 4:
        raw, type_, shape, order = arguments
        fortran = order == "F" if isinstance(order, str) else False
    else:
        return None
    code, content = _code(type_), raw if isinstance(raw, Span) else _bytes(raw)
    if code is None or content is None or not isinstance(shape, (tuple, list)):
        return None
    if len(shape) > 8 or not all(type(length) is int and 0 <= length < 2**40 for length in shape):
        return None
    return tuple(length for length in shape if isinstance(length, int)), code, content, fortran is True


def _code(type_: object) -> str | None:
    """Return "<f4" and the like for a stand-in of a dtype of plain numbers."""
    if not isinstance(type_, StandIn) or type_.name != "numpy.dtype" or not isinstance(type_.arguments, tuple):
        return None
    name = type_.arguments[0] if type_.arguments else None
    found = CODE.fullmatch(name) if isinstance(name, str) else None
    if found is None or (found[1] == "f" and found[2] == "1") or (found[1] == "b" and found[2] != "1"):
        return None
    order = type_.state[1] if isinstance(type_.state, tuple) and len(type_.state) > 1 else "<"
    return f"{'>' if order == '>' else '<'}{found[1]}{found[2]}"


def _bytes(raw: object) -> bytes | None:
    """Python 2 has one type for text and bytes, so that bytes may have been read as text."""
    if isinstance(raw, str):
        return raw.encode()
    return raw if isinstance(raw, bytes) else None
