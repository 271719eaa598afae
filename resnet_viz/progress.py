"""How a long computation reports its progress and is cancelled: the one callback of analyses, lessons, downloads and jobs.

A callback gets (done, total), or (done, total, result so far). An exception that it raises stops the computation.
"""

from collections.abc import Callable
from typing import TypeVar

Partial = TypeVar("Partial")

OnProgress = Callable[[int, int], None]
OnPartial = Callable[[int, int, Partial | None], None]


def ignore_progress(*_: object) -> None:
    """Do nothing: the default if the caller does not need the progress."""
