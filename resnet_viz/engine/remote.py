"""An engine on another server: the same jobs, tickets and errors as with the one in this process.

One thread waits for all answers, whatever their number. Recent answers are also kept here, so that they can be shown while the
engine is unreachable. A job that is cut off, because its replica died, is sent once more without a message: another replica
answers.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from resnet_viz.engine.connection import UNREADABLE, Connection, CutError
from resnet_viz.engine.job_types import JOB_TYPES
from resnet_viz.engine.jobs import EngineError, Job, JobCancelledError, Progress, Ticket, owner_of
from resnet_viz.engine.protocol import (
    ANSWER,
    CATALOGUE,
    ERROR,
    MOST_ANSWER_BYTES,
    PROGRESS,
    SESSION_HEADER,
    Refusal,
    error_of,
)
from resnet_viz.engine.store import Store
from resnet_viz.engine.wire import WireError, decode, encode
from resnet_viz.nets.zoo import ModelInfo
from resnet_viz.settings import EngineSettings

# The pause before a job is sent again, so that the replica that died is no longer used.
PAUSE = 0.3
CATALOGUE_SECONDS = 60.0


@dataclass(eq=False)
class _Errand:
    """The progress of a ticket's job, and the task that waits for its answer."""

    progress: Progress = field(default_factory=Progress)
    task: "Future[None] | None" = None


class RemoteEngine:
    """The engine at a URL, with its token; call `close` when it is no longer needed. ValueError for an invalid URL."""

    def __init__(
        self, url: str, token: str = "", settings: EngineSettings | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        settings = settings or EngineSettings.read()
        self._connection = Connection(url, token)
        self._store: Store[Any] = Store(settings.results, lambda answer: answer.nbytes, settings.share)
        self._errands: dict[Ticket, _Errand] = {}
        self._latest: dict[tuple[str, str], Ticket] = {}
        self._lock = threading.RLock()
        self._clock = clock
        self._catalogue: tuple[float, list[ModelInfo]] | None = None

    def submit(self, job: Job, session: str, view: str = "") -> Ticket:
        """Accept a job, as `Engine.submit`; if the engine has no room for it, the ticket says so."""
        kind = JOB_TYPES.get(job.kind)
        if kind is None:
            raise ValueError(f"there is no kind of job {job.kind!r}: take one of {', '.join(JOB_TYPES)}")
        place, ticket = (session, view or job.kind), Ticket(job, session, self._progress, self._drop)
        with self._lock:
            older = self._latest.pop(place, None)
            kept = self._store.get(kind.whole(job), owner_of(job, session))
            answer = None if kept is None else kind.cut(kept, job)
            if answer is not None:
                ticket.settle(answer)
            else:
                self._latest[place], errand = ticket, _Errand()
                self._errands[ticket] = errand
                errand.task = self._connection.start(self._run(ticket, errand))
        ticket.when_finished(lambda: self._done(place, ticket))
        if older is not None:
            older.cancel()
        return ticket

    def leave(self, session: str) -> None:
        """Forget a session, here and on the engine; an unreachable engine forgets sessions that are silent for an hour."""
        with self._lock:
            tickets = [ticket for ticket in self._errands if ticket.session == session]
        for ticket in tickets:
            ticket.cancel()
        self._store.forget(session)
        self._connection.start(self._farewell(session))

    def check(self) -> str:
        """Ask the engine whether it works, as `Engine.check`."""
        return self._connection.start(self._connection.ask("GET", "/ready")).result().decode(errors="replace").strip()

    def ready(self) -> bool:
        """Whether the engine can be reached and works."""
        with suppress(EngineError):
            self.check()
            return True
        return False

    def models(self) -> list[ModelInfo]:
        """Return the engine's catalogue, at most a minute old; raises EngineError, AwayError among them, with a sentence."""
        known = self._catalogue
        if known is None or self._clock() - known[0] > CATALOGUE_SECONDS:
            data = self._connection.start(self._connection.ask("GET", "/models")).result()
            known = self._catalogue = self._clock(), list(_read(data, CATALOGUE))
        return known[1]

    def close(self) -> None:
        """Cancel everything and end the thread."""
        with self._lock:
            tickets = list(self._errands)
        for ticket in tickets:
            ticket.cancel()
        self._connection.close()

    def _progress(self, ticket: Ticket) -> Progress:
        with self._lock:
            errand = self._errands.get(ticket)
        return Progress() if errand is None else errand.progress

    def _drop(self, ticket: Ticket) -> None:
        with self._lock:
            errand = self._errands.get(ticket)
        ticket.settle(JobCancelledError())
        if errand is not None and errand.task is not None:
            # This closes the connection, which cancels the job on the other end.
            errand.task.cancel()

    def _done(self, place: tuple[str, str], ticket: Ticket) -> None:
        with self._lock:
            self._errands.pop(ticket, None)
            if self._latest.get(place) is ticket:
                del self._latest[place]

    async def _run(self, ticket: Ticket, errand: _Errand) -> None:
        """Settle a ticket in any case."""
        answer: Any
        try:
            try:
                answer = await self._answer(ticket, errand)
            except CutError:
                await asyncio.sleep(PAUSE)
                answer = await self._answer(ticket, errand)
        except Exception as error:  # noqa: BLE001 - goes to whoever waits
            answer = error.with_traceback(None)
        else:
            # This makes it available also to requests that name the block that came along unnamed.
            self._store.put(JOB_TYPES[ticket.job.kind].whole(ticket.job), answer, owner_of(ticket.job, ticket.session))
        ticket.settle(answer)

    async def _answer(self, ticket: Ticket, errand: _Errand) -> Any:  # noqa: ANN401 - each kind's own result
        """Send the job, follow the frames, and return the answer or raise the error in one of them."""
        data = await asyncio.to_thread(encode, ticket.job)
        async with aclosing(self._connection.frames("/jobs", data, {SESSION_HEADER: ticket.session})) as frames:
            async for letter, payload in frames:
                if letter == ANSWER:
                    return await asyncio.to_thread(_read, payload, JOB_TYPES[ticket.job.kind].answer)
                if letter == ERROR:
                    raise error_of(_read(payload, Refusal))
                if letter == PROGRESS:
                    errand.progress = _following(errand.progress, _read(payload, Progress))
        raise CutError

    async def _farewell(self, session: str) -> None:
        with suppress(EngineError):
            await self._connection.ask("DELETE", "/sessions", {SESSION_HEADER: session})


def _following(before: Progress, now: Progress) -> Progress:
    """The current progress; maps arrive once a second, and the last one is kept until then."""
    return now if now.partial is not None or now.ahead is not None else replace(now, partial=before.partial)


def _read(data: bytes, hint: Any) -> Any:  # noqa: ANN401 - any annotation
    try:
        return decode(data, hint, MOST_ANSWER_BYTES)
    except WireError as error:
        raise EngineError(UNREADABLE) from error
