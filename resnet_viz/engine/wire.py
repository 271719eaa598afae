"""Jobs and answers as bytes: only the annotated fields of a type are written, and only they are accepted.

A message is one safetensors file: every array under a number, and in its metadata the rest as JSON, in which that number refers
to the array. Nothing in it names a class or a function. The expected form of each part is known beforehand, from the
annotations of the type that is read (see forms.py): a new result needs no code here, and a message that does not match is
refused with a sentence.

safetensors instead of npz: its header states where each array lies and must fit the bytes exactly, so that a short message
cannot require much memory, as a compressed one can; and it has no pickled objects. Floats are restored bit for bit, including
NaN.
"""

import json
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from resnet_viz.engine.forms import Arrays, Numbers, WireError, form

LONGEST_HEADER = 8 * 2**20
_NUMBERS = {"F64": "float64", "F32": "float32", "I64": "int64", "I32": "int32", "U8": "uint8"}
_MALFORMED = (ValueError, TypeError, KeyError, OverflowError, RecursionError, SafetensorError)


def encode(value: object, hint: Any) -> bytes:  # noqa: ANN401 - any annotation
    """Write a value of the annotated type: dataclasses, tuples, numbers, texts, bytes, arrays, tables and None.

    Raises WireError if the value is not of that type, and TypeError for an annotation that has no form.
    """
    arrays: Arrays = {}
    tree = form(hint).lay(value, arrays)
    return save(arrays, {"tree": json.dumps(tree, separators=(",", ":"))})


def decode(data: bytes, hint: Any, most: int) -> Any:  # noqa: ANN401 - what the annotation says
    """Read a value of the annotated type; its arrays are read-only. WireError for anything else, or over `most` bytes."""
    if len(data) > most:
        raise WireError(f"The message has {len(data)} bytes, more than the limit of {most}. Send a smaller image.")
    length = int.from_bytes(data[:8], "little")
    if not 0 < length <= min(LONGEST_HEADER, len(data) - 8):
        raise WireError("The message is incomplete, or not a message of this program. Send it again.")
    try:
        tree = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["tree"])
        arrays = {name: _array(**entry) for name, entry in deserialize(data)}  # type: ignore[no-untyped-call]
        return form(hint).take(tree, arrays)
    except WireError:
        raise
    except _MALFORMED as error:
        raise WireError("The message is damaged, or from another version of this program. Send it again.") from error


def _array(dtype: str, shape: list[int], data: bytearray) -> Numbers:
    values: Numbers = np.frombuffer(data, _NUMBERS[dtype]).reshape(shape)
    # Answers are shared between people.
    values.flags.writeable = False
    return values
