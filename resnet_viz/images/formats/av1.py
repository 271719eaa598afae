"""AV1: the frame sizes that a coded image can have, from its sequence headers (AV1 specification, 5.5)."""

from collections.abc import Iterator

from resnet_viz.images.formats.stripped import check_count

_SEQUENCE_HEADER = 1
_MAX_UNITS = 200  # an image has about five
_HEADER_BYTES = 256  # more than the longest sequence header up to its frame size


class _Bits:
    """Bits from the first bytes of a header, read one after another."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise ValueError("a sequence header that ends too early")
        return self._value >> self._left & ((1 << count) - 1)


def sizes(data: bytes) -> Iterator[tuple[int, int]]:
    """Go through the sequence headers of a coded image: the largest width and height in pixels that its frames may have."""
    at, units = 0, 0
    while at < len(data):
        kind, extended, has_size = data[at] >> 3 & 15, data[at] >> 2 & 1, data[at] >> 1 & 1
        at += 1 + extended
        length = len(data) - at
        if has_size:
            length, at = _length(data, at)
        if kind == _SEQUENCE_HEADER:
            yield _largest_frame(_Bits(data[at : at + min(length, _HEADER_BYTES)]))
        at += length
        units += 1
        check_count(units, _MAX_UNITS, "units")


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Read a number of 7 bits a byte, lowest first; returns it and the place behind it."""
    value = 0
    for place in range(8):
        byte = data[at + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError("a number of more than 8 bytes")


def _largest_frame(bits: _Bits) -> tuple[int, int]:
    bits.take(4)  # profile, still image
    reduced = bits.take(1)
    if reduced:
        bits.take(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    largest = bits.take(width_bits) + 1, bits.take(height_bits) + 1
    # A frame of a full header may override the size with any number of so many bits.
    return largest if reduced else (1 << width_bits, 1 << height_bits)


def _skip_operating_points(bits: _Bits) -> None:
    delay_bits = 0
    if bits.take(1):  # timing
        bits.take(64)
        if bits.take(1):
            _skip_variable_length(bits)
        if bits.take(1):  # decoder model
            delay_bits = bits.take(5) + 1
            bits.take(42)
    display_delay = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:  # level
            bits.take(1)
        if delay_bits and bits.take(1):
            bits.take(2 * delay_bits + 1)
        if display_delay and bits.take(1):
            bits.take(4)


def _skip_variable_length(bits: _Bits) -> None:
    zeros = 0
    while not bits.take(1):
        zeros += 1
    bits.take(min(zeros, 32))
