"""AVIF and HEIC: files of phones and browsers open; boxes that claim more than they contain are refused before decoding."""

import io
import struct
from dataclasses import dataclass, field

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from resnet_viz.images import formats, open_image, upright_rgb
from resnet_viz.images.formats import av1
from tests.image_files import BLUE, RED, SEEDS, WHITE, exif, heic, noise, pixels, refusal, saved


def box(name: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), name) + body


@dataclass
class Heif:
    """A file of the items given by number: their kind, their size, and what they hold; item 1 is the image."""

    brand: bytes = b"heic"
    items: dict[int, tuple[bytes, tuple[int, int], bytes]] = field(default_factory=dict)
    references: list[tuple[bytes, int, list[int]]] = field(default_factory=list)
    lengths: dict[int, int] = field(default_factory=dict)

    def build(self) -> bytes:
        head = box(b"ftyp", self.brand, bytes(4), b"mif1")
        held = b"".join(content for _, _, content in self.items.values())
        start = len(head) + len(self._meta(0))
        return head + self._meta(start + 8) + box(b"mdat", held)

    def _meta(self, start: int) -> bytes:
        entries = [
            box(b"infe", b"\2\0\0\0", struct.pack(">HH4sx", number, 0, kind)) for number, (kind, *_) in self.items.items()
        ]
        sizes = [box(b"ispe", bytes(4), struct.pack(">II", *size)) for _, size, _ in self.items.values()]
        owners = [struct.pack(">HBH", number, 1, index) for index, number in enumerate(self.items, 1)]
        places = b""
        for number, (*_, content) in self.items.items():
            places += struct.pack(">HHHII", number, 0, 1, start, self.lengths.get(number, len(content)))
            start += len(content)
        references = [box(kind, struct.pack(f">HH{len(to)}H", number, len(to), *to)) for kind, number, to in self.references]
        return box(
            b"meta", bytes(4),
            box(b"pitm", bytes(4), struct.pack(">H", 1)),
            box(b"iinf", bytes(4), struct.pack(">H", len(entries)), *entries),
            box(b"iprp", box(b"ipco", *sizes), box(b"ipma", b"\0\0\0\1", struct.pack(">I", len(owners)), *owners)),
            box(b"iloc", bytes(4), b"\x44\0", struct.pack(">H", len(self.items)), places),
            box(b"iref", bytes(4), *references),
        )  # fmt: skip


def cause(data: bytes) -> str:
    """Return why a file is refused before any decoder reads it."""
    with pytest.raises(ValueError, match=r"\w") as caught:
        formats.STRIP[formats.recognise(data)](data)
    assert "damaged" in refusal(data)
    return str(caught.value)


def bits(*values: tuple[int, int]) -> bytes:
    """Pack (value, number of bits) pairs, zeros behind them."""
    text = "".join(f"{value:0{count}b}" for value, count in values)
    text += "0" * (-len(text) % 8 + 64)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def still_header(width: int, height: int) -> bytes:
    """Return the sequence header of a still AV1 image: profile 0, still image, reduced header, level 0, 16 bits a side."""
    payload = bits((0, 3), (1, 1), (1, 1), (0, 5), (15, 4), (15, 4), (width - 1, 16), (height - 1, 16))
    return bytes([0x0A, len(payload)]) + payload


@pytest.mark.parametrize("quality", [80, 95])
def test_colours_of_an_avif_and_of_a_heic(quality: int) -> None:
    image = Image.new("RGB", (64, 48), (200, 100, 50))
    for data in (saved(image, "AVIF", quality=quality), heic(image, quality=quality)):
        assert open_image(data).size == (64, 48)
        assert np.abs(np.subtract(pixels(data), (200, 100, 50))).max() <= 4


def test_transparent_avif_and_heic_are_laid_on_white() -> None:
    image = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (32, 0, 64, 64))
    for data in (saved(image, "AVIF", quality=100), heic(image, quality=100, chroma=444)):
        shown = open_image(data)
        assert shown.getpixel((8, 32)) == pytest.approx(WHITE, abs=3)
        assert shown.getpixel((56, 32)) == pytest.approx(BLUE, abs=12)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_and_heic_come_out_upright(orientation: int) -> None:
    quarters = np.kron(np.array([[0, 80], [160, 240]], np.uint8), np.ones((32, 48), np.uint8))
    image = Image.fromarray(quarters).convert("RGB")
    reference = open_image(saved(image, "PNG", exif=exif(orientation)))
    for data in (saved(image, "AVIF", quality=95, exif=exif(orientation)), heic(image, quality=95, exif=exif(orientation))):
        shown = open_image(data)
        assert shown.size == reference.size
        assert np.abs(np.subtract(np.asarray(shown), np.asarray(reference), dtype=np.int16)).mean() < 3


def test_xmp_does_not_turn_what_the_container_has_turned() -> None:
    data = saved(noise(), "AVIF", xmp=b'<x tiff:Orientation="6"/>')
    assert b"tiff:Orientation" in data
    assert open_image(data).size == upright_rgb(Image.open(io.BytesIO(data))).size == noise().size


def test_ten_bit_heic_opens() -> None:
    ramp = np.linspace(0, 65535, 64).astype("<u2")
    deep = np.repeat(np.repeat(ramp[None, :, None], 64, 0), 3, 2)
    stream = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", (64, 64), deep.tobytes()).save(stream, quality=95)
    shown = np.asarray(open_image(stream.getvalue()))[32, :, 1]
    assert np.abs(shown.astype(int) - np.linspace(0, 255, 64)).max() < 6


def test_the_still_image_of_an_animated_avif_is_shown() -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in (RED, BLUE)]
    data = saved(frames[0], "AVIF", save_all=True, append_images=frames[1:], quality=95)
    assert b"moov" in data
    assert pixels(data)[0] == pytest.approx(RED, abs=4)


def test_the_primary_image_of_a_heic_collection_is_shown() -> None:
    several = pillow_heif.from_pillow(Image.new("RGB", (64, 64), RED))
    several.add_from_pillow(Image.new("RGB", (96, 64), BLUE))
    stream = io.BytesIO()
    several.save(stream, primary_index=1)
    assert open_image(stream.getvalue()).size == (96, 64)


def test_sizes_in_boxes_are_checked_before_decoding() -> None:
    assert "more than the 44 million pixels that a AVIF" in refusal(Heif(b"avif", {1: (b"av01", (9000, 9000), b"")}).build())
    assert "50 million" in refusal(Heif(items={1: (b"hvc1", (9000, 9000), b"")}).build())
    assert "cannot contain" in refusal(Heif(items={1: (b"hvc1", (6000, 6000), b"")}).build())
    assert "at most 50 times" in refusal(Heif(items={1: (b"hvc1", (6000, 100), b"")}).build())


def test_an_av1_image_that_is_larger_inside_than_its_box_says_is_refused() -> None:
    bomb = Heif(b"avif", {1: (b"av01", (64, 64), b"\x12\0" + still_header(16_000, 16_000))}).build()
    assert cause(bomb) == "more than 100,000,000 pixels"
    assert list(av1.sizes(b"\x12\0" + still_header(4032, 3024))) == [(4032, 3024)]


def test_sizes_of_every_kind_of_av1_header() -> None:
    data = saved(Image.new("RGB", (130, 70)), "AVIF")
    assert list(av1.sizes(data[data.index(b"mdat") + 4 :])) == [(130, 70)]
    frames = [Image.new("RGB", (130, 70), colour) for colour in (RED, BLUE)]
    moving = saved(frames[0], "AVIF", save_all=True, append_images=frames[1:])
    # Its header is a full one, whose frames may have any size of 8 and of 7 bits.
    assert next(av1.sizes(moving[moving.index(b"mdat") + 4 :])) == (256, 128)
    timing, decoder_model = [(1, 1), (0, 64), (1, 1), (1, 3), (0, 2)], [(1, 1), (9, 5), (0, 42)]
    operating_point = [(1, 1), (0, 5), (0, 12), (8, 5), (0, 1), (1, 1), (0, 21), (1, 1), (0, 4)]
    timed = bits((0, 3), (0, 2), *timing, *decoder_model, *operating_point, (9, 4), (8, 4))
    assert list(av1.sizes(bytes([0x0A, len(timed)]) + timed)) == [(1024, 512)]


def test_a_grid_that_decodes_far_more_than_it_shows_is_refused() -> None:
    tiles = {1: (b"grid", (512, 512), bytes(8)), 2: (b"hvc1", (6000, 6000), bytes(1000))}
    assert cause(Heif(items=tiles, references=[(b"dimg", 1, [2] * 256)]).build()) == "more than 200,000,000 decoded pixels"
    layers = dict.fromkeys(range(1, 6), (b"iovl", (64, 64), b""))
    nested = [(b"dimg", number, [number + 1] * 500) for number in range(1, 5)]
    assert "more than" in cause(Heif(items=layers, references=nested).build())
    assert "derivation" in cause(Heif(items={1: (b"grid", (64, 64), b"")}, references=[(b"dimg", 1, [1])]).build())
    masks = {number: (b"hvc1", (5000, 5000), bytes(500)) for number in range(1, 50)}
    hidden = [(b"auxl", number, [1]) for number in range(2, 50)]
    assert "decoded pixels" in cause(Heif(items=masks, references=hidden).build())


def test_images_that_share_their_bytes_are_refused() -> None:
    items = {number: (b"hvc1", (64, 64), bytes(100_000)) for number in range(1, 60)}
    shared = Heif(items=items, lengths=dict.fromkeys(items, 5_000_000)).build()
    assert "bytes of coded images" in cause(shared)


@pytest.mark.parametrize(
    "data",
    [
        box(b"ftyp", b"heic", bytes(4)),
        box(b"ftyp", b"heic", bytes(4)) + box(b"meta", bytes(4)),
        box(b"ftyp", b"heic", bytes(4)) + b"\0\0\0\1meta" + (2**63).to_bytes(8, "big"),
        box(b"ftyp", b"heic", bytes(4)) + b"\0\0\0\7meta",
        Heif().build(),
        Heif(items={2: (b"hvc1", (64, 64), b"")}).build(),
        Heif(items={1: (b"hvc1", (64, 64), b"no hevc")}).build(),
        Heif(b"avif", {1: (b"av01", (64, 64), b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff")}).build(),
    ],
)
def test_damaged_boxes_are_refused(data: bytes) -> None:
    assert "damaged" in refusal(data)


def test_a_phone_photo_of_48_megapixels_as_a_grid_of_tiles_is_within_the_limits() -> None:
    tiles = {number: (b"hvc1", (512, 512), bytes(200)) for number in range(2, 194)}
    photo = Heif(items={1: (b"grid", (8064, 6048), bytes(12)), **tiles}, references=[(b"dimg", 1, list(tiles))])
    assert formats.STRIP["HEIC"](photo.build()).size == (8064, 6048)


def test_pillow_learns_no_format_from_opening_a_heic() -> None:
    open_image(SEEDS["heic"])
    assert "HEIF" not in Image.ID
