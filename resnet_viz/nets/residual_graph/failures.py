"""Why a module cannot be traced, in words for its owner: the reason, the line of the module's code, and what to change."""

import contextlib
import linecache
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TextIO

import torch

# Code in these folders is not the owner's.
_NOT_THE_OWNERS = (str(Path(torch.__file__).parent), str(Path(__file__).parents[2]))
_LONGEST = 240


def reason_of(failures: dict[str, Exception | str]) -> str:
    """Say what made each tracer fail, by its name, and what to do: an exception, or a sentence about the traced network."""
    texts = " ".join(map(str, failures.values()))
    errors = [failure for failure in failures.values() if isinstance(failure, Exception)]
    where = next((line for error in reversed(errors) if (line := line_of(error))), "")
    if "use_reentrant" in texts:
        return (
            f"Its forward pass uses torch.utils.checkpoint with use_reentrant=True{where}, which allows no gradient of the"
            " image. Pass use_reentrant=False, or leave checkpoints out in evaluation mode"
        )
    last = errors[-1] if errors else None
    if last is not None and ("DataDependent" in type(last).__name__ or "data-dependent" in str(last)):
        return (
            f"What its forward pass computes depends on the values in a tensor{where}, so it has no single graph. Replace the"
            " condition by torch.where, or open a module that always takes the same way"
        )
    listed = "; ".join(f"{tracer}: {_described(failure)}" for tracer, failure in failures.items())
    return f"{listed}. Change the code that this names, or open the part of the network that can be traced"


def _described(failure: Exception | str) -> str:
    if isinstance(failure, str):
        return failure
    return f"{type(failure).__name__}: {first_line(failure)}{line_of(failure)}"


def first_line(error: Exception) -> str:
    """Return the first line of an error's message; a long one ends after a whole word, with an ellipsis."""
    line = (str(error).strip().splitlines() or [""])[0]
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST].rpartition(' ')[0]} …"


def line_of(error: Exception) -> str:
    """Name the last line of the owner's code that led to an error, " (model.py, line 12: ...)"; "" if it is not known."""
    line = _last_line(error.__traceback__)
    if line is None:
        return ""
    code = linecache.getline(line.filename, line.lineno or 0).strip()
    place = f"{Path(line.filename).name}, line {line.lineno}"
    return f" ({place}: `{code}`)" if code else f" ({place})"


def _last_line(trace: TracebackType | None) -> traceback.FrameSummary | None:
    own = (
        line
        for line in reversed(traceback.extract_tb(trace))
        if not line.filename.startswith((*_NOT_THE_OWNERS, "<")) and "site-packages" not in line.filename
    )
    return next(own, None)


@contextlib.contextmanager
def quiet_errors() -> Iterator[None]:
    """Drop what this thread writes to the standard error output: torch.export prints the graph of a trace that failed."""
    with contextlib.redirect_stderr(_Quiet(sys.stderr)):  # type: ignore[type-var]  # as much of a file as is written to
        yield


class _Quiet:
    """A file that passes on what other threads write."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._thread = file, threading.get_ident()

    def write(self, text: str) -> int:
        return len(text) if threading.get_ident() == self._thread else self._file.write(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)
