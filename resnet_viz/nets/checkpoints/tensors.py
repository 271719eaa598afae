"""Tensors of a file that are known by type, shape and place, and become memory only when somebody asks for their values."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor

from resnet_viz.nets.checkpoints.errors import CheckpointError, damaged

MOST_DIMENSIONS = 16
LARGEST_NUMBER = 2**62


@dataclass(frozen=True)
class NumberType:
    """A type of numbers: its name, its size in bytes, torch's type, or None where its values cannot be read."""

    name: str
    size: int
    dtype: torch.dtype | None


def _types() -> dict[str, NumberType]:
    sizes = {
        "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1,
        "uint16": 2, "uint32": 4, "uint64": 8, "bool": 1, "complex64": 8, "complex128": 16,
        "float8_e4m3fn": 1, "float8_e5m2": 1, "float8_e4m3fnuz": 1, "float8_e5m2fnuz": 1, "float8_e8m0fnu": 1,
    }  # fmt: skip
    return {name: NumberType(name, size, getattr(torch, name)) for name, size in sizes.items()}


TYPES = _types()
UNKNOWN_SIZES = {"float4_e2m1fn_x2": 1, "qint8": 1, "quint8": 1, "qint32": 4, "quint4x2": 1, "quint2x4": 1, "complex32": 4}


def number_type(name: str) -> NumberType:
    """Return the type that torch calls `name`; one that is not read still has a name."""
    return TYPES.get(name) or NumberType(name, UNKNOWN_SIZES.get(name, 1), None)


@dataclass(eq=False, slots=True)
class Storage:
    """A stretch of numbers in a file that tensors are views of.

    `count` is how many numbers the file claims, `size` how many bytes it has for them: None until that is known. `read`
    returns a buffer and the position of the first byte in it.
    """

    type: NumberType
    count: int
    size: int | None = None
    read: Callable[[], tuple[bytes | bytearray | memoryview, int]] | None = None
    big_endian: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class StoredTensor:
    """A tensor in a file: a view of a storage, checked against it before anything is allocated.

    `offset` and `strides` count numbers, not bytes. `obstacle` says why the values cannot be read; without a storage there is
    always one.
    """

    type: NumberType
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    storage: Storage | None
    obstacle: str = ""

    @property
    def count(self) -> int:
        """How many numbers the tensor has."""
        return prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes of the numbers, without gaps."""
        return self.count * self.type.size

    @property
    def problem(self) -> str:
        """Why the values cannot be read, a clause about "it"; empty where they can."""
        if self.obstacle:
            return self.obstacle
        if self.type.dtype is None:
            return f"it holds {self.type.name} numbers, which are not supported"
        storage = self.storage
        if storage is None or storage.size is None or storage.read is None:
            return "its numbers are not in the file"
        if self.count and self.offset + self._reach() > storage.size // self.type.size:
            return "it claims more numbers than the file has for it"
        if self.count > storage.size // self.type.size:
            return "it repeats its numbers (an expanded tensor)"
        return ""

    def values(self) -> Tensor:
        """Return a contiguous tensor of the stored type with memory of its own; CheckpointError where there is a `problem`."""
        if self.problem:
            raise CheckpointError(f"A tensor of the checkpoint cannot be read: {self.problem}.")
        storage, dtype = self.storage, self.type.dtype
        assert storage is not None  # noqa: S101 - `problem` has said so
        assert storage.read is not None  # noqa: S101
        assert dtype is not None  # noqa: S101
        if not self.count:
            return torch.empty(self.shape, dtype=dtype)
        # Numbers are moved as raw integers, so that no bit of a NaN or of a type that numpy lacks changes.
        size = self.type.size
        unit, per_number = (size // 2, 2) if dtype.is_complex else (size, 1)
        raw = np.dtype(f"{'>' if storage.big_endian else '<'}i{unit}")
        buffer, start = storage.read()
        flat = np.frombuffer(buffer, raw, self._reach() * per_number, start + self.offset * size)
        view = np.lib.stride_tricks.as_strided(
            flat, (*self.shape, per_number), (*(stride * size for stride in self.strides), unit), writeable=False
        )
        copy = np.array(view, dtype=raw.newbyteorder("="), order="C", copy=True)
        return torch.from_numpy(copy).view(dtype).reshape(self.shape)

    def _reach(self) -> int:
        """How many numbers of the storage, from the offset on, the tensor spans."""
        return 1 + sum((length - 1) * stride for length, stride in zip(self.shape, self.strides, strict=True))


def view_of(storage: object, offset: object, shape: object, strides: object, type_: NumberType | None = None) -> StoredTensor:
    """Return the tensor that a file describes so; CheckpointError where these are no shape and strides at all."""
    if not isinstance(storage, Storage):
        raise damaged("a tensor has no storage")
    lengths, steps = _counts(shape), _counts(strides)
    start = _counts((offset,))[0]
    if len(lengths) != len(steps):
        raise damaged("a tensor has more dimensions than strides, or fewer")
    return StoredTensor(type_ or storage.type, lengths, steps, start, storage)


def unreadable(obstacle: str, type_: str = "unknown", shape: object = ()) -> StoredTensor:
    """Return a tensor whose values are not read, for the reason that `obstacle` says as a clause about "it"."""
    lengths = _counts(shape) if isinstance(shape, (tuple, list)) else ()
    return StoredTensor(number_type(type_), lengths, (0,) * len(lengths), 0, None, obstacle)


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides of a tensor without gaps, the last dimension innermost."""
    strides: list[int] = []
    step = 1
    for length in reversed(shape):
        strides.append(step)
        step *= max(1, length)
    return tuple(reversed(strides))


def _counts(values: object) -> tuple[int, ...]:
    if not isinstance(values, (tuple, list)) or len(values) > MOST_DIMENSIONS:
        raise damaged(f"a tensor's shape is not a list of at most {MOST_DIMENSIONS} numbers")
    for value in values:
        if type(value) is not int or not 0 <= value <= LARGEST_NUMBER:
            raise damaged("a tensor's shape, strides or offset are not whole numbers from 0")
    return tuple(values)
