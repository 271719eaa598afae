"""Jobs and answers as bytes: MessagePack, read with the annotations of the expected type and nothing else.

Nothing in a message names a class or a function, so a new result needs no code here. msgspec supports all types but two: an
array is sent as its number type, its shape and its bytes, a table as its columns. Floats are restored bit for bit, including
NaN.
"""

from functools import cache
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pandas as pd
from msgspec import DecodeError, ValidationError, msgpack
from numpy.typing import NDArray

Numbers = NDArray[Any]

ARRAY = 1
_MALFORMED = (DecodeError, ValidationError, ValueError, TypeError, OverflowError, RecursionError)


class WireError(ValueError):
    """A message that does not have the expected form; its own message is for the user."""


def encode(value: object) -> bytes:
    """Write dataclasses, tuples, numbers, texts, bytes, arrays, tables and None; TypeError for anything else."""
    return _ENCODER.encode(value)


def decode(data: bytes, hint: Any, most: int) -> Any:  # noqa: ANN401 - what the annotation says
    """Read a value of the annotated type; its arrays are read-only. WireError for anything else, or over `most` bytes."""
    if len(data) > most:
        raise WireError(f"The message has {len(data)} bytes, more than the limit of {most}. Send a smaller image.")
    try:
        return _decoder(hint).decode(data)
    except _MALFORMED as error:
        raise WireError(
            "The message is damaged, or from another version of this program. Send it again, and run the same version of the "
            "app and the engine."
        ) from error


@cache
def _decoder(hint: Any) -> msgpack.Decoder[Any]:  # noqa: ANN401 - any annotation
    return msgpack.Decoder(hint, dec_hook=_take, ext_hook=_array)


def _lay(value: Any) -> Any:  # noqa: ANN401 - what msgspec does not know
    """Convert an array or a table to what msgspec can write."""
    if isinstance(value, np.ndarray):
        bare = np.asarray(value, order="C")
        # An empty memory cannot be viewed as bytes.
        numbers = bare.reshape(-1).view(np.uint8).data if bare.size else b""
        return msgpack.Ext(ARRAY, _ENCODER.encode((bare.dtype.str, bare.shape, numbers)))
    if isinstance(value, pd.DataFrame):
        if not value.index.equals(pd.RangeIndex(len(value))):
            raise TypeError("Only tables with numbered rows can be sent. Reset the index.")
        return [(name, _column(column)) for name, column in value.items()]
    raise TypeError(f"A {type(value).__name__} cannot be sent. Build results from numbers, texts, arrays and tables.")


def _take(hint: Any, value: Any) -> Any:  # noqa: ANN401 - what msgspec does not know
    """Restore an array or a table from what `_lay` made of it."""
    if hint is pd.DataFrame:
        return pd.DataFrame({str(name): _read_column(column) for name, column in value})
    if get_origin(hint) is np.ndarray and isinstance(value, np.ndarray):
        wanted = np.dtype(get_args(get_args(hint)[1])[0])
        if value.dtype == wanted:
            return value
        raise ValueError(f"numbers are {value.dtype} where {wanted} is expected")
    raise ValueError(f"{type(value).__name__} where {hint} is expected")


def _array(code: int, payload: memoryview) -> Numbers:
    if code != ARRAY:
        raise ValueError(f"not an array, but {code}")
    dtype, shape, numbers = _PARTS.decode(payload)
    # A copy, because numbers in the middle of a message are not aligned.
    values: Numbers = np.frombuffer(numbers, dtype).reshape(shape).copy()
    # Answers are shared between people.
    values.flags.writeable = False
    return values


def _column(column: "pd.Series[Any]") -> Any:  # noqa: ANN401 - an array or a list
    return column.to_numpy() if column.dtype.kind in "fi" else [str(text) for text in column]


def _read_column(column: Any) -> Any:  # noqa: ANN401 - checked here
    if isinstance(column, np.ndarray) and column.ndim == 1:
        return column
    if isinstance(column, list) and all(isinstance(text, str) for text in column):
        return column
    raise ValueError("a column is neither numbers nor texts")


_ENCODER = msgpack.Encoder(enc_hook=_lay)
_PARTS: msgpack.Decoder[Any] = msgpack.Decoder(
    tuple[Literal["<f8", "<f4", "<i8", "<i4", "|u1", "|b1"], tuple[int, ...], memoryview]
)
