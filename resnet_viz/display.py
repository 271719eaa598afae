"""What a notebook shows of a result: its class says that it can be shown, and `resnet_viz.notebooks` says how.

The classes of results stand left of the figures and cannot import them.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

Shown = TypeVar("Shown", bound="InNotebooks")

_writers: dict[type, Callable[[Any], str]] = {}


class InNotebooks:
    """A result that Jupyter shows as HTML at the end of a cell."""

    def _repr_html_(self) -> str | None:
        """Return HTML that needs no script and no network, or None where nothing was registered for the class."""
        writer = _writers.get(type(self))
        return None if writer is None else writer(self)

    def __repr__(self) -> str:
        """Name every field, with the size of what would fill pages."""
        values = ((each.name, getattr(self, each.name)) for each in fields(self))  # type: ignore[arg-type]  # a dataclass
        return f"{type(self).__name__}({', '.join(f'{name}={_short(value)}' for name, value in values)})"


def _short(value: object) -> str:
    """Return an array's or a table's type and shape, the length of a tuple, or the value itself."""
    if hasattr(value, "shape"):
        return f"<{type(value).__name__} {'×'.join(map(str, value.shape))}>"
    return f"<{len(value)} entries>" if isinstance(value, tuple) and len(value) > 2 else repr(value)


def write_with(kind: type[Shown], writer: Callable[[Shown], str]) -> None:
    """Let results of a class be written as HTML by a function."""
    _writers[kind] = writer
