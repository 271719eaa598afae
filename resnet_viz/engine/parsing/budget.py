"""A global limit in bytes: requests wait, in the order of arrival, until there are enough."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class NoRoomError(RuntimeError):
    """There were not enough bytes for too long."""


class MemoryBudget:
    """At most `total` bytes are in use at a time; thread-safe."""

    def __init__(self, total: int, most_waiting: int = 64) -> None:
        self.total = self._left = total
        self._most_waiting = most_waiting
        self._turns: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def taking(self, nbytes: int, seconds: float) -> Iterator[None]:
        """Hold bytes, at most the total, for as long as the block runs; NoRoomError if that takes longer than `seconds`."""
        nbytes = min(nbytes, self.total)
        turn = object()
        deadline = time.monotonic() + seconds
        with self._changed:
            if len(self._turns) >= self._most_waiting:
                raise NoRoomError
            self._turns.append(turn)
            try:
                while self._turns[0] is not turn or self._left < nbytes:
                    if not self._changed.wait(max(0.0, deadline - time.monotonic())) and time.monotonic() >= deadline:
                        raise NoRoomError
                self._left -= nbytes
            finally:
                self._turns.remove(turn)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._left += nbytes
                self._changed.notify_all()
