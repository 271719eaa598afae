"""A zip archive's list of entries and their bytes, read in place: no entry is extracted and no entry's name is used as a path.

The layout is PKWARE's (https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, sections 4.3.7 to 4.3.16). What torch.save
writes is stored without compression; archives that were packed again are read within a bound on what they unpack to.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct

from resnet_viz.nets.checkpoints.errors import CheckpointError, damaged, shown

MOST_ENTRIES = 100_000
MOST_UNPACKED = 150 * 2**20

END = Struct("<4s4H2IH")
END_64 = Struct("<4sQ2H2I4Q")
LOCATOR_64 = Struct("<4sIQI")
CENTRAL = Struct("<4s6H3I5H2I")
LOCAL = Struct("<4s5H3I2H")
LARGEST_COMMENT = 2**16
STORED, DEFLATED = 0, 8
ENCRYPTED = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in the archive: how it is packed, its bytes packed and unpacked, its checksum and where its header is."""

    name: str
    method: int
    packed: int
    size: int
    checksum: int
    header: int


@dataclass(frozen=True, eq=False)
class ZipArchive:
    """An archive in memory, its entries by name, and how many bytes the compressed ones among them unpack to."""

    data: bytes
    entries: dict[str, Entry]
    unpacked: int

    _found: dict[str, tuple[bytes, int]] = field(default_factory=dict)

    def find(self, entry: Entry) -> tuple[bytes, int]:
        """Return a buffer and where in it the entry's `size` bytes begin; CheckpointError for a damaged entry.

        Each entry is unpacked and checked once, however many tensors are views of it.
        """
        if entry.name not in self._found:
            self._found[entry.name] = self._checked(entry)
        return self._found[entry.name]

    def _checked(self, entry: Entry) -> tuple[bytes, int]:
        if entry.header + LOCAL.size > len(self.data):
            raise damaged(f"the entry {shown(entry.name)} lies beyond its end")
        header = LOCAL.unpack_from(self.data, entry.header)
        start = entry.header + LOCAL.size + header[9] + header[10]
        if header[0] != b"PK\3\4" or start + entry.packed > len(self.data):
            raise damaged(f"the entry {shown(entry.name)} is not where the archive says")
        content, begin = self.data, start
        if entry.method == DEFLATED:
            content, begin = _inflated(memoryview(self.data)[start : start + entry.packed], entry), 0
        # torch.save writes 0 where it is told to leave checksums out.
        if entry.checksum and zlib.crc32(memoryview(content)[begin : begin + entry.size]) != entry.checksum:
            raise damaged(f"the bytes of {shown(entry.name)} do not add up to their checksum")
        return content, begin


def _inflated(packed: memoryview, entry: Entry) -> bytes:
    try:
        content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, max(1, entry.size))
    except zlib.error as error:
        raise damaged(f"the entry {shown(entry.name)} cannot be unpacked") from error
    if len(content) != entry.size:
        raise damaged(f"the entry {shown(entry.name)} does not unpack to the size that the archive says")
    return content


def read_archive(data: bytes) -> ZipArchive:
    """Return the archive's entries; CheckpointError for one that is damaged, or would unpack to much more than its size."""
    entries = {entry.name: entry for entry in _entries(data)}
    unpacked = sum(entry.size for entry in entries.values() if entry.method != STORED)
    if unpacked > len(data) + MOST_UNPACKED:
        raise CheckpointError(
            f"The checkpoint is a compressed archive that unpacks to {unpacked / 2**20:,.0f} MB: save it with torch.save, which"
            " does not compress."
        )
    return ZipArchive(data, entries, unpacked)


def _entries(data: bytes) -> Iterator[Entry]:
    count, position, stop = _directory(data)
    if count > MOST_ENTRIES:
        raise CheckpointError(f"The checkpoint is an archive of {count:,} entries, far more than a network has tensors.")
    for _ in range(count):
        if position + CENTRAL.size > stop:
            raise damaged("the archive's list of entries breaks off")
        fields = CENTRAL.unpack_from(data, position)
        flags, method, checksum = fields[3], fields[4], fields[7]
        name_length, extra_length, comment_length = fields[10:13]
        start = position + CENTRAL.size
        name = data[start : start + name_length].decode("utf-8", "replace")
        extra = data[start + name_length : start + name_length + extra_length]
        packed, size, header = _large(extra, fields[8], fields[9], fields[16])
        if fields[0] != b"PK\1\2" or flags & ENCRYPTED or method not in (STORED, DEFLATED):
            raise damaged(f"the archive's entry {shown(name)} is encrypted, or packed in a way that torch.save does not use")
        if method == STORED and packed != size:
            raise damaged(f"the archive's entry {shown(name)} has two sizes")
        yield Entry(name, method, packed, size, checksum, header)
        position = start + name_length + extra_length + comment_length


def _directory(data: bytes) -> tuple[int, int, int]:
    """Return the number of entries, and where their list begins and ends."""
    end = data.rfind(b"PK\5\6", max(0, len(data) - END.size - LARGEST_COMMENT))
    if end < 0 or end + END.size > len(data):
        raise damaged("the end of the archive is missing")
    fields = END.unpack_from(data, end)
    count, size, start = fields[4], fields[5], fields[6]
    locator = end - LOCATOR_64.size
    if locator >= 0 and data[locator : locator + 4] == b"PK\6\7":
        place = LOCATOR_64.unpack_from(data, locator)[2]
        if place + END_64.size > len(data) or data[place : place + 4] != b"PK\6\6":
            raise damaged("the end of the archive contradicts itself")
        large = END_64.unpack_from(data, place)
        count, size, start = large[7], large[8], large[9]
    if start + size > len(data):
        raise damaged("the archive's list of entries lies beyond its end")
    return count, start, start + size


def _large(extra: bytes, packed: int, size: int, header: int) -> tuple[int, int, int]:
    """Return the three numbers, with those that do not fit into 32 bits taken from the entry's extra field."""
    position, wide = 0, b""
    while position + 4 <= len(extra):
        kind, length = (
            int.from_bytes(extra[position : position + 2], "little"),
            int.from_bytes(extra[position + 2 : position + 4], "little"),
        )
        if kind == 1:
            wide = extra[position + 4 : position + 4 + length]
        position += 4 + length
    found = []
    for value in (size, packed, header):
        if value == 2**32 - 1:
            value, wide = int.from_bytes(wide[:8], "little"), wide[8:]  # noqa: PLW2901 - the larger value stands in for it
        found.append(value)
    return found[1], found[0], found[2]
