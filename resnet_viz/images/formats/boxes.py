"""The boxes of an ISO base media file (ISO/IEC 14496-12): a length, a name of four letters, and nested boxes or values."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from resnet_viz.images.formats.stripped import check_count

_MAX_BOXES = 4_096  # at one level; a photo of 48 megapixels has 192 tiles
_MAX_PLACES = 16_384  # of all items
_MAX_META = 1 << 20  # bytes of a meta box but for its data: more than 5,000 items


@dataclass(frozen=True)
class Box:
    """A box's name, and the start and end of its content; `header` is the start of the box itself."""

    name: bytes
    start: int
    end: int
    header: int = 0


@dataclass
class Items:
    """The coded and derived images of a file, by number."""

    primary: int = 0
    kinds: dict[int, bytes] = field(default_factory=dict)
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    places: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    derived: dict[int, list[int]] = field(default_factory=dict)
    auxiliary: list[tuple[int, int]] = field(default_factory=list)


def children(data: bytes, parent: Box, skip: int = 0) -> Iterator[Box]:
    """Iterate over the boxes in a box, after the first `skip` bytes; ValueError for one that ends outside it."""
    at, seen = parent.start + skip, 0
    while at + 8 <= parent.end:
        length, name = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, start)
            start += 8
        end = at + length if length else parent.end
        if not start <= end <= parent.end:
            raise ValueError("a box that ends outside its parent")
        seen += 1
        check_count(seen, _MAX_BOXES, "boxes")
        yield Box(name, start, end, at)
        at = end


def read_items(data: bytes, meta: Box) -> Items:
    """Read the information of a meta box about the images of a file."""
    items, found = Items(), {box.name: box for box in children(data, meta, 4)}
    check_count(sum(box.end - box.start for name, box in found.items() if name != b"idat"), _MAX_META, "bytes of metadata")
    items.primary = _number(data, found[b"pitm"])
    for box in children(data, found[b"iinf"], 4 + (4 if data[found[b"iinf"].start] else 2)):
        number, _, kind = _at(data, box.start + 4, ">HH4s" if data[box.start] == 2 else ">IH4s")
        items.kinds[number] = kind
    _read_sizes(data, found[b"iprp"], items)
    _read_places(data, found[b"iloc"], items, found.get(b"idat"))
    if b"iref" in found:
        _read_references(data, found[b"iref"], items)
    return items


def _at(data: bytes, place: int, shape: str) -> tuple[int, int, bytes]:
    first, second, third = struct.unpack_from(shape, data, place)
    return first, second, third


def _number(data: bytes, box: Box) -> int:
    """Return an item's number, 16 bits in version 0 of a box and 32 bits later."""
    return int(struct.unpack_from(">I" if data[box.start] else ">H", data, box.start + 4)[0])


def _read_sizes(data: bytes, properties: Box, items: Items) -> None:
    parts = list(children(data, properties))
    every = [prop for box in parts if box.name == b"ipco" for prop in children(data, box)]
    for box in parts:
        if box.name != b"ipma":
            continue
        wide_item, wide_index = data[box.start] > 0, data[box.start + 3] & 1
        (entries,) = struct.unpack_from(">I", data, box.start + 4)
        at = box.start + 8
        for _ in range(entries):
            if at >= box.end:
                raise ValueError("a list of properties that ends outside its box")
            item, count = struct.unpack_from(">IB" if wide_item else ">HB", data, at)
            at += 5 if wide_item else 3
            for index in struct.unpack_from(f">{count}{'H' if wide_index else 'B'}", data, at):
                place = (index & (0x7FFF if wide_index else 0x7F)) - 1
                if 0 <= place < len(every) and every[place].name == b"ispe":
                    items.sizes[item] = struct.unpack_from(">II", data, every[place].start + 4)
            at += count * (2 if wide_index else 1)


def _read_places(data: bytes, box: Box, items: Items, inside: Box | None) -> None:
    version, at = data[box.start], box.start + 4
    widths = [data[at] >> 4, data[at] & 15, data[at + 1] >> 4, data[at + 1] & 15 if version else 0]
    offset_width, length_width, base_width, index_width = widths
    wide = version == 2
    (count,) = struct.unpack_from(">I" if wide else ">H", data, at + 2)
    at += 6 if wide else 4

    def take(width: int) -> int:
        nonlocal at
        if at + width > box.end:
            raise ValueError("a list of places that ends outside its box")
        value = int.from_bytes(data[at : at + width], "big")
        at += width
        return value

    seen = 0
    for _ in range(count):
        item = take(4 if wide else 2)
        construction = take(2) & 15 if version else 0
        take(2)
        base = take(base_width) + (inside.start if construction == 1 and inside else 0)
        places = []
        for _ in range(take(2)):
            seen += 1
            check_count(seen, _MAX_PLACES, "places")
            take(index_width)
            start = base + take(offset_width)
            length = take(length_width) or len(data) - start
            places.append((start, min(start + length, len(data))))
        items.places[item] = places


def _read_references(data: bytes, box: Box, items: Items) -> None:
    code = "I" if data[box.start] else "H"
    for reference in children(data, box, 4):
        item, count = struct.unpack_from(f">{code}H", data, reference.start)
        others = struct.unpack_from(f">{count}{code}", data, reference.start + struct.calcsize(f">{code}H"))
        if reference.name == b"dimg":
            items.derived[item] = list(others)
        elif reference.name == b"auxl":
            items.auxiliary += [(item, other) for other in others]
