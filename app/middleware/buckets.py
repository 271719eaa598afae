"""Token buckets: so many at once, and as many again each minute, for each of many keys."""

import math
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

MINUTE = 60.0
MOST_KEYS = 4096


@dataclass(frozen=True)
class Level:
    """How many tokens a bucket held, and when, in seconds."""

    tokens: float
    at: float


class Buckets:
    """A bucket a key, full at first, that holds `per_minute` tokens and is filled again in a minute; 0 is no limit.

    A bucket that has had time to fill is as good as none, and forgotten; so are the oldest where there are too many.
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
        """Return the seconds until there is a token, and take none."""
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
        # Half of the room is free then, so that not every new key costs a look at all of them.
        self._levels = dict(recent[-MOST_KEYS // 2 :])
