"""The first directory of a TIFF file, which has the same format as an EXIF block: 12 bytes per tag."""

import struct


def read_directory(data: bytes) -> tuple[str, dict[int, bytes]]:
    """Return the byte order as `struct` writes it, and the 12 bytes of each entry by tag; struct.error if there are none."""
    order = "<" if data[:1] == b"I" else ">"
    (start,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, start)
    places = range(start + 2, start + 2 + 12 * count, 12)
    return order, {struct.unpack_from(order + "H", data, at)[0]: data[at : at + 12] for at in places}


def number(order: str, entry: bytes) -> int:
    """Return the single 16- or 32-bit number of an entry."""
    (kind,) = struct.unpack_from(order + "H", entry, 2)
    return int(struct.unpack_from(order + ("H" if kind == 3 else "I"), entry, 8)[0])


def count(order: str, entry: bytes) -> int:
    """Return how many values an entry has."""
    return int(struct.unpack_from(order + "I", entry, 4)[0])


def numbers(order: str, entry: bytes, data: bytes) -> list[int]:
    """Return all 16- or 32-bit numbers of an entry, from the entry or from the position in the file that it refers to."""
    code = {3: "H", 4: "I"}[struct.unpack_from(order + "H", entry, 2)[0]]
    shape = f"{order}{count(order, entry)}{code}"
    if struct.calcsize(shape) <= 4:
        return list(struct.unpack_from(shape, entry, 8))
    return list(struct.unpack_from(shape, data, struct.unpack_from(order + "I", entry, 8)[0]))
