"""The files that torch.save writes, taken apart: what the pickle says, and where the numbers are.

Since 1.6 a zip archive: `NAME/data.pkl`, and an entry for each storage. Before, or with `_use_new_zipfile_serialization=False`,
five pickles and then the storages, one behind the other.
"""

from functools import partial

from resnet_viz.nets.checkpoints.errors import CheckpointError, damaged
from resnet_viz.nets.checkpoints.pickles import read_pickle
from resnet_viz.nets.checkpoints.stack_machine import Budget
from resnet_viz.nets.checkpoints.tensors import NumberType, Storage, number_type
from resnet_viz.nets.checkpoints.values import Global, StandIn
from resnet_viz.nets.checkpoints.zip_archives import read_archive

MAGIC = 0x1950A86A20F9469CFC6C
PICKLE_NAME = "/data.pkl"
STORAGES = {
    "Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64", "Int": "int32",
    "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool", "Untyped": "uint8", "ComplexFloat": "complex64",
    "ComplexDouble": "complex128", "QInt8": "qint8", "QUInt8": "quint8", "QInt32": "qint32", "QUInt4x2": "quint4x2",
    "QUInt2x4": "quint2x4",
}  # fmt: skip


def read_zip_file(data: bytes) -> tuple[object, int]:
    """Return what the pickle in a zip archive describes, and how many bytes the archive has, unpacked.

    CheckpointError for an archive that torch.save did not write.
    """
    archive = read_archive(data)
    pickles = sorted((name for name in archive.entries if name.endswith(PICKLE_NAME)), key=len)
    if any("/code/" in name for name in archive.entries):
        raise CheckpointError(
            "The file is a TorchScript program: what it computes is code in the file, which is not run. Save"
            " model.state_dict() of the network."
        )
    if not pickles:
        raise CheckpointError(
            "The file is a zip archive, but not one that torch.save writes (it has no data.pkl): give the checkpoint itself."
        )
    root = pickles[0].removesuffix("data.pkl")
    big_endian = False
    if f"{root}byteorder" in archive.entries:
        buffer, start = archive.find(archive.entries[f"{root}byteorder"])
        big_endian = buffer[start : start + 3] == b"big"
    storages: dict[str, Storage] = {}

    def resolve(identifier: object) -> object:
        type_, key, count, _ = _storage_id(identifier)
        if key not in storages:
            entry = archive.entries.get(f"{root}data/{key}")
            storage = storages[key] = Storage(type_, count, big_endian=big_endian)
            if entry is not None:
                storage.size, storage.read = entry.size, partial(archive.find, entry)
        return _as_type(storages[key], type_, count)

    entry = archive.entries[pickles[0]]
    buffer, start = archive.find(entry)
    content, _ = read_pickle(buffer, start, start + entry.size, resolve, Budget())
    return content, len(data) + archive.unpacked


def is_legacy_file(data: bytes) -> bool:
    """Whether the file begins with torch's magic number as a pickle of any protocol writes it."""
    return MAGIC.to_bytes(10, "little") in data[:40] or str(MAGIC).encode() in data[:60]


def read_legacy_file(data: bytes) -> object:
    """Return what the object's pickle describes, in a file of five pickles with the storages behind them."""
    budget, stop = Budget(), len(data)
    position, system = 0, None
    for _ in range(3):
        system, position = read_pickle(data, position, stop, no_storages, budget)
    big_endian = isinstance(system, dict) and system.get("little_endian") is False
    storages: dict[str, Storage] = {}

    def resolve(identifier: object) -> object:
        if isinstance(identifier, tuple) and len(identifier) > 1 and identifier[0] == "module":
            # The class of a whole model, with its source code, which stays unread.
            return identifier[1]
        type_, key, count, view = _storage_id(identifier)
        if key not in storages:
            budget.spend(2)
            storages[key] = Storage(type_, count, big_endian=big_endian)
        root = storages[key]
        return root if view is None else _part(root, view)

    content, position = read_pickle(data, position, stop, resolve, budget)
    keys, position = read_pickle(data, position, stop, no_storages, budget)
    _place(data, position, keys, storages)
    return content


def read_plain_pickle(data: bytes) -> object:
    """Return what a pickle without any container describes."""
    return read_pickle(data, 0, len(data), no_storages, Budget())[0]


def _place(data: bytes, position: int, keys: object, storages: dict[str, Storage]) -> None:
    """Find each storage's bytes: its length as a number of eight bytes, and then its numbers."""
    if not isinstance(keys, list):
        raise damaged("the list of its storages is missing")
    for key in keys:
        storage = storages.get(key) if isinstance(key, str) else None
        if storage is None or position + 8 > len(data):
            raise damaged("a storage in it belongs to no tensor, or is missing")
        count = int.from_bytes(data[position : position + 8], "big" if storage.big_endian else "little")
        size = count * storage.type.size
        position += 8
        if position + size > len(data):
            raise damaged("its last storages are missing")
        storage.size, storage.read = size, partial(at, data, position)
        position += size


def at(data: bytes | bytearray | memoryview, position: int) -> tuple[bytes | bytearray | memoryview, int]:
    """Return where a storage's bytes are, to be bound to the two arguments and called when they are wanted."""
    return data, position


def no_storages(identifier: object) -> object:
    """Resolve a persistent id where there is nothing that it could name."""
    del identifier
    return StandIn("a persistent id")


def _storage_id(identifier: object) -> tuple[NumberType, str, int, object]:
    """Return type, key, number of numbers and view of a storage's id, as both kinds of file write it."""
    if not isinstance(identifier, tuple) or len(identifier) not in (5, 6) or identifier[0] not in ("storage", b"storage"):
        raise damaged("an object in it is identified in a way that torch.save does not use")
    type_, key, count = identifier[1], identifier[2], identifier[4]
    if not isinstance(type_, Global) or not isinstance(key, (str, int)) or type(count) is not int or count < 0:
        raise damaged("a storage in it has no type, no name or no length")
    return storage_type(type_), str(key), count, identifier[5] if len(identifier) == 6 else None


def storage_type(class_: Global) -> NumberType:
    """Return the numbers that a storage of a class such as torch.FloatStorage or torch.cuda.HalfStorage holds."""
    name = class_.name.rpartition(".")[2]
    return number_type(STORAGES.get(name.removesuffix("Storage"), name) if name.endswith("Storage") else name)


def _as_type(storage: Storage, type_: NumberType, count: int) -> Storage:
    """The same bytes may be named a second time as numbers of another type."""
    if storage.type == type_:
        return storage
    return Storage(type_, count, storage.size, storage.read, big_endian=storage.big_endian)


def _part(root: Storage, view: object) -> Storage:
    """Old files have storages that are parts of others; only the trivial part, all of it, is known to have been written."""
    if isinstance(view, (tuple, list)) and len(view) == 3 and view[1] == 0 and view[2] == root.count:
        return root
    return Storage(root.type, 0)
