"""Files that try to execute something, or to use all memory or time, are refused within limits, and nothing is executed."""

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save as save_safetensors
from torch import Tensor

from resnet_viz.nets.cifar import CifarResNet

State = dict[str, Tensor]
ROOT = Path(__file__).parents[1]
MOST_SECONDS = 2
MOST_MEMORY = 200
COMMAND = "touch resnet_viz_ran_this"


def saved(content: object, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def state() -> State:
    return dict(CifarResNet(8, "B").state_dict())


def archive(pickled: bytes, *storages: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    """Replace the pickle of torch.save by one written by hand."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        file.writestr("archive/data.pkl", pickled)
        for index, storage in enumerate(storages):
            file.writestr(f"archive/data/{index}", storage)
    return buffer.getvalue()


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)


def numbers(*values: int) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(shape: tuple[int, ...], strides: tuple[int, ...], count: int, key: str = "0") -> bytes:
    """Return the opcodes of a float32 tensor that views a storage of `count` numbers."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + number(count) + b"tQ"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(0) + numbers(*shape) + numbers(*strides) + b"\x89}tR"


def mapping(*entries: tuple[bytes, bytes]) -> bytes:
    return b"\x80\x02}(" + b"".join(key + value for key, value in entries) + b"u."


class Call:
    """Pickles as a call of any function with any arguments."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


class Restored:
    """Pickles as an object that is given a state."""

    def __init__(self) -> None:
        self.command = COMMAND

    def __setstate__(self, state: object) -> None:
        os.system(COMMAND)  # noqa: S605 - never called


def beside(evil: object, protocol: int = 2, **options: Any) -> bytes:
    """A valid checkpoint, except for one entry."""
    return saved({"state_dict": state(), "epoch": evil}, pickle_protocol=protocol, **options)


def by_hand(opcodes: bytes) -> bytes:
    """The same entry written by hand, in a file that has no tensors."""
    return archive(b"\x80\x02" + opcodes + b".")


RUN = b"cos\nsystem\n"
ARGUMENT = text(COMMAND) + b"\x85"

OPENED: dict[str, Callable[[], bytes]] = {
    **{f"a call, protocol {p}": partial(beside, Call(os.system, COMMAND), p) for p in range(2, 6)},
    "a call in a file of before 1.6": lambda: beside(Call(os.system, COMMAND), _use_new_zipfile_serialization=False),
    "a state": lambda: beside(Restored()),
    "eval": lambda: beside(Call(eval, f"__import__('os').system({COMMAND!r})")),
    "a call inside a call": lambda: beside(Call(getattr, Call(__import__, "os"), "system")),
    "torch.load": lambda: beside(Call(torch.load, "/etc/passwd")),
    "a storage from bytes": lambda: beside(Call(torch.storage._load_from_bytes, pickle.dumps(Call(os.system, COMMAND)))),
    "a class with a file of its source": lambda: saved(CifarResNet(8, "B"), _use_new_zipfile_serialization=False),
    "a layout": lambda: beside(Call(torch.serialization._get_layout, "torch.strided")),
    "a subclass": lambda: beside(Call(torch._tensor._rebuild_from_type_v2, os.system, torch.Tensor, (COMMAND,), {})),
    "a parameter of a call": lambda: beside(Call(torch._utils._rebuild_parameter, Call(os.system, COMMAND), 1, {})),
    "bytes of any size": lambda: beside(Call(bytearray, 3_000_000_000)),
    "a range": lambda: beside(Call(list, Call(range, 10**9))),
}

NOTHING: dict[str, Callable[[], bytes]] = {
    "REDUCE": lambda: by_hand(RUN + ARGUMENT + b"R"),
    "NEWOBJ": lambda: by_hand(RUN + ARGUMENT + b"\x81"),
    "NEWOBJ_EX": lambda: by_hand(RUN + ARGUMENT + b"}\x92"),
    "INST": lambda: by_hand(b"(" + text(COMMAND) + b"ios\nsystem\n"),
    "OBJ": lambda: by_hand(b"(" + RUN + text(COMMAND) + b"o"),
    "STACK_GLOBAL": lambda: by_hand(text("os") + text("system") + b"\x93" + ARGUMENT + b"R"),
    "BUILD": lambda: by_hand(RUN + text(COMMAND) + b"b"),
    "EXT1": lambda: by_hand(b"\x82\x01" + ARGUMENT + b"R"),
    "BINPERSID": lambda: by_hand(RUN + ARGUMENT + b"RQ"),
    "PERSID": lambda: by_hand(b"P/etc/passwd\n"),
    "a storage's name that is a path": lambda: archive(mapping((text("w"), tensor((1,), (1,), 1, "../../../../etc/passwd")))),
    "no container": lambda: pickle.dumps(Call(os.system, COMMAND)),
    "no container, protocol 0": lambda: pickle.dumps(Call(os.system, COMMAND), protocol=0),
    "TorchScript": lambda: archive(b"\x80\x02}.").replace(b"archive/data.pkl", b"archive/code/pkl"),
}


def nested_keys(depth: int) -> bytes:
    """Return a dict whose key is a tuple of a tuple twice, of a tuple twice ...: hashing that takes 2**depth steps."""
    return by_hand(b"})" + b"2\x86" * depth + b"Ns")


def network_of(shape_of_head: tuple[int, int], strides: tuple[int, int]) -> bytes:
    """Return a network with its head replaced by one that is written by hand."""
    content = state()
    entries, storages = [], []
    for index, (name, value) in enumerate(content.items()):
        if name == "fc.weight":
            entries.append((text(name), tensor(shape_of_head, strides, 1, str(index))))
            storages.append(bytes(4))
        else:
            value = value.float().contiguous()  # noqa: PLW2901
            entries.append((text(name), tensor(tuple(value.shape), value.stride(), value.numel(), str(index))))
            storages.append(value.numpy().tobytes())
    return archive(mapping(*entries), *storages)


def many_blocks() -> bytes:
    stages = (f"layer{stage}.{block}.conv1.weight" for stage in (1, 2, 3) for block in range(3000))
    weight = tensor((16, 16, 3, 3), (144, 9, 3, 1), 2304)
    others = ("conv1.weight", "layer1.0.conv2.weight"), weight
    names = [*others[0], *stages]
    head = (text("fc.weight"), tensor((10, 64), (64, 1), 2304))
    return archive(mapping(*((text(name), weight) for name in names), head), bytes(4 * 2304))


def shared_numbers() -> bytes:
    """A network whose tensors are all views of the same few numbers."""
    shapes = {name: tuple(value.shape) for name, value in CifarResNet(308, "B", seed=None).state_dict().items()}
    entries = []
    for name, shape in shapes.items():
        strides = torch.empty(shape, device="meta").stride()
        entries.append((text(name), tensor(shape, strides, 40_000)))
    return archive(mapping(*entries), bytes(160_000))


def colliding_integers() -> bytes:
    """Keys that all have the same hash, were they numbers."""
    keys = ((k * (2**61 - 1)).to_bytes(11, "little") for k in range(100_000))
    return by_hand(b"}(" + b"".join(b"\x8a\x0b" + key + b"N" for key in keys) + b"u")


def one_storage_unpacked_often() -> bytes:
    """Twelve thousand tensors of one number each that are views of one large compressed storage."""
    count = 25 * 2**20
    names = (f"layer1.{index}.conv1.weight" for index in range(10_000))
    entries = ((text(name), tensor((1,), (1,), count)) for name in names)
    return archive(mapping(*entries), bytes(4 * count), method=zipfile.ZIP_DEFLATED)


def safetensors_header(header: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header


def module_of_modules() -> bytes:
    """A module that holds another twice, which holds another twice ..."""
    layer = b"cm\nLayer\n)\x81}" + text("_parameters") + b"}" + text("w") + tensor((1,), (1,), 1) + b"ss"
    for _ in range(38):
        child = layer + b"b" if layer.endswith(b"s") else layer
        # The child goes into the memo and is put under two names.
        layer = child + b"q\x010cm\nLayer\n)\x81}" + text("_modules") + b"}(" + text("a") + b"h\x01" + text("b") + b"h\x01usb"
    return archive(b"\x80\x02" + layer + b".", bytes(4))


def overlapping_entries() -> bytes:
    """An archive whose list names the same entry ten thousand times over."""
    data = archive(mapping((text("w"), tensor((1,), (1,), 1))), bytes(4))
    end = data.rindex(b"PK\5\6")
    start = data.index(b"PK\1\2")
    entry = data[start:end][: 46 + len("archive/data.pkl")]
    count = 60_000
    tail = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(entry) * count, start, 0)
    return data[:start] + entry * count + tail


BOUNDED: dict[str, Callable[[], bytes]] = {
    "tuples as keys, depth 30": lambda: nested_keys(30),
    "tuples as keys, depth 60": lambda: nested_keys(60),
    "bytearray of 3 GB": lambda: by_hand(b"cbuiltins\nbytearray\n" + number(3 * 10**9) + b"\x85R"),
    "BYTEARRAY8 of 3 GB": lambda: by_hand(b"\x96" + struct.pack("<Q", 3 * 10**9)),
    "LONG4 of 2 GB": lambda: by_hand(b"\x8b" + struct.pack("<i", 2**31 - 1)),
    "LONG4 of 5 MB": lambda: by_hand(b"\x8b" + struct.pack("<i", 5_000_000) + b"\x7f" * 5_000_000),
    "digits": lambda: by_hand(b"L" + b"9" * 500_000 + b"L\n"),
    "memo far away": lambda: by_hand(b"Nr" + struct.pack("<I", 2**32 - 1)),
    "an expanded head": lambda: network_of((8_000_000, 64), (0, 0)),
    "a head beyond its storage": lambda: network_of((10, 64), (64, 1)),
    "a head of no classes": lambda: network_of((0, 64), (64, 1)),
    "a head of 2**60 classes": lambda: network_of((2**60, 64), (64, 1)),
    "negative strides": lambda: network_of((10, 64), (-64, 1)),
    "3,000 blocks in each stage": many_blocks,
    "all tensors share their numbers": shared_numbers,
    "200,000 keys of one storage": lambda: saved(dict.fromkeys(map(str, range(200_000)), torch.zeros(1)) | {}),
    "200,000 tensors of one storage": lambda: archive(
        mapping(*((text(f"w{index}"), tensor((1,), (1,), 1)) for index in range(200_000))), bytes(4)
    ),
    "a prefix 120,000 times": lambda: saved({"module." * 120_000 + name: value for name, value in list(state().items())[:5]}),
    "a prefix 30 times": lambda: saved({"module." * 30 + name: value for name, value in state().items()}),
    "a name of 5 MB": lambda: saved({"n" * 5_000_000: torch.zeros(1)}),
    "a name of 5 MB in safetensors": lambda: save_safetensors({"n" * 5_000_000: torch.zeros(1)}),
    "3 million dicts": lambda: by_hand(b"}" * 3_000_000),
    "3 million lists": lambda: by_hand(b"]" * 3_000_000),
    "3 million marks": lambda: by_hand(b"(" * 3_000_000),
    "3 million short texts": lambda: by_hand(b"\x8c\x02ab" * 3_000_000),
    "3 million objects": lambda: by_hand(b"cm\nC\nq\x010" + b"h\x01)\x81" * 1_000_000),
    "copies of a dict": lambda: by_hand(
        b"ccollections\nCounter\nq\x010}("
        + b"".join(text(str(i)) + b"N" for i in range(50_000))
        + b"uq\x020"
        + b"h\x01h\x02\x85R" * 300_000
    ),
    "copies of pairs": lambda: by_hand(
        b"ccollections\nOrderedDict\nq\x010]("
        + (text("a") + b"N\x86") * 50_000
        + b"eq\x020"
        + b"h\x01h\x02\x85R" * 300_000
    ),
    "lists in lists": lambda: by_hand(b"]" * 500_000 + b"a" * 499_999),
    "a list that holds itself": lambda: by_hand(b"]q\x01h\x01a"),
    "a dict that holds itself": lambda: by_hand(b"}q\x01" + text("a") + b"h\x01s"),
    "modules in modules": module_of_modules,
    "keys of one hash": colliding_integers,
    "an archive of equal entries": overlapping_entries,
    "a compressed storage of many tensors": one_storage_unpacked_often,
    "a compressed archive": lambda: archive(b"\x80\x02" + b"}0" * 90_000_000 + b".", method=zipfile.ZIP_DEFLATED),
    "a header of lists": lambda: safetensors_header(b'{"a":[' + b"[]," * 1_400_000 + b"[]]}"),
    "a deep header": lambda: safetensors_header(b'{"a":' + b"[" * 500_000),
    "a header of 2 GB": lambda: struct.pack("<Q", 2**31) + b"{" + bytes(100),
    "meta tensors": lambda: saved(CifarResNet(8, "B", seed=None).state_dict()),
    "weights of 1e38": lambda: saved({n: v * 0 + 1e38 if n.endswith("weight") else v for n, v in state().items()}),
    "infinity": lambda: saved(state() | {"fc.bias": torch.full((10,), torch.inf)}),
    "4-bit numbers": lambda: saved(state() | {"fc.weight": torch.zeros(10, 64).byte().view(torch.float4_e2m1fn_x2)}),
    "lone surrogates": lambda: saved({f"\ud800{name}": value for name, value in state().items()}),
    "lone surrogates in safetensors": lambda: safetensors_header(
        b'{"\\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    ) + bytes(4),
}  # fmt: skip


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[bytes], dict[str, Any]]]:
    """Return `read(data)`, which reads in another process and returns what happened there."""
    folder = tmp_path_factory.mktemp("hostile")
    path = folder / "file"
    path.write_bytes(saved(OrderedDict(state())))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, str(ROOT / "tests" / "checkpoint_reader.py"), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    pipes = child.stdin, child.stdout

    def ask(data: bytes) -> dict[str, Any]:
        path.write_bytes(data)
        pipes[0].write(f"{path}\n")
        pipes[0].flush()
        answer: dict[str, Any] = json.loads(pipes[1].readline())
        assert [entry.name for entry in folder.iterdir()] == ["file"]
        return answer

    yield ask
    pipes[0].close()
    child.kill()
    child.wait()
    pipes[1].close()


@pytest.mark.parametrize("case", OPENED)
def test_a_checkpoint_opens_and_what_stands_beside_it_does_not_run(read: Callable[[bytes], dict[str, Any]], case: str) -> None:
    answer = read(OPENED[case]())
    assert answer["outcome"] == "opened CIFAR ResNet-8 B"
    assert answer["events"] == []


@pytest.mark.parametrize("case", NOTHING)
def test_no_opcode_runs_anything(read: Callable[[bytes], dict[str, Any]], case: str) -> None:
    answer = read(NOTHING[case]())
    assert answer["outcome"].startswith("refused: ")
    assert answer["events"] == []


@pytest.mark.parametrize("case", BOUNDED)
def test_refusals_take_bounded_time_and_memory(read: Callable[[bytes], dict[str, Any]], case: str) -> None:
    data = BOUNDED[case]()
    answer = read(data)
    assert answer["outcome"].startswith(("refused: ", "opened "))
    assert answer["events"] == []
    assert len(answer["outcome"]) < 500
    assert answer["outcome"].isprintable()
    assert answer["seconds"] < MOST_SECONDS
    assert answer["memory"] < MOST_MEMORY + len(data) / 2**20
    if case not in ("lone surrogates", "a prefix 30 times"):
        assert answer["outcome"].startswith("refused: ")


def test_the_reader_would_see_what_runs(read: Callable[[bytes], dict[str, Any]]) -> None:
    """The hook sees an unpickler that does what the files ask for, so its silence in other tests means something."""
    script = f"import pickle; pickle.loads({pickle.dumps(Call(os.getcwd))!r})"
    hook = "import sys; seen = []; sys.addaudithook(lambda event, _: seen.append(event))"
    code = f"{hook}; {script}; print('pickle.find_class' in seen)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "True"  # noqa: S603
    assert read(saved(state()))["outcome"] == "opened CIFAR ResNet-8 B"
