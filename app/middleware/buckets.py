"""Token buckets: a number of tokens at once, and the same number again each minute, for each of many keys."""

import math
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

MINUTE = 60.0
MOST_KEYS = 4096


@dataclass(frozen=True)
class Level:
    """The number of tokens in a bucket at a time, in seconds."""

    tokens: float
    at: float


class Buckets:
    """One bucket per key, full at first, that holds `per_minute` tokens and refills in a minute; 0 is no limit.

    A bucket that has had time to refill equals a new one and is removed; so are the oldest ones if there are too many.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = per_minute
        self._clock = clock
        self._levels: dict[Hashable, Level] = {}
        self._lock = threading.Lock()

    def take(self, key: Hashable) -> int:
        """Take a token; returns 0, or the seconds until there is one."""
        if not self._most:
            return 0
        with self._lock:
            now = self._clock()
            tokens = self._tokens(key, now)
            if tokens < 1:
                return self._seconds(1 - tokens)
            self._levels.pop(key, None)
            self._levels[key] = Level(tokens - 1, now)
            if len(self._levels) > MOST_KEYS:
                self._forget(now)
            return 0

    def wait(self, key: Hashable) -> int:
        """Return the seconds until there is a token, without taking one."""
        if not self._most:
            return 0
        with self._lock:
            return self._seconds(1 - self._tokens(key, self._clock()))

    def _tokens(self, key: Hashable, now: float) -> float:
        level = self._levels.get(key)
        return self._most if level is None else min(self._most, level.tokens + (now - level.at) * self._most / MINUTE)

    def _seconds(self, missing: float) -> int:
        return max(0, math.ceil(missing * MINUTE / self._most))

    def _forget(self, now: float) -> None:
        recent = [(key, level) for key, level in self._levels.items() if now - level.at < MINUTE]
        # Half of the room is free after this, so that not every new key requires a scan of all of them.
        self._levels = dict(recent[-MOST_KEYS // 2 :])
