"""What arrives is bit for bit what was sent, and nothing else is believed."""

import contextlib
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from msgspec import msgpack
from numpy.typing import NDArray
from PIL import Image

from resnet_viz.analyses.attribution import attribute
from resnet_viz.analyses.conductance import conductance
from resnet_viz.analyses.gradients import gradients
from resnet_viz.analyses.inspection import Inspection
from resnet_viz.engine.job_types import JOB_TYPES
from resnet_viz.engine.jobs import BusyError, EngineError, Job, JobCancelledError, OptionValue, Progress
from resnet_viz.engine.protocol import CATALOGUE, MOST_JOB_BYTES, Refusal, error_frame, error_of, progress_frame
from resnet_viz.engine.wire import ARRAY, WireError, decode, encode
from resnet_viz.images import ImageError
from resnet_viz.nets.net import Net, WeightsError
from resnet_viz.nets.zoo import list_models

MOST = 2**28
HEAD = 5

JOB = Job(
    "inspection", "resnet20-cifar10", "0" * 64, 3, (("block", "layer1.0"), ("steps", 4), ("x", 0.5), ("y", None)), data=b"abc"
)


class Pair(NamedTuple):
    first: int
    second: str


@dataclass(frozen=True, eq=False)
class Everything:
    """A field for every kind of value."""

    text: str
    whole: int
    number: float
    switch: bool
    choice: Literal["a", "b"]
    maybe: int | None
    raw: bytes
    floats: NDArray[np.float32]
    pixels: NDArray[np.uint8]
    pairs: tuple[Pair, ...]
    shape: tuple[int, str]
    options: dict[str, OptionValue]
    table: pd.DataFrame


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
# What 64 bits hold: more, MessagePack does not know.
whole = st.integers(-(2**63), 2**63 - 1)
floats = arrays(np.float32, array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5), elements=st.floats(width=32))
everything = st.builds(
    Everything,
    text=texts,
    whole=whole,
    number=st.floats(),
    switch=st.booleans(),
    choice=st.sampled_from(["a", "b"]),
    maybe=st.none() | whole,
    raw=st.binary(),
    floats=floats,
    pixels=arrays(np.uint8, array_shapes()),
    pairs=st.lists(st.builds(Pair, whole, texts), max_size=4).map(tuple),
    shape=st.tuples(whole, texts),
    options=st.dictionaries(texts, st.none() | st.booleans() | whole | st.floats() | texts, max_size=4),
    table=st.lists(st.tuples(texts, st.floats(), whole), max_size=4).map(
        lambda rows: pd.DataFrame(
            {
                "t": [r[0] for r in rows],
                "f": np.array([r[1] for r in rows], float),
                "i": np.array([r[2] for r in rows], np.int64),
            }
        )
    ),
)


def equal(first: Any, second: Any) -> bool:
    """Bit for bit, NaN too."""
    if isinstance(first, np.ndarray):
        return bool(first.dtype == second.dtype and first.shape == second.shape and first.tobytes() == second.tobytes())
    if isinstance(first, pd.DataFrame):
        return list(first) == list(second) and all(equal(tuple(first[name]), tuple(second[name])) for name in first)
    if isinstance(first, float):
        return struct.pack("d", first) == struct.pack("d", second) or (math.isnan(first) and math.isnan(second))
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(first[name], second[name]) for name in first)
    if isinstance(first, tuple):
        return type(first) is type(second) and len(first) == len(second) and all(map(equal, first, second))
    return type(first) is type(second) and first == second


def message(tree: object) -> bytes:
    written: bytes = msgpack.encode(tree)
    return written


def numbers(dtype: object, shape: object, data: object) -> msgpack.Ext:
    return msgpack.Ext(ARRAY, msgpack.encode((dtype, shape, data)))


@given(everything)
@settings(max_examples=50, deadline=None)
def test_every_kind_of_value_comes_back_bit_for_bit(value: Everything) -> None:
    again = decode(encode(value), Everything, MOST)
    for each in fields(Everything):
        assert equal(getattr(value, each.name), getattr(again, each.name)), each.name


def test_a_job_comes_back_with_its_picture() -> None:
    again = decode(encode(JOB), Job, MOST)
    assert again == JOB
    assert (again.data, again.public) == (JOB.data, JOB.public)


def test_an_inspection_comes_back_bit_for_bit_and_works(residual: Inspection, plain: Inspection) -> None:
    for inspection in (residual, plain, plain.keeping("layer2.0")):
        again = decode(encode(inspection), Inspection, MOST)
        assert encode(again) == encode(inspection)
        assert again.table().equals(inspection.table())
        assert again.predictions == inspection.predictions
        assert again.nbytes == inspection.nbytes


def test_other_answers_come_back_bit_for_bit(make_cifar: Callable[..., Net], make_image: Callable[..., Image.Image]) -> None:
    net, image = make_cifar("plain"), make_image()
    answers: dict[str, Any] = {
        "gradients": gradients(net, image),
        "attribution": attribute(net, image, "occlusion", window=0.5, stride=0.5),
        "conductance": conductance(net, image, steps=2),
    }
    for kind, answer in answers.items():
        hint = JOB_TYPES[kind].answer
        assert encode(decode(encode(answer), hint, MOST)) == encode(answer)
    table = decode(encode(answers["gradients"]), JOB_TYPES["gradients"].answer, MOST).parameters
    pd.testing.assert_frame_equal(table, answers["gradients"].parameters)


def test_every_kind_says_what_it_answers_and_nothing_else_is_read_as_that() -> None:
    for kind in JOB_TYPES.values():
        with pytest.raises(WireError, match="same version"):
            decode(encode(("no", "answer")), kind.answer, MOST)


def test_the_catalogue_comes_back() -> None:
    models = tuple(list_models())
    assert decode(encode(models), CATALOGUE, MOST) == models


def test_arrays_that_arrive_cannot_be_written_to() -> None:
    values = decode(encode(np.zeros(3, np.float32)), NDArray[np.float32], MOST)
    with pytest.raises(ValueError, match="read-only"):
        values[0] = 1


def test_an_array_that_is_no_block_of_memory_arrives_whole() -> None:
    sliced = np.arange(24, dtype=np.float32).reshape(4, 6).T[::2]
    assert np.array_equal(decode(encode(sliced), NDArray[np.float32], MOST), sliced)


@pytest.mark.parametrize(
    "wrong",
    [
        {"target": "3"},
        {"target": True},
        {"trained": 1},
        {"options": (("steps", [1]),)},
        {"options": (("steps",),)},
        {"data": "abc"},
        {"framing": "squash"},
    ],
)
def test_what_is_not_of_its_type_is_refused(wrong: Any) -> None:
    value = Job(**{"kind": "a", "model": "b", "image": "c"} | wrong)
    with pytest.raises(WireError, match="same version"):
        decode(encode(value), Job, MOST)


def test_an_array_of_another_type_is_refused() -> None:
    with pytest.raises(WireError):
        decode(encode(np.zeros(3)), NDArray[np.float32], MOST)


@pytest.mark.parametrize("value", [object(), np.float64(1), pd.DataFrame({"a": [1]}, index=[5]), pd.Series([1])])
def test_what_cannot_be_sent_is_said(value: object) -> None:
    with pytest.raises(TypeError, match=r"can(not)? be sent"):
        encode(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 7,
        b"\xff" * 64,
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\x91" * 100_000,
        encode(JOB)[:-3],
        encode(JOB) + b"\0",
        message([]),
        message({"kind": "inspection"}),
        message("x" * 10),
        b"\x80\x04\x95" + b"c__builtin__\neval\n" * 9,
    ],
)
def test_a_malformed_message_gets_a_sentence(data: bytes) -> None:
    with pytest.raises(WireError, match="Send it again"):
        decode(data, Job, MOST)


@pytest.mark.parametrize(
    "value",
    [
        numbers("<f4", [2], b"abcd"),
        numbers("<f4", [-1], b"abcd"),
        numbers("<f4", [2**62, 0], b""),
        numbers("<f4", [2**40], b"abcd"),
        numbers("<f4", "4", b"abcd"),
        numbers("|O", [1], b"abcdefgh"),
        numbers("<f4", [1], "abcd"),
        msgpack.Ext(ARRAY, b""),
        msgpack.Ext(2, b"abcd"),
        b"abcd",
        [1.0],
    ],
)
def test_an_array_that_lies_is_refused(value: object) -> None:
    with contextlib.suppress(WireError):
        assert decode(message(value), NDArray[np.float32], MOST).size <= 1


@pytest.mark.parametrize(
    "table", [[], 3, [["a"]], [["a", 3]], [["a", [3]]], [["a", ["x"]], ["b", ["x", "y"]]], "ab", {"a": "b"}]
)
def test_a_table_that_lies_is_refused(table: object) -> None:
    with contextlib.suppress(WireError):
        assert decode(message(table), pd.DataFrame, MOST).empty


def test_too_much_is_refused_before_it_is_read() -> None:
    with pytest.raises(WireError, match="smaller image"):
        decode(b"x" * 11, Job, 10)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_damaged_message_is_refused_or_is_a_job(data: st.DataObject) -> None:
    whole = bytearray(encode(JOB))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with contextlib.suppress(WireError):
        assert isinstance(decode(cut, Job, MOST_JOB_BYTES), Job)


leaves = st.none() | st.booleans() | whole | st.floats() | texts
trees = st.recursive(leaves, lambda leaf: st.lists(leaf) | st.dictionaries(texts, leaf))


@given(st.binary(max_size=200) | trees.map(message))
@settings(max_examples=200, deadline=None)
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        decode(data, Job, MOST_JOB_BYTES)


def test_progress_comes_back() -> None:
    for progress in (Progress(3), Progress(None, 2, 5, np.ones((2, 3), np.float32))):
        again = decode(progress_frame(progress)[HEAD:], Progress, MOST)
        assert (again.ahead, again.done, again.total) == (progress.ahead, progress.done, progress.total)
        assert equal(again.partial, progress.partial)


@pytest.mark.parametrize("kind", [ValueError, ImageError, WeightsError, BusyError, EngineError, JobCancelledError])
def test_errors_keep_their_type_and_their_words(kind: type[Exception]) -> None:
    error = error_of(decode(error_frame(kind("what to do"))[HEAD:], Refusal, MOST))
    assert type(error) is kind
    assert str(error) == "what to do"


def test_of_other_errors_nothing_is_told() -> None:
    error = error_of(decode(error_frame(KeyError("/a/secret/path"))[HEAD:], Refusal, MOST))
    assert type(error) is EngineError
    assert "secret" not in str(error)
