"""The cost of a small file: refusals within 200 MB and 2 seconds, and checks in time proportional to the size."""

import contextlib
import struct
import subprocess
import sys
import time
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageFile

from resnet_viz import images
from resnet_viz.images import ImageError, open_image
from resnet_viz.images.formats import STRIP
from resnet_viz.images.limits import MAX_DECODED_BYTES, max_pixels
from tests.image_files import (
    chunk,
    heic,
    noise,
    png,
    refusal,
    saved,
    tiff,
)


def screen_gif(screen: tuple[int, int], frame: tuple[int, int]) -> bytes:
    control = b"!\xf9\x04\x08\0\0\0\0"
    return b"GIF89a" + struct.pack("<HHxxx", *screen) + control + struct.pack("<cHHHHx", b",", 0, 0, *frame) + b"\x02\x01\0\0;"


def huge_webp() -> bytes:
    side = (12_999).to_bytes(3, "little")
    return b"RIFF\x64\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + side + side + bytes(80)


def strips_tiff(count: int) -> bytes:
    tags = {256: 10, 257: 10, 258: 8, 259: 1, 262: 1, 278: 1}
    return tiff({tag: ("H", [value]) for tag, value in tags.items()} | {273: ("I", [8] * count)})


def huge_tile_tiff() -> bytes:
    tags = {256: 10, 257: 10, 258: 16, 259: 8, 262: 1, 322: 16_000, 323: 16_000, 324: 8, 325: 50}
    return tiff({tag: ("I", [value]) for tag, value in tags.items()})


def jpeg_of_many_scans() -> bytes:
    data = saved(Image.new("L", (6000, 6000)), "JPEG", progressive=True)
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * 1000 + data[-2:]


# What is measured by the clock is tried again: another process may have had the processor meanwhile.
timed = pytest.mark.flaky(reruns=2)
BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "144 megapixel png": (lambda: png((12_000, 12_000), 1, 0, bytes(1501 * 12_000)), "50 million"),
    "169 megapixel webp": (huge_webp, "13,000 pixels wide and 13,000 high, more than the 33 million"),
    "144 megapixel bmp": (
        lambda: b"BM" + struct.pack("<IIIIiiHHIIiiII", 0, 0, 54, 40, 12_000, 12_000, 1, 24, *[0] * 6),
        "50 million",
    ),
    "gif with a giant screen": (lambda: screen_gif((65_535, 65_535), (1, 1)), "50 million"),
    "gif with a giant frame": (lambda: screen_gif((1, 1), (60_000, 2_900)), "50 million"),
    "144 megapixel tiff": (lambda: tiff({256: ("I", [12_000]), 257: ("I", [12_000])}), "50 million"),
    "tiff with 4 million strips": (lambda: strips_tiff(4_000_000), "damaged"),
    "tiff with a giant tile": (huge_tile_tiff, "damaged"),
    "jpeg with 1000 scans": (jpeg_of_many_scans, "damaged"),
}

MEASURE = """
import resource, sys, time, types
package = types.ModuleType("resnet_viz")
package.__path__ = [sys.argv[1]]
sys.modules["resnet_viz"] = package  # without its __init__, which imports torch
from resnet_viz import images
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)
images.open_image(sys.argv[2])
before = peak()
for path in sys.argv[3:]:
    start = time.perf_counter()
    try:
        images.open_image(path)
        outcome = "opened"
    except images.ImageError as error:
        outcome = str(error)
    print(peak(), peak() - before, time.perf_counter() - start, outcome, sep="|")
assert "torch" not in sys.modules
"""
PACKAGE = Path(images.__file__).parents[1]
# A process inherits its parent's peak when it starts, so a small one stands between it and the test runner.
LAUNCH = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"


def measured(tmp_path: Path, *data: bytes) -> list[tuple[float, float, float, str]]:
    """Open the files in a fresh process: its peak (MB), the growth since it had opened one small image, seconds, outcome."""
    paths = [tmp_path / f"{number}.png" for number in range(len(data) + 1)]
    for path, content in zip(paths, [saved(noise(), "PNG"), *data], strict=True):
        path.write_bytes(content)
    command = [sys.executable, "-c", LAUNCH, sys.executable, "-W", "error", "-c", MEASURE, str(PACKAGE), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines()]
    return [(float(total), float(growth), float(seconds), outcome) for total, growth, seconds, outcome in rows]


@timed
def test_bombs_are_refused_within_200_mb_and_without_a_warning(tmp_path: Path) -> None:
    bombs = {name: make() for name, (make, _) in BOMBS.items()}
    assert len(bombs["144 megapixel png"]) < 20_000
    for (name, (_, word)), (total, growth, seconds, outcome) in zip(
        BOMBS.items(), measured(tmp_path, *bombs.values()), strict=True
    ):
        assert word in outcome, name
        assert total < 200, name
        assert growth < 60, name
        assert seconds < 2, name


def test_metadata_costs_nothing_and_the_measure_sees_what_decoding_costs(tmp_path: Path) -> None:
    text = zlib.compress(("\U0001f600" + "a" * 1_000_000).encode(), 9)
    texts = [chunk(b"iTXt", b"key%d\0\1\0\0\0" % number + text) for number in range(60)]
    numbers = {tag: ("I", [value]) for tag, value in {256: 10, 257: 10, 258: 8, 259: 1, 262: 1, 273: 8}.items()}
    sub_ifd = tiff({37_500: ("H", [60_000] * 4_000_000)})
    pointed = tiff(numbers | {34_665: ("I", [0])})
    shifted = struct.pack("<HHHII", 1, 37_500, 3, 4_000_000, len(pointed) + 18) + bytes(4) + sub_ifd[-8_000_000:]
    pointed = tiff(numbers | {34_665: ("I", [len(pointed)])}) + shifted
    large = png((6000, 6000), 8, 0, bytes(6001 * 6000))
    bomb, exif_bomb, decoded = measured(tmp_path, png((1, 1), 8, 0, b"\0\1", *texts), pointed, large)
    assert (bomb[3], exif_bomb[3], decoded[3]) == ("opened", "opened", "opened")
    assert bomb[1] < 20
    assert exif_bomb[1] < 60
    assert decoded[1] > 100


def test_pillow_is_left_as_it_was_and_warnings_do_not_leak() -> None:
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for make, word in BOMBS.values():
            assert word in refusal(make())
    assert caught == []
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))


def test_decoding_takes_no_more_memory_than_the_limits_reckon_with(tmp_path: Path) -> None:
    """A plain image compresses to a few bytes, so that anyone can send one: what counts is what it takes to decode."""
    pictures = {
        "WebP": saved(Image.new("RGBA", (2800, 2800)), "WEBP", lossless=True, method=0),
        "AVIF": saved(Image.new("RGBA", (2800, 2800)), "AVIF", speed=10),
        "HEIC": heic(Image.new("RGB", (2000, 2000)), quality=10),
        "JPEG": saved(Image.new("RGB", (4000, 3000)), "JPEG", progressive=True, subsampling=0),
        "PNG": saved(Image.new("RGBA", (4000, 3000)), "PNG", compress_level=1),
        "TIFF": saved(Image.new("RGBA", (4000, 3000)), "TIFF", compression="tiff_lzw"),
    }
    for kind, data in pictures.items():
        width, height = STRIP[kind](data).size
        ((_, growth, _, outcome),) = measured(tmp_path, data)
        result = 4 * width * height
        assert outcome == "opened", kind
        assert growth * 2**20 < MAX_DECODED_BYTES / max_pixels(kind) * width * height + result + 30 * 2**20, kind
    assert max_pixels("JPEG") == max_pixels("HEIC") == images.MAX_PIXELS


@timed
def test_a_file_of_a_few_bytes_that_claims_a_large_picture_is_refused(tmp_path: Path) -> None:
    webp = saved(Image.new("RGB", (5000, 5000)), "WEBP", lossless=True, method=0)
    assert len(webp) < 40
    ((total, growth, seconds, outcome),) = measured(tmp_path, webp)
    assert f"its file of {len(webp)} bytes cannot contain an image of that size" in outcome
    assert total < 200
    assert growth < 20
    assert seconds < 2
    assert "33 million" in refusal(saved(Image.new("RGB", (6300, 6300)), "WEBP", lossless=True, method=0))


def filled(size: int, piece: bytes) -> bytes:
    return piece * (size // len(piece))


def jpeg(middle: bytes) -> bytes:
    whole = saved(noise(), "JPEG")
    return whole[:2] + middle + whole[2:]


def many_chunks(size: int, name: bytes, body: bytes) -> bytes:
    return png((24, 16), 8, 2, b"")[:33] + filled(size, chunk(name, body))


def gif(blocks: bytes) -> bytes:
    return b"GIF89a" + struct.pack("<HHBxx", 24, 16, 0x80) + bytes(6) + blocks


def webp(chunks: bytes) -> bytes:
    head = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + b"\x17\0\0\x0f\0\0"
    return b"RIFF" + struct.pack("<I", 4 + len(head) + len(chunks)) + b"WEBP" + head + chunks


def run_length_bmp(codes: bytes) -> bytes:
    return b"BM" + struct.pack("<IIIIiiHHIIiiII", 0, 0, 1078, 40, 6000, 6000, 1, 8, 1, 0, 0, 0, 0, 0) + bytes(1024) + codes


def heif(brand: bytes, boxes: bytes) -> bytes:
    return struct.pack(">I4s", 20, b"ftyp") + brand + bytes(4) + brand + boxes


def meta(name: bytes, body: bytes) -> bytes:
    inner = struct.pack(">I4s", 8 + len(body), name) + body
    return struct.pack(">I4s", 12 + len(inner), b"meta") + bytes(4) + inner


def shared_strips(size: int, compression: int, count: int = 9000) -> bytes:
    tags = {
        256: ("I", [4000]),
        257: ("I", [count]),
        258: ("H", [8]),
        259: ("H", [compression]),
        262: ("H", [1]),
        278: ("I", [1]),
    }
    return tiff(tags | {273: ("I", [100_000] * count), 279: ("I", [size // 2] * count)}, bytes(size))


# How a file of `size` bytes keeps a reader busy that goes through it piece by piece, or again and again.
BUSY: dict[str, Callable[[int], bytes]] = {
    "jpeg of padding": lambda size: b"\xff\xd8\xff" + b"\xff" * size,
    "jpeg with padding in its scan": lambda size: saved(noise(), "JPEG")[:-2] + b"\xff" * size,
    "jpeg of comments": lambda size: jpeg(filled(size, b"\xff\xfe\0\2")),
    "jpeg of tiny markers": lambda size: jpeg(filled(size, b"\xff\x01\0\2")),
    "jpeg of stuffed bytes": lambda size: b"\xff\xd8\xff" + filled(size, b"\xff\0"),
    "jpeg of tables": lambda size: jpeg(filled(size, b"\xff\xdb\0\x43\0" + b"\1" * 64)),
    "jpeg of restarts": lambda size: saved(noise(), "JPEG")[:-2] + filled(size, b"\xff\xd0"),
    "png of empty data": lambda size: many_chunks(size, b"IDAT", b""),
    "png of tiny data": lambda size: many_chunks(size, b"IDAT", b"x"),
    "png of texts": lambda size: many_chunks(size, b"tEXt", b""),
    "png of damaged profiles": lambda size: many_chunks(
        size, b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(bytes(250_000))[:-8] + b"damaged!"
    ),
    "gif of comments": lambda size: gif(b"!\xfe" + filled(size, b"\1a")),
    "gif of extensions": lambda size: gif(filled(size, b"!\xfe\0")),
    "gif of tiny blocks": lambda size: gif(b"," + struct.pack("<4HBB", 0, 0, 24, 16, 0, 8) + filled(size, b"\1\1")),
    "webp of unknown chunks": lambda size: webp(filled(size, b"ABCD\0\0\0\0")),
    "webp of frames": lambda size: webp(filled(size, b"ANMF" + struct.pack("<I", 16) + bytes(16))),
    "webp of profiles": lambda size: webp(filled(size, b"EXIF" + struct.pack("<I", 2) + b"II")),
    "bmp of run lengths": lambda size: run_length_bmp(filled(size, b"\1\0")),
    "bmp of ends of lines": lambda size: run_length_bmp(filled(size, b"\0\0")),
    "avif of boxes": lambda size: heif(b"avif", filled(size, b"\0\0\0\x08free")),
    "heic of boxes": lambda size: heif(b"heic", filled(size, b"\0\0\0\x08free")),
    "heic of brands": lambda size: (
        struct.pack(">I4s", 16 + size // 4 * 4, b"ftyp") + b"heic" + bytes(4) + filled(size, b"mif1")
    ),
    "heic of properties": lambda size: heif(b"heic", meta(b"iprp", filled(size, b"\0\0\0\x08ispe"))),
    "avif of places": lambda size: heif(b"avif", meta(b"iloc", b"\0\0\0\0\0\0\xff\xff" + filled(size, b"\0\1\0\0\xff\xff"))),
    "tiff of shared fax strips": lambda size: shared_strips(size, 4),
    "tiff of shared lzw strips": lambda size: shared_strips(size, 5),
    "tiff of shared deflate strips": lambda size: shared_strips(size, 8),
    "tiff with many tags": lambda size: tiff(
        {tag: ("I", [1] * 190_000) for tag in range(256, 262)} | {273: ("I", [0])}, bytes(max(0, size - 5_000_000))
    ),
    "text": lambda size: b"a " * (size // 2),
    "angle brackets": lambda size: b"<" * size,
    "zeros": bytes,
}


def seconds_to_answer(data: bytes) -> float:
    """Return the processor time until a file is opened or refused."""
    start = time.process_time()
    with contextlib.suppress(ImageError):
        open_image(data)
    return time.process_time() - start


@timed
@pytest.mark.parametrize("name", BUSY)
def test_20_mb_of_anything_are_answered_within_2_seconds(name: str) -> None:
    data = BUSY[name](images.MAX_BYTES - 100_000)
    assert len(data) <= images.MAX_BYTES
    assert seconds_to_answer(data) < 2


@timed
@pytest.mark.parametrize("name", BUSY)
def test_a_file_twice_as_large_takes_at_most_two_and_a_half_times_as_long(name: str) -> None:
    whole, half = BUSY[name](2_000_000), BUSY[name](1_000_000)
    noticeable = 0.02  # seconds: below, what is measured is the clock and the neighbours
    # In turn, so that a machine that is slower for a while is so for both.
    tries = [(seconds_to_answer(whole), seconds_to_answer(half)) for _ in range(7)]
    assert min(long for long, _ in tries) <= 2.5 * max(min(short for _, short in tries), noticeable)


def test_strips_that_share_their_bytes_are_refused_for_that() -> None:
    with pytest.raises(ImageError) as caught:
        open_image(shared_strips(100_000, 5))
    assert "strips or tiles of 450,000,000 bytes" in str(caught.value.__cause__)


def test_progressive_files_may_have_the_more_scans_the_smaller_they_are() -> None:
    def scans(side: int, count: int) -> bytes:
        data = saved(Image.new("L", (side, side)), "JPEG", progressive=True)
        last = data[data.rindex(b"\xff\xda") : -2]
        return data[:-2] + last * (count - data.count(b"\xff\xda")) + data[-2:]

    assert open_image(scans(1000, 64)).size == (1000, 1000)
    assert "damaged" in refusal(scans(1000, 65))
    assert "damaged" in refusal(scans(7000, 25))
