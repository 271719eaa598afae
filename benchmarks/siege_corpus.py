"""Inputs that may stop a server, generated here and small where possible: images, checkpoints and links."""

import io
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save as save_safetensors

MEGABYTE = 2**20


@dataclass(frozen=True)
class HostileFile:
    """A file, its defect in a word, and its name in the upload."""

    fault: str
    name: str
    data: bytes


def images(megabytes: int = 8, mutants: int = 40) -> Iterator[HostileFile]:
    """Images that are expensive, claim a huge size, or are damaged; the large ones have this many megabytes."""
    size = megabytes * MEGABYTE
    yield HostileFile("fill bytes", "a.jpg", b"\xff\xd8\xff" + b"\xff" * size)
    yield HostileFile("tiny markers", "a.jpg", b"\xff\xd8" + b"\xff\xfe\x00\x02" * (size // 4))
    yield HostileFile("tiny chunks", "a.png", _png(64, 64, bytes(64 * 193), idats=size // 12))
    yield HostileFile("40 megapixels in 40 KB", "a.png", _png(6320, 6320, bytes(6320 * (3 * 6320 + 1)), idats=1))
    yield HostileFile("claims 144 megapixels", "a.png", _png(12_000, 12_000, bytes(1000), idats=1))
    yield HostileFile("claims 2^31 pixels", "a.png", _png(2**31 - 1, 2**31 - 1, bytes(10), idats=1))
    yield HostileFile("6300 pixels square in a few bytes", "a.webp", _flat(6300, "WEBP", lossless=True))
    yield HostileFile("40 megapixels, LZW", "a.tif", _flat(6300, "TIFF", compression="tiff_lzw"))
    yield HostileFile("tiles that all lie in one place", "a.tif", _overlapping_tiles(size // 8))
    yield HostileFile("runs that never end", "a.bmp", _endless_runs(size))
    yield HostileFile("frames without end", "a.gif", _flat(64, "GIF") + b"\x21\xfe\x01x\x00" * (size // 5))
    yield HostileFile("text", "a.jpg", b"hello " * (size // 6))
    yield HostileFile("nothing", "a.png", b"")
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    for number in range(mutants):
        kind = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")[number % 6]
        yield HostileFile(f"mutated {kind}", f"m.{kind.lower()}", _mutated(_saved(noise, kind), rng))


def checkpoints(mutants: int = 20) -> Iterator[HostileFile]:
    """Checkpoints that are expensive, claim a huge size, would execute something, or are damaged."""
    yield HostileFile(
        "bytearray(3e9)", "a.pth", b"\x80\x02c__builtin__\nbytearray\nJ" + struct.pack("<i", 2**31 - 1) + b"\x85R."
    )
    yield HostileFile("keys that hash for ever", "a.pth", _nested_keys(60))
    yield HostileFile("nested a million times", "a.pth", b"\x80\x02" + b"]" * 10**6 + b"a" * (10**6 - 1) + b".")
    yield HostileFile("runs a command", "a.pth", b"cposix\nsystem\n(S'touch /nowhere'\ntR.")
    yield HostileFile("expanded to gigabytes", "a.pth", _torch_file({"fc.weight": torch.zeros(1).expand(8_000_000, 64)}))
    yield HostileFile("on no device", "a.pth", _torch_file({"conv1.weight": torch.zeros(64, 3, 7, 7, device="meta")}))
    yield HostileFile("3,000 blocks", "a.safetensors", _blocks(3000))
    yield HostileFile("a name of 5 MB", "a.safetensors", save_safetensors({"x" * (5 * MEGABYTE): np.zeros(1, np.float32)}))
    yield HostileFile("prefixes", "a.pth", _torch_file({"module." * 120_000 + "conv1.weight": torch.zeros(4, 3, 3, 3)}))
    yield HostileFile("half characters", "a.pth", _torch_file({"\ud800.weight": torch.zeros(2), "\u202ex": torch.zeros(2)}))
    yield HostileFile(
        "no classes", "a.pth", _torch_file({"conv1.weight": torch.zeros(16, 3, 3, 3), "fc.weight": torch.zeros(0, 64)})
    )
    yield HostileFile("zip bomb", "a.pth", _zip_bomb(600 * MEGABYTE))
    yield HostileFile("a header that lies", "a.safetensors", struct.pack("<Q", 2**62) + b"{}")
    yield HostileFile("text", "a.pth", b"hello")
    rng = np.random.default_rng(1)
    for number in range(mutants):
        tensors = {"conv1.weight": torch.zeros(16, 3, 3, 3), "fc.weight": torch.zeros(10, 64)}
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        data = _torch_file(tensors) if number % 2 else save_safetensors(arrays)
        yield HostileFile("mutated", "m.pth", _mutated(data, rng))


def links() -> Iterator[str]:
    """Query strings that no page writes."""
    for name in ("model", "image", "target", "channel", "block", "steps", "methods", "left", "versus", "lesson"):
        for value in ("9" * 5000, "nan", "-1", "%ED%A0%80", "%00%1B", "%E2%80%AE", "x" * 20_000, "%3Cimg%20src=x%3E"):
            yield f"{name}={value}"


def _png(width: int, height: int, pixels: bytes, idats: int) -> bytes:
    packed = zlib.compress(pixels, 9)
    step = max(1, -(-len(packed) // idats))
    parts = [packed[at : at + step] for at in range(0, len(packed), step)]
    # The rest of the number is empty.
    chunks = [_chunk(b"IDAT", part) for part in parts] + [_chunk(b"IDAT", b"")] * (idats - len(parts))
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + _chunk(b"IEND", b"")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _flat(side: int, kind: str, **options: object) -> bytes:
    return _saved(Image.new("RGB", (side, side), (7, 9, 200)), kind, **options)


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _overlapping_tiles(stream: int) -> bytes:
    """A TIFF of 6000 x 6000 pixels in which every tile of 16 x 16 is the same long stream."""
    across = 6000 // 16
    count = across * across
    data = zlib.compress(bytes(stream), 9).ljust(stream // 64, b"\0")
    offsets, counts = 8 + len(data), 8 + len(data) + 4 * count
    tags = [
        (256, 4, 1, 6000), (257, 4, 1, 6000), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1),
        (322, 4, 1, 16), (323, 4, 1, 16), (324, 4, count, offsets), (325, 4, count, counts),
    ]  # fmt: skip
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    body = data + struct.pack("<I", 8) * count + struct.pack("<I", len(data)) * count
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + directory


def _endless_runs(size: int) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, 6000, 6000, 1, 8, 1, size, 0, 0, 256, 0)
    palette = bytes(1024)
    return b"BM" + struct.pack("<IHHI", 54 + 1024 + size, 0, 0, 54 + 1024) + head + palette + b"\x00\x02\x00\x00" * (size // 4)


def _nested_keys(depth: int) -> bytes:
    """A pickled dictionary with a key that is a tuple of the same tuple twice, and so on: its hash takes 2^depth steps."""
    steps = b"".join(b"\x86q" + bytes([number]) + b"h" + bytes([number]) for number in range(depth))
    data = b"\x80\x02}K\x01K\x01" + steps + b"\x86K\x00s."
    pickletools.dis(data, out=io.StringIO())
    return data


def _torch_file(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def _blocks(count: int) -> bytes:
    one = np.zeros((1, 1, 3, 3), np.float32)
    return save_safetensors({f"layer1.{number}.conv{place}.weight": one for number in range(count) for place in (1, 2)})


def _zip_bomb(size: int) -> bytes:
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a/data.pkl", "w", force_zip64=True) as entry,
    ):
        for _ in range(size // MEGABYTE):
            entry.write(bytes(MEGABYTE))
    return file.getvalue()


def _mutated(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for place in rng.integers(0, len(changed), rng.integers(1, 12)):
        changed[place] = rng.integers(256)
    return bytes(changed[: rng.integers(len(changed) // 2, len(changed) + 1)])
