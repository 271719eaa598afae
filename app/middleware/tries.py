"""How often a code may be tried: frequent tries wait, and those with the fewest wrong tries go first."""

import asyncio
import heapq
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import count

MINUTE = 60.0
# Addresses and browsers that are remembered, and tries of one address that may wait at the same time.
MOST_KEYS, MOST_WAITING = 4096, 256
LONGEST_WAIT = 45.0


class TooManyTriesError(RuntimeError):
    """Too many tries are waiting already to accept this one; `seconds` is the time until the next one."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"wait {seconds} seconds")
        self.seconds = seconds


class Tries:
    """Admits `per_minute` tries of each address in a minute, and `of_all` of all of them; 0 is no limit.

    A try waits until a token is left for it. The first of the waiting ones is the one from the browser with the fewest wrong
    tries, so that constant guessing slows down nobody else at the same address. For one event loop; not for threads.
    """

    def __init__(self, per_minute: int, of_all: int) -> None:
        self._per_minute = per_minute
        self._all = _Gate(of_all)
        self._gates: OrderedDict[str, _Gate] = OrderedDict()
        self._wrong: OrderedDict[str, int] = OrderedDict()

    async def admit(self, address: str, browser: str) -> None:
        """Wait for a try, and take it; TooManyTriesError if that would take too long."""
        if self._per_minute:
            wrong = self._wrong.get(browser, 0)
            await self._gate(address).enter(wrong)
            await self._all.enter(wrong)

    def give_back(self, address: str) -> None:
        """Note that a try was right: it does not count."""
        self._gate(address).give_back()
        self._all.give_back()

    def was_wrong(self, browser: str) -> None:
        """Note that a try was wrong."""
        self._wrong[browser] = self._wrong.pop(browser, 0) + 1
        while len(self._wrong) > MOST_KEYS:
            self._wrong.popitem(last=False)

    def _gate(self, address: str) -> "_Gate":
        gate = self._gates.setdefault(address, _Gate(self._per_minute))
        self._gates.move_to_end(address)
        while len(self._gates) > MOST_KEYS:
            self._gates.popitem(last=False)
        return gate


@dataclass(order=True)
class _Waiting:
    wrong: int
    place: int
    turn: "asyncio.Future[None]" = field(compare=False)


class _Gate:
    """Tokens that refill evenly over a minute, and the queue for them."""

    def __init__(self, per_minute: int) -> None:
        self._most = self._tokens = float(per_minute)
        self._rate = per_minute / MINUTE
        self._at = 0.0
        self._waiting: list[_Waiting] = []
        self._places = count()
        self._timer: asyncio.TimerHandle | None = None

    async def enter(self, wrong: int) -> None:
        self._fill()
        if self._tokens >= 1 and not self._waiting:
            self._tokens -= 1
            return
        before = sum(each.wrong <= wrong for each in self._waiting)
        seconds = (before + 1 - self._tokens) / self._rate
        if seconds > LONGEST_WAIT or len(self._waiting) >= MOST_WAITING:
            raise TooManyTriesError(max(1, round(seconds)))
        mine = _Waiting(wrong, next(self._places), asyncio.get_running_loop().create_future())
        heapq.heappush(self._waiting, mine)
        self._wake_later()
        try:
            await asyncio.wait_for(mine.turn, LONGEST_WAIT)
        except TimeoutError as error:
            raise TooManyTriesError(round(LONGEST_WAIT)) from error

    def give_back(self) -> None:
        self._fill()
        self._tokens = min(self._most, self._tokens + 1)
        self._let_in()

    def _fill(self) -> None:
        now = asyncio.get_running_loop().time()
        self._tokens = min(self._most, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now

    def _let_in(self) -> None:
        self._fill()
        while self._waiting and self._tokens >= 1:
            first = heapq.heappop(self._waiting)
            # A client that has gone, or waited too long, takes nothing.
            if not first.turn.done():
                self._tokens -= 1
                first.turn.set_result(None)
        self._timer = None
        self._wake_later()

    def _wake_later(self) -> None:
        if self._waiting and self._timer is None:
            seconds = max(0.0, 1 - self._tokens) / self._rate
            self._timer = asyncio.get_running_loop().call_later(seconds + 0.01, self._let_in)
