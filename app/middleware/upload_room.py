"""The memory for uploads: shared so that nobody can block it for others with unfinished uploads."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

# Seconds after which an upload, unfinished or unread, yields to any other; a page reads a finished one at once.
PATIENCE = 60.0


@dataclass(frozen=True)
class HeldFile:
    """A finished upload that no page has read yet."""

    session: str
    file: str
    nbytes: int


@dataclass(eq=False)
class Arriving:
    """An upload in progress; `timeout` is that of the next piece, and ends it early if others need the room."""

    session: str
    since: float
    nbytes: int = 0
    gave_way: bool = False
    timeout: asyncio.Timeout | None = None

    def give_way(self) -> None:
        """End it."""
        self.gave_way = True
        if self.timeout is not None and not self.timeout.expired():
            self.timeout.reschedule(asyncio.get_running_loop().time())


@dataclass(frozen=True)
class Held:
    """What the room knows about finished uploads and their sessions, and how it releases one."""

    files: Callable[[], Iterable[HeldFile]]
    drop: Callable[[HeldFile], None]
    is_connected: Callable[[str], bool]


class UploadRoom:
    """At most `most` bytes, and half of them for one session; 0 is no limit.

    If there is no room for a new upload, others yield to it: those of closed sessions, those older than a minute, and those of
    sessions that hold more than the new upload's session would. For one event loop; not for threads.
    """

    def __init__(self, most: int, held: Held, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._held, self._clock = most, held, clock
        self._arriving: set[Arriving] = set()
        self._finished: dict[str, float] = {}

    def enter(self, session: str) -> Arriving:
        """Note an upload that starts."""
        upload = Arriving(session, self._clock())
        self._arriving.add(upload)
        return upload

    def leave(self, upload: Arriving, file: str) -> None:
        """Note an upload that has ended, successfully or not."""
        self._arriving.discard(upload)
        files = {held.file for held in self._held.files()}
        self._finished = {name: at for name, at in self._finished.items() if name in files}
        if file in files:
            self._finished[file] = self._clock()

    def has_room(self, session: str, more: int) -> bool:
        """Whether a session may hold this many bytes more; makes room for them if that is fair."""
        if not self._most:
            return True
        totals = self._totals()
        wanted = totals[session] + more
        if wanted > self._most // 2:
            return False
        if sum(totals.values()) + more <= self._most:
            return True
        for victim in sorted(self._others(session), key=lambda each: self._claim(each, totals)):
            if sum(totals.values()) + more <= self._most:
                break
            old, connected = self._claim(victim, totals)[1:3]
            if old and connected and totals[victim.session] <= wanted:
                continue
            totals[victim.session] -= victim.nbytes
            self._end(victim)
        return sum(totals.values()) + more <= self._most

    def _totals(self) -> Counter[str]:
        totals: Counter[str] = Counter()
        for each in self._all():
            totals[each.session] += each.nbytes
        return totals

    def _others(self, session: str) -> list[HeldFile | Arriving]:
        return [each for each in self._all() if each.session != session and each.nbytes]

    def _all(self) -> list[HeldFile | Arriving]:
        return [*self._held.files(), *self._arriving]

    def _claim(self, upload: HeldFile | Arriving, totals: Counter[str]) -> tuple[bool, bool, bool, int, float]:
        """The strength of an upload's claim to its memory: the weakest first, of equal ones the oldest."""
        connected = self._held.is_connected(upload.session)
        since = upload.since if isinstance(upload, Arriving) else self._finished.get(upload.file, -PATIENCE)
        recent = self._clock() - since <= PATIENCE
        return connected and recent, recent, connected, -totals[upload.session], since

    def _end(self, upload: HeldFile | Arriving) -> None:
        if isinstance(upload, Arriving):
            self._arriving.discard(upload)
            upload.give_way()
        else:
            self._held.drop(upload)
