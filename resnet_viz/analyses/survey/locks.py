"""A lock that one process at a time can have; the operating system releases it when the process ends, however it ends."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from resnet_viz.analyses.survey.errors import SurveyError, writing

if sys.platform == "win32":
    import msvcrt

    def _take(file: BinaryIO) -> None:
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError from error
else:
    import fcntl

    def _take(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def locked(path: Path, taken: str) -> Iterator[None]:
    """Hold the lock on a file, which exists only meanwhile; SurveyError with the sentence `taken` if another run holds it.

    Some network drives have no locks: there, nothing is checked.
    """
    with writing(path):
        file = path.open("ab")
    with file:
        try:
            _take(file)
        except BlockingIOError as error:
            raise SurveyError(taken) from error
        except OSError:
            pass
        try:
            yield
        finally:
            file.close()  # Windows does not remove an open file.
            with suppress(OSError):
                path.unlink()
