"""Every format of torch.save, and safetensors, gives the tensors bit for bit and says what else the file says."""

import argparse
import base64
import datetime as dt
import io
import logging
import pickle
import struct
import tarfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

import resnet_viz as rv
from resnet_viz.nets.checkpoints.reading import CheckpointFile, read_file
from resnet_viz.nets.checkpoints.stack_machine import MOST_STEPS
from resnet_viz.nets.cifar import CifarResNet

# Written by Python 2.7's cPickle in the layout of torch.save, with byte strings in UTF-8 and in Latin-1.
PYTHON_2 = (
    "gAKKCmz8nEb5IGqoUBkugAJN6QMugAJ9cQEoVRBwcm90b2NvbF92ZXJzaW9ucQJN6QNVCnR5cGVfc2l6ZXNxA31xBChVA2ludHEFSwRVBXNob3J0cQZLAl"
    "UEbG9uZ3EHSwR1VQ1saXR0bGVfZW5kaWFucQiIdS6AAn1xAShVBG5vdGVxAlUHZOlq4CB2dXEDVQNvcHRxBGNfX21haW5fXwpPcHRpb25zCnEFKYFxBn1x"
    "ByhVBGRhdGFxCFUPL2Rvbm7pZXMvcGhvdG9zcQlVAmxycQpHP7mZmZmZmZp1YlUFZXBvY2hxC0taVQdjbGFzc2VzcQxdcQ0oVQdjaMOodnJlcQ5VBGNoYX"
    "RxD2VVA29sZHEQKGNfX21haW5fXwpPbGQKcRFvcRJ9cRNVAXhLAXNiVQRhcmNocRRVCHJlc25ldDE4cRVVCnN0YXRlX2RpY3RxFmNjb2xsZWN0aW9ucwpP"
    "cmRlcmVkRGljdApxF11xGChdcRkoVQxjb252MS53ZWlnaHRxGmN0b3JjaC5fdXRpbHMKX3JlYnVpbGRfdGVuc29yX3YyCnEbKChVB3N0b3JhZ2VxHGN0b3"
    "JjaApGbG9hdFN0b3JhZ2UKcR1VBTk0MTAwcR5VBmN1ZGE6MHEfSwZOdFFLAEsCSwOGcSBLA0sBhnEhiWgXXXEihVJxI3RxJFJxJWVdcSYoVQRi6XRhcSdo"
    "GygoaBxoHVUFOTQyMDBxKGgfSwJOdFFLAEsChXEpSwGFcSqJaBddcSuFUnEsdHEtUnEuZWWFUnEvVQF1WAUAAADDqXTDqXEwVQFuig0AAABA6u10RtCcLJ"
    "8MdS6AAl1xAShVBTk0MTAwcQJVBTk0MjAwcQNlLgYAAAAAAAAAAACAPwAAAEAAAEBAAACAQAAAoEAAAMBAAgAAAAAAAAAAAAA/AACAvg=="
)


def saved(content: object, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def tensors_of(file: CheckpointFile, path: str = "") -> dict[str, Tensor]:
    mapping = next(mapping for mapping in file.mappings if mapping.path == path)
    return {name: stored.values() for name, stored in mapping.tensors.items()}


def assert_same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    """Equal names, types, shapes and bits, also of NaN and of zeros with a sign."""
    assert list(found) == list(wanted)
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype, name
        assert found[name].shape == tensor.shape, name
        assert found[name].is_contiguous()
        assert bits(found[name]) == bits(tensor), name


def bits(tensor: Tensor) -> bytes:
    return bytes(tensor.contiguous().flatten().view(torch.uint8).tolist()) if tensor.numel() else b""


def every_type() -> dict[str, Tensor]:
    """Tensors of every type that can be read, and views of every kind."""
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(6, 8, generator=generator)
    shared = torch.arange(12.0)
    return {
        "float64": base.double(), "float32": base, "float16": base.half(), "bfloat16": base.bfloat16(),
        "int64": torch.tensor([2**62, -1]), "int32": torch.tensor([7], dtype=torch.int32),
        "int16": torch.tensor([-3], dtype=torch.int16), "int8": torch.tensor([-128, 127], dtype=torch.int8),
        "uint8": torch.tensor([0, 255], dtype=torch.uint8), "uint16": torch.tensor([65535], dtype=torch.uint16),
        "bool": torch.tensor([True, False]), "complex64": torch.complex(base[0], base[1]),
        "float8": base.to(torch.float8_e4m3fn), "float8 of five bits": base.to(torch.float8_e5m2),
        "transposed": base.t(), "every third": shared[1::3], "part": base[2:4, 3:5], "scalar": torch.tensor(3.5),
        "empty": torch.empty(0, 4), "channels last": base.view(2, 3, 4, 2).to(memory_format=torch.channels_last),
        "special": torch.tensor([torch.nan, torch.inf, -0.0, 1e-45]), "parameter": nn.Parameter(base.clone()),
        "tied": shared, "tied too": shared.view(3, 4),
    }  # fmt: skip


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("zipped", [True, False])
def test_every_type_and_view_comes_back_bit_for_bit(protocol: int, zipped: bool) -> None:  # noqa: FBT001 - a parameter
    wanted = every_type()
    data = saved(wanted, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    file = read_file(data)
    assert file.format == ("torch.save, zip" if zipped else "torch.save, before 1.6")
    assert_same(tensors_of(file), {name: tensor.detach() for name, tensor in wanted.items()})


def test_safetensors_come_back_bit_for_bit() -> None:
    wanted = {name: tensor.detach().contiguous().clone() for name, tensor in every_type().items()}
    file = read_file(save_safetensors(wanted, {"arch": "resnet18"}))
    assert file.format == "safetensors"
    found = tensors_of(file)
    assert_same({name: found[name] for name in wanted}, wanted)
    assert file.facts.architecture == "resnet18"


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_whole_model_gives_its_state_dict(protocol: int, zipped: bool) -> None:  # noqa: FBT001 - a parameter
    model = nn.DataParallel(CifarResNet(8, "B", seed=1)).eval()
    file = read_file(saved({"net": model}, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped))
    assert_same(tensors_of(file, "net"), model.state_dict())
    assert file.mappings[0].classes["module.layer1.0.conv1"] == "torch.nn.modules.conv.Conv2d"


def test_a_file_of_python_2_is_read() -> None:
    file = read_file(base64.b64decode(PYTHON_2))
    found = tensors_of(file, "state_dict")
    assert found["conv1.weight"].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert found["b\N{REPLACEMENT CHARACTER}ta"].tolist() == [0.5, -0.25]
    assert file.facts.class_names == ("chèvre", "chat")
    assert (file.facts.architecture, file.facts.epoch) == ("resnet18", 90)
    assert file.facts.values["opt.lr"] == 0.1


def tar_file(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


class Reference:
    """What stands for a tensor in the pickle of a tar archive: a number that is resolved elsewhere."""

    def __init__(self, key: int) -> None:
        self.key = key


class ReferencePickler(pickle.Pickler):
    def persistent_id(self, value: object) -> Any:
        return value.key if isinstance(value, Reference) else None


def dumped(value: object) -> bytes:
    return pickle.dumps(value, protocol=2)


def test_the_tar_archives_of_before_0_2_are_read() -> None:
    storages = (
        dumped(1) + dumped((100, "cpu", torch.FloatStorage)) + struct.pack("<q4f", 4, 1, 2, 3, 4) + dumped([(101, 100, 2, 2)])
    )
    tensors = dumped(2) + dumped((200, 100, torch.FloatTensor)) + struct.pack("<i4x5q", 2, 2, 2, 2, 1, 0)
    tensors += dumped((201, 101, torch.FloatTensor)) + struct.pack("<i4x3q", 1, 2, 1, 0)
    content = io.BytesIO()
    ReferencePickler(content, 2).dump({"w": Reference(200), "v": Reference(201), "epoch": 3})
    file = read_file(tar_file({"storages": storages, "tensors": tensors, "pickle": content.getvalue()}))
    assert file.format == "torch.save, before 0.2"
    assert {name: tensor.tolist() for name, tensor in tensors_of(file).items()} == {"w": [[1, 2], [3, 4]], "v": [3, 4]}
    assert file.facts.epoch == 3


@pytest.fixture
def no_checksums() -> Iterator[None]:
    """Files are written without checksums, as torch.save can be told to."""
    torch.serialization.set_crc32_options(compute_crc32=False)
    yield
    torch.serialization.set_crc32_options(compute_crc32=True)


def test_numbers_that_changed_on_the_way_are_noticed() -> None:
    data = saved({"w": torch.arange(3.0)})
    turned = data.replace(struct.pack("<3f", 0, 1, 2), struct.pack("<3f", 0, 1, 4))
    with pytest.raises(rv.CheckpointError, match="data/0 do not add up to their checksum"):
        tensors_of(read_file(turned))


@pytest.mark.usefixtures("no_checksums")
def test_big_endian_numbers_are_turned_round() -> None:
    data = saved({"w": torch.arange(3.0)})
    assert data.count(b"little") == 1
    turned = data.replace(struct.pack("<3f", 0, 1, 2), struct.pack(">3f", 0, 1, 2)).replace(b"little", b"big\0\0\0")
    assert tensors_of(read_file(turned))["w"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_of_numpy_are_tensors_too(protocol: int) -> None:
    arrays = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "f": np.asfortranarray(np.arange(6.0).reshape(2, 3))}
    file = read_file(saved({"weights": arrays, "b": torch.ones(1)}, pickle_protocol=protocol))
    found = tensors_of(file, "weights")
    assert found["w"].tolist() == arrays["w"].tolist()
    assert found["f"].tolist() == arrays["f"].tolist()
    assert found["w"].dtype == torch.float32


class Experiment:
    """A class of somebody's own, as trainers put into checkpoints."""

    def __init__(self) -> None:
        self.name = "first try"
        self.logger = logging.getLogger("train")
        self.momentum = 0.9


FOREIGN: dict[str, Callable[[], Any]] = {
    "NumPy's scalars": lambda: np.float64(0.913),
    "a namespace": lambda: argparse.Namespace(lr=0.1, arch="resnet20", out=Path("/data/out")),
    "a path": lambda: Path("/data/photos"),
    "a date": lambda: dt.datetime(2026, 11, 26, tzinfo=dt.UTC),
    "a logger": lambda: logging.getLogger("train"),
    "an object": Experiment,
    "an optimizer": lambda: torch.optim.SGD([nn.Parameter(torch.ones(3))], lr=0.1, momentum=0.9),
    "a scheduler": lambda: torch.optim.lr_scheduler.StepLR(torch.optim.SGD([nn.Parameter(torch.ones(3))], lr=0.1), 30),
    "containers": lambda: (
        defaultdict(list, a=[1]),
        Counter("aab"),
        {1, 2},
        frozenset({3}),
        slice(1, 2),
        complex(1, 2),
        10**40,
    ),
    "types": lambda: (torch.float32, torch.Size([1, 2]), torch.device("cpu"), int, nn.ReLU, torch.strided),
}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("protocol", [2, 4])
def test_foreign_objects_beside_the_tensors_do_no_harm(kind: str, protocol: int) -> None:
    wanted = {"conv.weight": torch.arange(4.0).view(2, 2)}
    content = {"before": FOREIGN[kind](), "state_dict": wanted, "after": [FOREIGN[kind]()]}
    assert_same(tensors_of(read_file(saved(content, pickle_protocol=protocol)), "state_dict"), wanted)


def test_what_the_file_says_is_shown_as_plain_values() -> None:
    content = {
        "state_dict": {"w": torch.ones(1)},
        "epoch": 71,
        "best_acc1": np.float32(76.5),
        "hyper_parameters": argparse.Namespace(arch="resnet50", lr=0.1, data=Path("/x"), augment={"mixup": 0.2}),
        "mean": [0.485, 0.456, 0.406],
        "std": np.array([0.229, 0.224, 0.225]),
        "class_to_idx": {"rose": 1, "lily": 0, "tulip": 2},
        "optimizer": {"param_groups": [{"lr": 0.5}]},
        "text": "x" * 5000,
    }
    facts = read_file(saved(content)).facts
    assert (facts.architecture, facts.epoch) == ("resnet50", 71)
    assert facts.class_names == ("lily", "rose", "tulip")
    assert facts.mean == (0.485, 0.456, 0.406)
    assert facts.std == (0.229, 0.224, 0.225)
    assert facts.values["best_acc1"] == 76.5
    assert facts.values["hyper_parameters.lr"] == 0.1
    assert facts.values["hyper_parameters.augment.mixup"] == 0.2
    assert not any("optimizer." in path for path in facts.values)


def test_every_mapping_of_tensors_is_found_by_its_path() -> None:
    shared = {"w": torch.ones(2)}
    content = {"ema": {"module": {"w": torch.zeros(2)}}, "model": shared, "again": shared, "list": [{"b": torch.ones(1)}]}
    paths = [mapping.path for mapping in read_file(saved(content)).mappings]
    assert paths == ["ema.module", "model", "list.0"]


UNREADABLE: dict[str, tuple[Callable[[], Tensor], str]] = {
    "meta": (lambda: torch.ones(3, device="meta"), "meta tensor"),
    "sparse": (lambda: torch.ones(3, 3).to_sparse(), "sparse"),
    "quantised": (lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), "quantised"),
    "expanded": (lambda: torch.ones(1).expand(1000), "repeats its numbers"),
    "4-bit": (lambda: torch.zeros(2, dtype=torch.uint8).view(torch.float4_e2m1fn_x2), "float4_e2m1fn_x2 numbers"),
    "conjugated": (lambda: torch.ones(2, dtype=torch.complex64).conj(), "conjugated"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_tensor_without_plain_numbers_says_why(kind: str) -> None:
    make, sentence = UNREADABLE[kind]
    stored = read_file(saved({"w": make()})).mappings[0].tensors["w"]
    assert sentence in stored.problem
    with pytest.raises(rv.CheckpointError, match=sentence):
        stored.values()


OTHER_FILES: dict[str, tuple[bytes, str]] = {
    "gzip": (b"\x1f\x8b\x08" + bytes(50), "gzip archive"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(50), "HDF5"),
    "web page": (b"<!DOCTYPE html><html>", "web page"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(50), "an image and not a checkpoint: choose the file that holds the weights"),
    "JPEG": (b"\xff\xd8\xff\xe0" + bytes(50), "an image and not a checkpoint"),
    "WebP": (b"RIFF\x24\0\0\0WEBPVP8 " + bytes(50), "an image and not a checkpoint"),
    "nothing": (b"", "The file is empty: copy it again"),
    "another zip": (b"PK\5\6" + bytes(18), "not one that torch.save writes"),
}


@pytest.mark.parametrize("kind", OTHER_FILES)
def test_files_that_are_mistaken_for_checkpoints_are_named(kind: str) -> None:
    data, sentence = OTHER_FILES[kind]
    with pytest.raises(rv.CheckpointError, match=sentence):
        read_file(data)


def test_as_many_steps_as_the_budget_allows_are_made_and_no_more() -> None:
    with pytest.raises(rv.CheckpointError, match="No tensors"):
        read_file(b"\x80\x02" + b"N0" * (MOST_STEPS // 2 - 10) + b"N.")
    with pytest.raises(rv.CheckpointError):
        read_file(b"\x80\x02" + b"N0" * (MOST_STEPS // 2 + 10) + b"N.")
