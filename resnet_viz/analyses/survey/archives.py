"""Images in a ZIP or TAR archive, read one by one without extracting anything or using a name as a path.

An archive that nobody makes by packing images is refused with a message before anything in it is used: names that lead out of
the archive, links and devices, archives inside archives, encryption, entries that overlap, and contents far larger than the
file.
"""

import bz2
import gzip
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from tarfile import InvalidHeaderError, TruncatedHeaderError  # type: ignore[attr-defined]  # its stubs lack them
from typing import IO, BinaryIO, Self, cast

from resnet_viz.analyses.survey.errors import SurveyError
from resnet_viz.images import MAX_BYTES
from resnet_viz.nets.labels import visible

# The limits of what an archive may unpack to, relative to its own size and in bytes: images are already compressed.
MOST_GROWTH, ALWAYS_ALLOWED = 20, 64 * 2**20
MOST_ENTRIES = 5_000_000
LONGEST_NAME = 400
NESTED = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".txz", ".tbz2", ".7z", ".rar", ".zst", ".jar", ".iso")
DRIVE = re.compile("[A-Za-z]:")
PACKED: dict[bytes, Callable[[BinaryIO], IO[bytes]]] = {
    b"\x1f\x8b": lambda file: cast("IO[bytes]", gzip.GzipFile(fileobj=file)),
    b"BZh": lambda file: cast("IO[bytes]", bz2.BZ2File(file)),
    b"\xfd7zXZ": lambda file: cast("IO[bytes]", lzma.LZMAFile(file)),  # noqa: SIM115 - whoever opened the file closes it
}
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, KeyError,
            NotImplementedError, RuntimeError, OverflowError, UnicodeError)  # fmt: skip
_DAMAGED_ARCHIVE = "This archive is damaged or incomplete. Download it again, or pack the images again."

ReadEntry = Callable[[], bytes]


@dataclass(frozen=True)
class ArchiveLimits:
    """How much an archive may hold; `unpacked` is in bytes, None means only the limit relative to the size of the archive."""

    entries: int = MOST_ENTRIES
    unpacked: int | None = None

    def most_bytes(self, packed: int) -> int:
        """Return how many bytes an archive of `packed` bytes may unpack to."""
        fitting = MOST_GROWTH * packed + ALWAYS_ALLOWED
        return fitting if self.unpacked is None else min(fitting, self.unpacked)


def is_archive(file: BinaryIO) -> bool:
    """Whether a file begins like a ZIP or TAR archive, compressed or not. Moves the file position to the start."""
    file.seek(0)
    start = file.read(512)
    file.seek(0)
    return start[:4] in (b"PK\3\4", b"PK\5\6") or any(start.startswith(each) for each in PACKED) or _is_tar(start)


def entries(source: Path | bytes, limits: ArchiveLimits | None = None) -> Iterator[tuple[str, ReadEntry]]:
    """Yield the name of every file and a function that reads its bytes, in the order of the archive.

    Call each function before you advance to the next entry, because a TAR archive is read from start to end. Raises SurveyError
    for an archive that is refused.
    """
    allowed = limits or ArchiveLimits()
    with _refusing_damage(), _opened(source) as file:
        if file.read(2) == b"PK":
            yield from _zip_entries(file, allowed)
        else:
            yield from _tar_entries(file, allowed)


def is_read_in_order(source: Path | bytes) -> bool:
    """Whether the contents are known only after the whole archive has been read, as with TAR."""
    with _opened(source) as file:
        return file.read(2) != b"PK"


def _zip_entries(file: BinaryIO, limits: ArchiveLimits) -> Iterator[tuple[str, ReadEntry]]:
    size = file.seek(0, 2)
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        _check_zip(infos, archive.start_dir, size, limits)
        for info in infos:
            name = _name_inside(info.filename)
            if not info.is_dir() and not _is_hidden(name):
                yield name, lambda info=info: _read_zip(archive, info)  # type: ignore[misc]  # the loop's own


def _check_zip(infos: list[zipfile.ZipInfo], directory: int, size: int, limits: ArchiveLimits) -> None:
    if len(infos) > limits.entries:
        raise SurveyError(_too_many(limits))
    unpacked = sum(info.file_size for info in infos)
    if unpacked > limits.most_bytes(size):
        raise SurveyError(_too_large(unpacked, size))
    before: zipfile.ZipInfo | None = None
    for info in sorted(infos, key=lambda each: each.header_offset):
        _check_name(info.filename, is_folder=info.is_dir())
        kind = info.external_attr >> 16
        if stat.S_ISLNK(kind) or (kind and not stat.S_ISREG(kind) and not stat.S_ISDIR(kind) and stat.S_IFMT(kind)):
            raise SurveyError(_link(info.filename))
        if info.flag_bits & 1:
            raise SurveyError("This archive is encrypted, so its images cannot be read. Pack them again without a password.")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise SurveyError(
                f"The entry {_quoted(info.filename)} is packed in a rare way that is not read here: pack the images again as an"
                " ordinary ZIP archive."
            )
        if before is not None and before.header_offset + before.compress_size > info.header_offset:
            raise SurveyError(_overlap(info.filename))
        before = info
    if before is not None and before.header_offset + before.compress_size > directory:
        raise SurveyError(_overlap(before.filename))


def _read_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Read at most one byte more than an image may have, which is enough for `open_image` to refuse it with its own message."""
    with archive.open(info) as entry:
        return entry.read(MAX_BYTES + 1)


def _tar_entries(file: BinaryIO, limits: ArchiveLimits) -> Iterator[tuple[str, ReadEntry]]:
    size = file.seek(0, 2)
    bounded = _Bounded(_unpacked(file), limits.most_bytes(size), size)
    with tarfile.open(fileobj=cast("IO[bytes]", bounded), mode="r|", tarinfo=_TarEntry) as archive:
        for number, member in enumerate(archive):
            if number >= limits.entries:
                raise SurveyError(_too_many(limits))
            _check_name(member.name, is_folder=member.isdir())
            if member.isdir():
                continue
            if not member.isreg() or member.issparse():
                raise SurveyError(_link(member.name))
            if not _is_hidden(member.name):
                content = archive.extractfile(member)
                yield _name_inside(member.name), lambda content=content: content.read(MAX_BYTES + 1) if content else b""  # type: ignore[misc]
            # Otherwise, a streamed archive keeps a record of every member.
            archive.members = []  # type: ignore[attr-defined]


class _TarEntry(tarfile.TarInfo):
    """An entry of a TAR archive. At a damaged header, `tarfile` ends as if the archive ended there; this says so."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        """Read the next header."""
        try:
            found = super().fromtarfile(tarfile)
        except (InvalidHeaderError, TruncatedHeaderError) as error:
            raise SurveyError(_DAMAGED_ARCHIVE) from error
        if found.size < 0:
            raise SurveyError(_DAMAGED_ARCHIVE)
        return found


def _is_tar(start: bytes) -> bool:
    """Whether a file begins with a header of a TAR archive: its checksum is right, also in the oldest format."""
    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError):
        # A TAR archive without entries is nothing but zeros.
        return start[257:262] == b"ustar" or start == bytes(512)
    return True


def _unpacked(file: BinaryIO) -> IO[bytes]:
    file.seek(0)
    start = file.read(8)
    file.seek(0)
    return next((unpack(file) for magic, unpack in PACKED.items() if start.startswith(magic)), file)


class _Bounded:
    """A stream that returns a limited number of bytes and then reports that the archive holds too much."""

    def __init__(self, stream: IO[bytes], most: int, packed: int) -> None:
        self._stream, self._left, self._most, self._packed = stream, most, most, packed

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise SurveyError(_too_large(self._most, self._packed))
        return data


def _check_name(name: str, *, is_folder: bool) -> None:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if len(name) > LONGEST_NAME or "\0" in name or not name:
        raise SurveyError(
            f"This archive has an entry whose name has {len(name):,} characters: pack the images again under short names."
        )
    if ".." in parts or name.startswith(("/", "\\")) or DRIVE.match(name):
        raise SurveyError(
            f"This archive has an entry whose name leads out of it, {_quoted(name)}, so it is not used: pack the folder of"
            " images itself, with names that start inside it."
        )
    if name.lower().endswith(NESTED) and not is_folder and not _is_hidden(_name_inside(name)):
        raise SurveyError(
            f"This archive holds another archive, {_quoted(name)}, and archives inside archives are not opened: pack the images"
            " themselves."
        )


def _name_inside(name: str) -> str:
    """The name of an entry as a file in a folder has it: without ./ before it, and with / where Windows has a backslash."""
    return PurePosixPath(name if "/" in name else name.replace("\\", "/")).as_posix()


def _is_hidden(name: str) -> bool:
    """Whether the entry is one of the files that operating systems add to folders."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def _too_many(limits: ArchiveLimits) -> str:
    return f"This archive has more than {limits.entries:,} entries. Split it into several archives."


def _too_large(unpacked: int, packed: int) -> str:
    return (
        f"This archive of {packed / 2**20:,.1f} MB unpacks to {unpacked / 2**20:,.0f} MB or more, far more than images that are"
        " compressed already would: pack fewer images, or save them as JPEG or PNG first."
    )


def _link(name: str) -> str:
    return (
        f"The entry {_quoted(name)} of this archive is a link or a device and not a file, so the archive is not used: pack the"
        " images themselves."
    )


def _overlap(name: str) -> str:
    return (
        f"The entry {_quoted(name)} of this archive shares its bytes with another one, which no ordinary archive does, so it is"
        " not used: pack the images again."
    )


def _quoted(name: str) -> str:
    return repr(visible(name if len(name) <= 80 else f"{name[:80]}…"))


@contextmanager
def _opened(source: Path | bytes) -> Iterator[BinaryIO]:
    if isinstance(source, bytes):
        yield BytesIO(source)
        return
    with source.open("rb") as file:
        yield file


@contextmanager
def _refusing_damage() -> Iterator[None]:
    try:
        yield
    except SurveyError:
        raise
    except MemoryError as error:
        raise SurveyError("There is not enough memory to read this archive. Split it into several archives.") from error
    except _DAMAGED as error:
        raise SurveyError(_DAMAGED_ARCHIVE) from error
