"""What arrives is bit for bit what was sent, and nothing else is believed."""

import json
import math
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from PIL import Image

from resnet_viz.analyses.attribution import attribute
from resnet_viz.analyses.conductance import conductance
from resnet_viz.analyses.gradients import gradients
from resnet_viz.analyses.inspection import Inspection
from resnet_viz.engine.forms import WireError
from resnet_viz.engine.job_types import JOB_TYPES
from resnet_viz.engine.jobs import BusyError, EngineError, Job, JobCancelledError, Progress
from resnet_viz.engine.protocol import CATALOGUE, MOST_JOB_BYTES, Refusal, error_frame, error_of, progress_frame
from resnet_viz.engine.wire import LONGEST_HEADER, decode, encode
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
    """A field for every form."""

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
    options: dict[str, Any]
    table: pd.DataFrame


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
floats = arrays(np.float32, array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5), elements=st.floats(width=32))
everything = st.builds(
    Everything,
    text=texts,
    whole=st.integers(),
    number=st.floats(),
    switch=st.booleans(),
    choice=st.sampled_from(["a", "b"]),
    maybe=st.none() | st.integers(),
    raw=st.binary(),
    floats=floats,
    pixels=arrays(np.uint8, array_shapes()),
    pairs=st.lists(st.builds(Pair, st.integers(), texts), max_size=4).map(tuple),
    shape=st.tuples(st.integers(), texts),
    options=st.dictionaries(texts, st.none() | st.booleans() | st.integers() | st.floats() | texts, max_size=4),
    table=st.lists(st.tuples(texts, st.floats(), st.integers(-(2**63), 2**63 - 1)), max_size=4).map(
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


def message(tree: object, arrays: dict[str, object] | None = None, body: bytes = b"") -> bytes:
    header = json.dumps({"__metadata__": {"tree": json.dumps(tree)}} | (arrays or {})).encode()
    return len(header).to_bytes(8, "little") + header + body


@given(everything)
@settings(max_examples=50, deadline=None)
def test_every_form_comes_back_bit_for_bit(value: Everything) -> None:
    again = decode(encode(value, Everything), Everything, MOST)
    for each in fields(Everything):
        assert equal(getattr(value, each.name), getattr(again, each.name)), each.name


def test_a_job_comes_back_with_its_picture() -> None:
    again = decode(encode(JOB, Job), Job, MOST)
    assert again == JOB
    assert (again.data, again.public) == (JOB.data, JOB.public)


def test_an_inspection_comes_back_bit_for_bit_and_works(residual: Inspection, plain: Inspection) -> None:
    for inspection in (residual, plain, plain.keeping("layer2.0")):
        again = decode(encode(inspection, Inspection), Inspection, MOST)
        assert encode(again, Inspection) == encode(inspection, Inspection)
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
        assert encode(decode(encode(answer, hint), hint, MOST), hint) == encode(answer, hint)
    table = decode(encode(answers["gradients"], JOB_TYPES["gradients"].answer), JOB_TYPES["gradients"].answer, MOST).parameters
    pd.testing.assert_frame_equal(table, answers["gradients"].parameters)


def test_every_kind_says_what_it_answers_and_that_has_a_form() -> None:
    for kind in JOB_TYPES.values():
        with pytest.raises(WireError, match="same version"):
            encode(object(), kind.answer)


def test_the_catalogue_comes_back() -> None:
    models = tuple(list_models())
    assert decode(encode(models, CATALOGUE), CATALOGUE, MOST) == models


def test_arrays_that_arrive_cannot_be_written_to() -> None:
    values = decode(encode(np.zeros(3, np.float32), NDArray[np.float32]), NDArray[np.float32], MOST)
    with pytest.raises(ValueError, match="read-only"):
        values[0] = 1


def test_an_array_that_is_no_block_of_memory_arrives_whole() -> None:
    sliced = np.arange(24, dtype=np.float32).reshape(4, 6).T[::2]
    assert np.array_equal(decode(encode(sliced, NDArray[np.float32]), NDArray[np.float32], MOST), sliced)


@pytest.mark.parametrize(
    "wrong",
    [
        JOB.kind,
        {"target": "3"},
        {"target": True},
        {"trained": 1},
        {"options": (("steps", [1]),)},
        {"options": (("steps",),)},
        {"data": "abc"},
        {"framing": "squash"},
    ],
)
def test_what_is_not_of_its_type_is_not_sent(wrong: Any) -> None:
    value = wrong if isinstance(wrong, str) else Job(**{"kind": "a", "model": "b", "image": "c"} | wrong)
    with pytest.raises(WireError, match="same version"):
        encode(value, Job)


def test_an_array_of_another_type_is_not_sent() -> None:
    with pytest.raises(WireError):
        encode(np.zeros(3), NDArray[np.float32])


def test_a_type_without_a_form_is_said() -> None:
    with pytest.raises(TypeError, match="no form"):
        encode(object(), object)


TREE: list[object] = ["a", "b", "c", 1, [], True, "", "crop", "0", False]
F32 = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 7,
        b"\xff" * 64,
        (2**40).to_bytes(8, "little") + b"{}",
        message(["a"] * 10)[:-3],
        message([]),
        message({"kind": "inspection"}),
        message("x" * 10),
        message([[]] * 10),
        message(TREE),
        message(TREE, {"0": F32}, b"abcd"),
        message(TREE, {"0": {"dtype": "U8", "shape": [2**40], "data_offsets": [0, 1]}}, b"a"),
        message(TREE, {"0": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}, b"ab"),
        message([*TREE[:3], "1", *TREE[4:]], {"0": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}),
        b"\x80\x04\x95" + b"c__builtin__\neval\n" * 9,
    ],
)
def test_a_malformed_message_gets_a_sentence(data: bytes) -> None:
    with pytest.raises(WireError, match=r"[:,] .*\.?"):
        decode(data, Job, MOST)


def test_nesting_without_end_gets_a_sentence() -> None:
    header = json.dumps({"__metadata__": {"tree": "[" * 100_000}}).encode()
    with pytest.raises(WireError):
        decode(len(header).to_bytes(8, "little") + header, Job, MOST)


def test_a_number_without_end_gets_a_sentence() -> None:
    header = json.dumps({"__metadata__": {"tree": "9" * 10_000}}).encode()
    with pytest.raises(WireError):
        decode(len(header).to_bytes(8, "little") + header, int, MOST)


def test_too_much_is_refused_before_it_is_read() -> None:
    with pytest.raises(WireError, match="smaller picture"):
        decode(b"x" * 11, Job, 10)
    with pytest.raises(WireError, match="cut off"):
        decode((LONGEST_HEADER + 1).to_bytes(8, "little") + b" " * (LONGEST_HEADER + 1), Job, MOST)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_damaged_message_is_refused_or_is_a_job(data: st.DataObject) -> None:
    whole = bytearray(encode(JOB, Job))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with suppress(WireError):
        assert isinstance(decode(cut, Job, MOST_JOB_BYTES), Job)


@given(st.binary(max_size=200) | st.recursive(st.none() | st.booleans() | st.floats() | texts, st.lists).map(message))
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
