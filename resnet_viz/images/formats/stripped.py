"""The rest of a file without everything that its pixels do not need."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True)
class Stripped:
    """The file for the decoder, its declared (width, height) in pixels, and metadata under Pillow's `info` keys."""

    data: bytes
    size: tuple[int, int]
    info: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))


def check_count(count: int, most: int, what: str) -> None:
    """Raise ValueError when a file has more parts than its pixels can need: each would cost time in Python."""
    if count > most:
        raise ValueError(f"more than {most:,} {what}")
