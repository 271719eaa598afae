"""Valid files with bytes changed at random: nothing but CheckpointError comes out."""

import io
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save as save_safetensors
from torch import nn

import resnet_viz as rv
from resnet_viz.nets.checkpoints.parts import NamedTensor
from resnet_viz.nets.checkpoints.pickles import read_pickle
from resnet_viz.nets.checkpoints.reading import read_file
from resnet_viz.nets.checkpoints.selection import select
from resnet_viz.nets.checkpoints.stack_machine import Budget
from resnet_viz.nets.checkpoints.torch_files import no_storages

STEPS = settings(deadline=None, max_examples=400, suppress_health_check=list(HealthCheck))


def saved(content: object, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


@cache
def valid_files() -> tuple[bytes, ...]:
    layers = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.Linear(2, 2))
    state = {f"module.layer1.0.{name}": tensor for name, tensor in layers.state_dict().items()}
    content = {"state_dict": state, "arch": "resnet18", "epoch": 3, "classes": ["a", "b"], "list": [(1, 2.5), b"raw", None]}
    # With checksums nearly every change would be noticed before it is interpreted.
    torch.serialization.set_crc32_options(compute_crc32=False)
    files = (
        *(saved(content, pickle_protocol=protocol) for protocol in (2, 4, 5)),
        saved(content, _use_new_zipfile_serialization=False),
        saved(layers, pickle_protocol=4, _use_new_zipfile_serialization=False),
        save_safetensors(state, {"arch": "resnet18"}),
    )
    torch.serialization.set_crc32_options(compute_crc32=True)
    return files


def try_to_open(data: bytes) -> None:
    """Go as far as the file lets: its tensors' numbers, and the search for a network."""
    message = refusal(lambda: read_numbers(data)) + refusal(lambda: select(read_file(data)))
    assert message.isprintable()
    assert len(message) < 1000


def read_numbers(data: bytes) -> None:
    for mapping in read_file(data).mappings:
        for name, stored in mapping.tensors.items():
            if not stored.problem:
                assert stored.values().shape == stored.shape
                NamedTensor(name, stored).values()


def refusal(act: Callable[[], object]) -> str:
    """Return the sentence with which something is refused, "" where it is not; whatever else is raised comes out."""
    try:
        act()
    except rv.CheckpointError as error:
        return str(error)
    return ""


@STEPS
@given(st.data())
def test_changed_bytes(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(valid_files())))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content) - 1))
        length = data.draw(st.integers(0, 4))
        content[place : place + length] = data.draw(st.binary(max_size=4))
    try_to_open(bytes(content))


@STEPS
@given(st.data())
def test_cut_and_joined_files(data: st.DataObject) -> None:
    first, second = (data.draw(st.sampled_from(valid_files())) for _ in range(2))
    begin, end = data.draw(st.integers(0, len(first))), data.draw(st.integers(0, len(second)))
    try_to_open(first[:begin] + second[end:])


OPCODES = [bytes([code]) for code in range(128, 152)] + [
    bytes([code]) for code in b"(.0125FIJKLMNPQRSTUVXabcdeghijloprtqsu)}]\x42\x43\x47"
]
ARGUMENTS = [
    b"\x00",
    b"\x01",
    b"\x02",
    b"ab",
    b"os\nsystem\n",
    b"\x01\x00\x00\x00",
    b"ctorch\nFloatStorage\n",
    b"1\n",
    b"storage",
]


@STEPS
@given(st.lists(st.sampled_from(OPCODES + ARGUMENTS), max_size=60))
def test_programs_of_random_opcodes(parts: list[bytes]) -> None:
    data = b"".join(parts) + b"."
    assert refusal(lambda: read_pickle(data, 0, len(data), no_storages, Budget())).isprintable()
