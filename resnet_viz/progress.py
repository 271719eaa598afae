"""How a long computation reports its progress and is cancelled: the one callback of analyses, lessons, downloads and jobs.

A callback gets (done, total), or (done, total, result so far). An exception that it raises stops the computation.
"""

import sys
import warnings
from collections.abc import Callable
from typing import Any, Protocol, Self, TextIO, TypeVar

from tqdm import TqdmWarning

with warnings.catch_warnings():
    # A notebook without ipywidgets gets a line of text, which needs no advice at each import.
    warnings.simplefilter("ignore", TqdmWarning)
    from tqdm.auto import tqdm

Partial = TypeVar("Partial")

OnProgress = Callable[[int, int], None]
OnPartial = Callable[[int, int, Partial | None], None]


def ignore_progress(*_: object) -> None:
    """Do nothing: the default if the caller does not need the progress."""


class Counted(Protocol):
    """The progress of a survey: `done` of `total` images, None where the total is not known; `bad` could not be used."""

    @property
    def done(self) -> int:
        """How many are done."""
        ...

    @property
    def total(self) -> int | None:
        """Of how many."""
        ...

    @property
    def bad(self) -> int:
        """How many could not be used."""
        ...


class ProgressBar:
    """A bar in a terminal or a notebook for everything that takes a callback such as `on_progress`, `on_block` or `on_point`.

    >>> import resnet_viz as rv
    >>> found = rv.attribute(net, image, "smoothgrad", on_progress=rv.progress_bar("SmoothGrad"))

    The bar appears with the first report and closes with the last; the next computation gets a bar of its own. It also is a
    context manager, which closes the bar of a computation that was stopped.
    """

    def __init__(self, description: str = "", *, unit: str = "step", keep: bool = True, file: TextIO | None = None) -> None:
        self._description, self._unit, self._keep, self._file = description, unit, keep, file
        self._bar: tqdm[Any] | None = None

    def __call__(self, done: int | Counted, total: int | None = None, partial: object = None) -> None:  # noqa: ARG002 - callbacks get it
        """Show that `done` of `total` steps are done, or what a survey reports."""
        if isinstance(done, int):
            self._show(done, total, 0)
        else:
            self._show(done.done, done.total, done.bad)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the bar as it is, or remove it where it is not kept."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    @staticmethod
    def write(text: str, file: TextIO) -> None:
        """Print a line above the bar, if there is one."""
        tqdm.write(text, file=file)

    def _show(self, done: int, total: int | None, bad: int) -> None:
        if self._bar is not None and (self._bar.n > done or self._bar.total != total):
            self.close()
        if self._bar is None:
            self._bar = self._open(total)
        if bad:
            self._bar.set_postfix_str(f"{bad:,} unusable", refresh=False)
        self._bar.update(done - self._bar.n)
        if total is not None and done >= total:
            self.close()

    def _open(self, total: int | None) -> "tqdm[Any]":
        return tqdm(
            total=total,
            desc=self._description or None,
            unit=self._unit,
            leave=self._keep,
            file=self._file or sys.stderr,
            dynamic_ncols=True,
        )


def progress_bar(description: str = "", *, unit: str = "step", keep: bool = True) -> ProgressBar:
    """Return a progress bar for `on_progress` and the other callbacks: a line in a terminal, a bar in a notebook.

    `description` is written before it, and `unit` is what is counted. Without `keep`, the bar vanishes when it is full.
    """
    return ProgressBar(description, unit=unit, keep=keep)
