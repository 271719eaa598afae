"""What a notebook shows of a result: its class says that it can be shown, and `resnet_viz.notebooks` says how.

The classes of results stand left of the figures and cannot import them.
"""

from collections.abc import Callable
from typing import Any, TypeVar

Shown = TypeVar("Shown", bound="InNotebooks")

_writers: dict[type, Callable[[Any], str]] = {}


class InNotebooks:
    """A result that Jupyter shows as HTML at the end of a cell."""

    def _repr_html_(self) -> str | None:
        """Return HTML that needs no script and no network, or None where nothing was registered for the class."""
        writer = _writers.get(type(self))
        return None if writer is None else writer(self)


def write_with(kind: type[Shown], writer: Callable[[Shown], str]) -> None:
    """Let results of a class be written as HTML by a function."""
    _writers[kind] = writer
