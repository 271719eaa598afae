"""Timing several ways to do the same work, relative to a bare pass, in one process, interleaved.

Each round runs the contestants in a new order and divides every time by the bare pass's time in the same round, so that changes
in the machine's speed affect both. The result is the median of the rounds' ratios.
"""

import gc
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


def nothing() -> None:
    """Prepare nothing and clean up nothing."""


@dataclass(frozen=True)
class Contestant:
    """A way to do a work; `delivers` says what it returns.

    It runs in every `every`-th round (slow ones rarely), between `set_up` and `clean_up`, which are not timed.
    """

    name: str
    delivers: str
    run: Callable[[], object]
    every: int = 1
    set_up: Callable[[], None] = nothing
    clean_up: Callable[[], None] = nothing


@dataclass(frozen=True)
class Work:
    """A work: `ours` may take at most `limit` times as long as `bare`."""

    name: str
    meaning: str
    limit: float
    bare: Contestant
    ours: Contestant
    peers: tuple[Contestant, ...]


@dataclass(frozen=True)
class Spread:
    """The median of some values, their 25th and 75th percentiles, and their number."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """Summarise at least one value."""
        low, median, high = (float(value) for value in np.percentile(values, (25, 50, 75)))
        return cls(median, low, high, len(values))


@dataclass(frozen=True)
class Row:
    """A result: `value` in `unit` for one contestant of a work; peers and references have no limit."""

    work: str
    meaning: str
    name: str
    delivers: str
    value: Spread
    unit: str
    limit: float | None = None

    @property
    def breaks_limit(self) -> bool:
        """Whether the median is above the limit."""
        return self.limit is not None and self.value.median > self.limit


def compete(work: Work, rounds: int, seconds: float) -> list[Row]:
    """Run at most `rounds` rounds, or fewer within `seconds`; our result is the first row, followed by the peers."""
    contestants = (work.bare, work.ours, *work.peers)
    _warm_up(contestants)
    ratios: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    shuffle = random.Random(0).shuffle  # noqa: S311 - an order, not a secret
    deadline = time.monotonic() + seconds
    for number in range(rounds):
        order = [contestant for contestant in contestants if number % contestant.every == 0]
        shuffle(order)
        times = {contestant.name: _seconds(contestant) for contestant in order}
        for name, taken in times.items():
            ratios[name].append(taken / times[work.bare.name])
        if time.monotonic() > deadline:
            break
    gc.unfreeze()
    return [
        Row(work.name, work.meaning, c.name, c.delivers, Spread.of(ratios[c.name]), "x bare", limit)
        for c, limit in ((work.ours, work.limit), *((peer, None) for peer in work.peers))
    ]


def _warm_up(contestants: tuple[Contestant, ...]) -> None:
    for contestant in contestants:
        for _ in range(3 if contestant.every == 1 else 1):
            _seconds(contestant)
    # Objects alive at this point are excluded from garbage collection, so that one contestant's objects do not slow another's
    # run.
    gc.collect()
    gc.freeze()


def _seconds(contestant: Contestant) -> float:
    contestant.set_up()
    gc.collect()
    start = time.perf_counter()
    result = contestant.run()
    taken = time.perf_counter() - start
    del result
    contestant.clean_up()
    return taken
