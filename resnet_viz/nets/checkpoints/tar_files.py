"""What torch.save wrote before version 0.2: a tar archive of three files, with the storages, the tensors and the pickle."""

from collections.abc import Iterator
from functools import partial
from struct import Struct

from resnet_viz.nets.checkpoints.errors import damaged
from resnet_viz.nets.checkpoints.pickles import read_pickle
from resnet_viz.nets.checkpoints.stack_machine import Budget
from resnet_viz.nets.checkpoints.tensors import MOST_DIMENSIONS, Storage, StoredTensor, view_of
from resnet_viz.nets.checkpoints.torch_files import at, no_storages, storage_type
from resnet_viz.nets.checkpoints.values import Global, StandIn

BLOCK = 512
MOST_MEMBERS = 100
LENGTH = Struct("<q")
DIMENSIONS = Struct("<i4x")


def is_tar_file(data: bytes) -> bool:
    """Whether the file begins with the header of a tar archive."""
    return data[257:262] == b"ustar"


def read_tar_file(data: bytes) -> object:
    """Return what the pickle describes; CheckpointError for an archive that torch.save did not write."""
    members = dict(_members(data))
    if not {"storages", "tensors", "pickle"} <= set(members):
        raise damaged("it is a tar archive without the three files that torch.save writes")
    budget = Budget()
    storages = _storages(data, *members["storages"], budget)
    objects: dict[str, object] = {**storages, **_tensors(data, *members["tensors"], storages, budget)}

    def resolve(identifier: object) -> object:
        if isinstance(identifier, tuple):
            return identifier[0] if identifier else None
        name = str(identifier) if isinstance(identifier, (str, int)) else ""
        return objects.get(name, StandIn("a persistent id"))

    return read_pickle(data, *members["pickle"], resolve, budget)[0]


def _members(data: bytes) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield each member's name and where its bytes begin and end."""
    position = 0
    for _ in range(MOST_MEMBERS):
        header = data[position : position + BLOCK]
        if len(header) < BLOCK or not header[0]:
            return
        try:
            size = int(header[124:136].strip(b"\0 ") or b"0", 8)
        except ValueError as error:
            raise damaged("a size in the tar archive is no number") from error
        start = position + BLOCK
        if size < 0 or start + size > len(data):
            raise damaged("the tar archive breaks off")
        yield header[:100].split(b"\0")[0].decode("utf-8", "replace").removeprefix("./"), (start, start + size)
        position = start + -(-size // BLOCK) * BLOCK


def _storages(data: bytes, position: int, stop: int, budget: Budget) -> dict[str, Storage]:
    count, position = _count(data, position, stop, budget)
    found: dict[str, Storage] = {}
    for _ in range(count):
        described, position = read_pickle(data, position, stop, no_storages, budget)
        if not isinstance(described, tuple) or len(described) != 3 or not isinstance(described[2], Global):
            raise damaged("a storage in it is not described")
        numbers, position = _numbers(data, position, stop, 1)
        type_ = storage_type(described[2])
        size = numbers[0] * type_.size
        if numbers[0] < 0 or position + size > stop:
            raise damaged("its last storages are missing")
        found[_name(described[0])] = Storage(type_, numbers[0], size, partial(at, data, position))
        position += size
    views, _ = read_pickle(data, position, stop, no_storages, budget)
    for view in views if isinstance(views, list) else []:
        _add_view(found, view)
    return found


def _add_view(storages: dict[str, Storage], view: object) -> None:
    """A storage may be a part of another one: (its name, the other's, offset, length)."""
    if not isinstance(view, tuple) or len(view) != 4:
        raise damaged("a part of a storage is not described")
    root, offset, count = storages.get(_name(view[1])), view[2], view[3]
    if root is None or root.read is None or type(offset) is not int or type(count) is not int:
        raise damaged("a part of a storage belongs to no storage")
    if offset < 0 or count < 0 or offset + count > root.count:
        raise damaged("a part of a storage is larger than the whole")
    buffer, start = root.read()
    size = root.type.size
    place = partial(at, buffer, start + offset * size)
    storages[_name(view[0])] = Storage(root.type, count, count * size, place)


def _tensors(data: bytes, position: int, stop: int, storages: dict[str, Storage], budget: Budget) -> dict[str, StoredTensor]:
    count, position = _count(data, position, stop, budget)
    found: dict[str, StoredTensor] = {}
    for _ in range(count):
        described, position = read_pickle(data, position, stop, no_storages, budget)
        if not isinstance(described, tuple) or len(described) != 3 or position + DIMENSIONS.size > stop:
            raise damaged("a tensor in it is not described")
        (dimensions,) = DIMENSIONS.unpack_from(data, position)
        if not 0 <= dimensions <= MOST_DIMENSIONS:
            raise damaged("a tensor in it has an impossible number of dimensions")
        numbers, position = _numbers(data, position + DIMENSIONS.size, stop, 2 * dimensions + 1)
        storage = storages.get(_name(described[1]))
        found[_name(described[0])] = view_of(storage, numbers[-1], numbers[:dimensions], numbers[dimensions:-1])
    return found


def _count(data: bytes, position: int, stop: int, budget: Budget) -> tuple[int, int]:
    count, position = read_pickle(data, position, stop, no_storages, budget)
    if type(count) is not int or count < 0:
        raise damaged("a number of storages or tensors in it is not a number")
    budget.spend(2 * count)
    return count, position


def _numbers(data: bytes, position: int, stop: int, count: int) -> tuple[tuple[int, ...], int]:
    end = position + LENGTH.size * count
    if end > stop:
        raise damaged("its list of tensors breaks off")
    return tuple(LENGTH.unpack_from(data, place)[0] for place in range(position, end, LENGTH.size)), end


def _name(key: object) -> str:
    if isinstance(key, (str, int)):
        return str(key)
    raise damaged("a storage or tensor in it has no name")
