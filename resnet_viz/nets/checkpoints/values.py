"""What the objects of a pickle become: plain values, and inert stand-ins for everything else."""

from dataclasses import dataclass


@dataclass(frozen=True, eq=False, slots=True)
class Global:
    """A class or function that a pickle names ("torch.nn.modules.conv.Conv2d"). It is never imported."""

    name: str


@dataclass(frozen=True, eq=False, slots=True)
class Span:
    """A long text, or long bytes, left where it is in the file: from `start` up to `stop` in `data`."""

    data: bytes
    start: int
    stop: int


@dataclass(eq=False, slots=True)
class StandIn:
    """An object of any class or the result of any call: what the pickle said about it, and no behaviour.

    `attributes` come from its state, `entries` are those of a subclass of dict, `elements` those of a list or set.
    """

    name: str
    arguments: object = None
    attributes: dict[str, object] | None = None
    state: object = None
    entries: dict[str, object] | None = None
    elements: list[object] | None = None


def key_text(key: object) -> str | None:
    """Return a key of a mapping as text; None for what is no plain value.

    Text is hashed with a secret of the process, so that no file can make a mapping slow. Numbers are not, and tuples that
    hold one another take exponential time.
    """
    if isinstance(key, str):
        return key
    if isinstance(key, bytes):
        return key.decode("utf-8", "replace")
    return str(key) if key is None or isinstance(key, (bool, int, float)) else None
