"""What a small file may cost: refusals within 200 MB and 2 seconds, and checks whose time grows with the size alone."""

import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageFile

from resnet_viz import images
from tests.image_files import (
    chunk,
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


def test_a_large_picture_of_every_format_stays_within_its_memory(tmp_path: Path) -> None:
    """A plain picture compresses to a few bytes, so that anyone can send one: what counts is what it takes to decode."""
    pictures = {
        "WebP": saved(Image.new("RGBA", (5700, 5700)), "WEBP", lossless=True, method=0).ljust(2000, b"\0"),
        "AVIF": saved(Image.new("RGB", (6600, 6600)), "AVIF", speed=10).ljust(2000, b"\0"),
        "HEIC": heic(Image.new("RGB", (5000, 5000)), quality=10),
        "JPEG": saved(Image.new("RGB", (8160, 6120)), "JPEG", progressive=True, subsampling=0),
        "PNG": saved(Image.new("RGBA", (8160, 6120)), "PNG", compress_level=1),
    }
    for (kind, data), (_, growth, _, outcome) in zip(pictures.items(), measured(tmp_path, *pictures.values()), strict=True):
        assert outcome == "opened", (kind, len(data), outcome)
        assert growth < 800, (kind, growth)


def test_a_file_of_a_few_bytes_that_claims_a_large_picture_is_refused(tmp_path: Path) -> None:
    webp = saved(Image.new("RGB", (5000, 5000)), "WEBP", lossless=True, method=0)
    assert len(webp) < 40
    ((total, growth, seconds, outcome),) = measured(tmp_path, webp)
    assert f"its file of {len(webp)} bytes cannot hold a picture of that size" in outcome
    assert total < 200
    assert growth < 20
    assert seconds < 2
    assert "33 million" in refusal(saved(Image.new("RGB", (6300, 6300)), "WEBP", lossless=True, method=0))
