"""Pages take turns: a few scripts run at a time, and whoever has used the server least comes first.

Python runs one thread at a time, so thirty scripts at once would all end last, and the server's own thread, which sends what
they say, would wait behind each of them. In turns, the first ends after its own time; a turn lasts until the page is sent. A
session that nobody has seen yet waits behind people who are at work, but no more than some seconds, so a crowd that arrives
cannot stop a class, and a class cannot keep a person out.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from streamlit.runtime.scriptrunner import get_script_run_ctx

# Scripts at a time: while one encodes an image or waits for the network, another one can use Python.
AT_ONCE = 2
# A script that has run for so many seconds no longer counts, so that a slow one stops nobody.
LONGEST = 1.0
# What a session has used counts half after so many seconds.
HALF_LIFE = 5.0
# What a session counts as having used before and after its first script: it does not come before people who are at work.
# And the seconds of waiting that make up for a second of use.
NEWCOMER, ONCE_SEEN, PATIENCE = 3.0, 1.5, 5.0
REMEMBERED = 1000
CHECK_EVERY = 0.2


@dataclass(eq=False)
class _Turn:
    """One run of a script: when it began to wait, and the processor time at which its thread began to run."""

    session: str
    asked: float
    may_run: threading.Event = field(default_factory=threading.Event)
    began: float = 0.0
    processor: float = 0.0
    is_being_sent: bool = False


class Turns:
    """A queue for the scripts of all sessions; thread-safe."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._lock = threading.Lock()
        self._running: list[_Turn] = []
        self._waiting: list[_Turn] = []
        # The seconds of processor time that each session has used, decayed, and when they were noted.
        self._used: dict[str, tuple[float, float]] = {}
        self._connected: set[str] = set()
        self._mine = threading.local()

    @contextmanager
    def turn(self, session: str) -> Iterator[None]:
        """Wait for this thread's turn, and end it afterwards."""
        turn = self._mine.turn = _Turn(session, time.monotonic())
        self._begin(turn)
        try:
            yield
        finally:
            self._mine.turn = None
            self._end(turn, to_send=True)

    def connected(self, session: str) -> None:
        """Note that a session has a connection, whose end of a page will be noted by `sent`."""
        with self._lock:
            self._connected.add(session)

    def gone(self, session: str) -> None:
        """Note that a session's connection is closed: nothing more is sent."""
        with self._lock:
            self._connected.discard(session)
        self.sent(session)

    def sent(self, session: str) -> None:
        """Note that the whole page has been sent, which ends its turn."""
        with self._lock:
            self._running = [turn for turn in self._running if turn.session != session or not turn.is_being_sent]
            self._admit()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let others run while this thread waits for something; does nothing in a thread that has no turn now."""
        turn: _Turn | None = getattr(self._mine, "turn", None)
        if turn is None or turn not in self._running:
            yield
            return
        self._end(turn)
        try:
            yield
        finally:
            turn.asked = time.monotonic()
            self._begin(turn)

    def _begin(self, turn: _Turn) -> None:
        turn.may_run.clear()
        with self._lock:
            self._waiting.append(turn)
            self._admit()
        while not turn.may_run.wait(CHECK_EVERY):
            # A script that has just become too long makes room.
            with self._lock:
                self._admit()
        turn.processor = time.thread_time()

    def _end(self, turn: _Turn, *, to_send: bool = False) -> None:
        spent = time.thread_time() - turn.processor
        with self._lock:
            turn.is_being_sent = to_send and turn.session in self._connected
            if not turn.is_being_sent:
                self._running.remove(turn)
            before = self._use(turn.session) if turn.session in self._used else ONCE_SEEN
            self._used[turn.session] = before + spent, time.monotonic()
            if len(self._used) > REMEMBERED:
                del self._used[min(self._used, key=lambda name: self._used[name][1])]
            self._admit()

    def _admit(self) -> None:
        now = time.monotonic()
        self._running = [turn for turn in self._running if not turn.is_being_sent or now - turn.began < LONGEST]
        while self._waiting and sum(now - turn.began < LONGEST for turn in self._running) < self._at_once:
            first = min(self._waiting, key=lambda turn: self._use(turn.session) - (now - turn.asked) / PATIENCE)
            self._waiting.remove(first)
            first.began = now
            self._running.append(first)
            first.may_run.set()

    def _use(self, session: str) -> float:
        """The seconds that a session has used, decayed."""
        if session not in self._used:
            return NEWCOMER
        used, noted = self._used[session]
        return float(used * 0.5 ** ((time.monotonic() - noted) / HALF_LIFE))


# Those of this server.
TURNS = Turns()


@contextmanager
def turn() -> Iterator[None]:
    """Run a session's script in its turn."""
    context = get_script_run_ctx()
    with TURNS.turn(context.session_id if context else ""):
        yield


@contextmanager
def paused() -> Iterator[None]:
    """Let other people's scripts run while this one waits."""
    with TURNS.paused():
        yield
