"""Archives: those that people make are read, and those that nobody makes by packing images are refused with a sentence."""

import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from resnet_viz.analyses.survey.archives import ArchiveLimits, entries, is_archive
from resnet_viz.analyses.survey.errors import SurveyError
from resnet_viz.analyses.survey.running import survey
from resnet_viz.nets.net import Net
from tests.survey.pictures import classes_of, png, tar_of, zip_of


def special(kind: bytes, name: str = "x.png") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


def zip_link() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("x.png")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    return buffer.getvalue()


def encrypted() -> bytes:
    data = bytearray(zip_of({"x.png": png(0)}))
    struct.pack_into("<H", data, 6, 1)
    struct.pack_into("<H", data, data.find(b"PK\1\2") + 8, 1)
    return bytes(data)


def overlapping() -> bytes:
    """Two entries of the list whose bytes are one and the same."""
    data = bytearray(zip_of({"a.png": png(0), "b.png": png(0)}))
    second = data.find(b"PK\1\2", data.find(b"PK\1\2") + 4)
    struct.pack_into("<I", data, second + 42, 0)
    return bytes(data)


def bomb() -> bytes:
    return zip_of({f"{number}.bmp": bytes(25_000_000) for number in range(3)})


def oldest_tar() -> bytes:
    """The format of 1979, without a magic word."""
    entries = ((data, tar_of({name: data})) for name, data in classes_of(4).items())
    headers = ((data, rewritten_header(packed, {257: bytes(8)})) for data, packed in entries)
    return b"".join(packed[: 512 + -(-len(data) // 512) * 512] for data, packed in headers) + bytes(1024)


def rewritten_header(archive: bytes, changes: dict[int, bytes]) -> bytes:
    """A TAR archive with other bytes in its first header, whose checksum is right."""
    data = bytearray(archive)
    for place, value in changes.items():
        data[place : place + len(value)] = value
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


def negative_size() -> bytes:
    return rewritten_header(tar_of(classes_of(4)), {124: b"\xff" * 11 + b"\0"})


def damaged_header() -> bytes:
    """The second header's checksum is wrong."""
    data = bytearray(tar_of({"a.png": bytes(512), "b.png": png(0)}))
    data[1024] ^= 0xFF
    return bytes(data)


READABLE: dict[str, Callable[[], bytes]] = {
    "zip": lambda: zip_of(classes_of(4)),
    "tar": lambda: tar_of(classes_of(4)),
    "tar.gz": lambda: tar_of(classes_of(4), "w:gz"),
    "tar.xz": lambda: tar_of(classes_of(4), "w:xz"),
    "tar.bz2": lambda: tar_of(classes_of(4), "w:bz2"),
    "oldest tar": oldest_tar,
    "colon": lambda: zip_of(classes_of(4) | {"1:30.txt": b"?"}),
    "what systems add": lambda: zip_of(
        classes_of(4) | {"__MACOSX/cat/._000.png": b"?", "cat/.DS_Store": b"?", "readme.txt": b"?"}
    ),
}
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "leads out": (lambda: zip_of({"../x.png": png(0)}), "leads out of it"),
    "absolute": (lambda: zip_of({"/tmp/x.png": png(0)}), "leads out of it"),  # noqa: S108 - never written
    "backslashes": (lambda: zip_of({"..\\x.png": png(0)}), "leads out of it"),
    "drive": (lambda: zip_of({"C:/x.png": png(0)}), "leads out of it"),
    "tar leads out": (lambda: tar_of({"a/../../x.png": png(0)}), "leads out of it"),
    "nested": (lambda: zip_of({"x.png": png(0), "more.zip": zip_of({})}), "archives inside archives"),
    "nested tar": (lambda: tar_of({"x.png": png(0), "more.tar.gz": b""}), "archives inside archives"),
    "link": (zip_link, "is a link"),
    "tar link": (lambda: tar_of({}, members=(special(tarfile.SYMTYPE),)), "is a link"),
    "tar hard link": (lambda: tar_of({}, members=(special(tarfile.LNKTYPE),)), "is a link"),
    "tar device": (lambda: tar_of({}, members=(special(tarfile.CHRTYPE),)), "a device"),
    "tar pipe": (lambda: tar_of({}, members=(special(tarfile.FIFOTYPE),)), "a device"),
    "encrypted": (encrypted, "is encrypted"),
    "overlap": (overlapping, "shares its bytes"),
    "bomb": (bomb, "far more than images"),
    "tar bomb": (lambda: tar_of({f"{n}.bmp": bytes(25_000_000) for n in range(3)}, "w:gz"), "far more than images"),
    "cut off": (lambda: zip_of(classes_of(4))[:-30], "damaged or incomplete"),
    "tar with a negative size": (negative_size, "damaged or incomplete"),
    "tar with a damaged header": (damaged_header, "damaged or incomplete"),
    "long name": (lambda: zip_of({"a" * 500 + ".png": png(0)}), "504 characters"),
}


def read(data: bytes, limits: ArchiveLimits | None = None) -> dict[str, bytes]:
    return {name: content() for name, content in entries(data, limits)}


@pytest.mark.parametrize("kind", READABLE)
def test_what_people_make_is_read(kind: str) -> None:
    data = READABLE[kind]()
    assert is_archive(io.BytesIO(data))
    assert {name: content for name, content in read(data).items() if name.endswith("png")} == classes_of(4)


HARMLESS: dict[str, Callable[[], bytes]] = {
    "dot": lambda: tar_of({"./cat/1.png": png(0)}),
    "backslashes": lambda: zip_of({"cat\\1.png": png(0)}),
    "a folder named like an archive": lambda: tar_of({"cat/1.png": png(0)}, members=(special(tarfile.DIRTYPE, "more.zip"),)),
    "a hidden archive": lambda: tar_of({"cat/1.png": png(0), ".git/annex.gz": b"", "__MACOSX/cat/x.zip": b""}),
}


@pytest.mark.parametrize("kind", HARMLESS)
def test_harmless_contents_are_no_reason_to_refuse_the_rest(kind: str) -> None:
    assert read(HARMLESS[kind]()) == {"cat/1.png": png(0)}


@pytest.mark.parametrize("empty", [zip_of({}), tar_of({})], ids=["zip", "tar"])
def test_an_empty_archive_is_one(empty: bytes, make_cifar: Callable[..., Net]) -> None:
    with pytest.raises(SurveyError, match="There are no images in an archive"):
        survey(make_cifar("A"), empty)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_nobody_makes_is_refused(kind: str) -> None:
    make, words = REFUSED[kind]
    with pytest.raises(SurveyError, match=words) as caught:
        read(make())
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("kind", ["overlap", "bomb", "link", "leads out"])
def test_nothing_of_a_refused_archive_is_used(kind: str, make_cifar: Callable[..., Net]) -> None:
    with pytest.raises(SurveyError, match=REFUSED[kind][1]):
        survey(make_cifar("A"), REFUSED[kind][0]())


def test_a_tar_archive_that_breaks_off_says_so(make_cifar: Callable[..., Net]) -> None:
    with pytest.raises(SurveyError, match="damaged or incomplete"):
        survey(make_cifar("A"), tar_of(classes_of(4), "w:gz")[:-600])


def test_an_entry_that_is_larger_than_it_says_is_one_bad_image(make_cifar: Callable[..., Net]) -> None:
    data = bytearray(zip_of({"a.png": png(0), "b.png": png(1), "c.png": png(2)}))
    place = data.find(b"b.png") + len("b.png") + 20
    data[place] ^= 0xFF
    result = survey(make_cifar("A"), bytes(data))
    assert list(result.bad.index) == ["b.png"]
    assert result.image_names() == ["a.png", "c.png"]


def test_limits_of_whoever_reads() -> None:
    with pytest.raises(SurveyError, match="more than 3 entries"):
        read(zip_of(classes_of(4)), ArchiveLimits(entries=3))
    with pytest.raises(SurveyError, match="unpacks to"):
        read(zip_of(classes_of(4)), ArchiveLimits(unpacked=100))


def test_equal_names_are_told_apart(make_cifar: Callable[..., Net], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        archive.writestr("a.png", png(0))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.png", png(1))
    assert survey(make_cifar("A"), tmp_path / "twice.zip").image_names() == ["a.png", "a.png (2)"]


def test_the_archive_is_read_where_it_is(make_cifar: Callable[..., Net], tmp_path: Path) -> None:
    path = tmp_path / "images.tar"
    path.write_bytes(tar_of(classes_of(4)))
    result = survey(make_cifar("A"), path)
    assert result.manifest.images == "the archive images.tar"
    assert list(tmp_path.iterdir()) == [path]
