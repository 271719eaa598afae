"""A survey in the background: its jobs run one after the other, whatever its page shows meanwhile."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from resnet_viz.analyses.survey.parts import SurveyedPart
from resnet_viz.engine.jobs import JobCancelledError, Ticket

# So many jobs are submitted at a time, so that the engine never waits for the next one.
AT_ONCE = 2
POLL = 0.2


@dataclass(frozen=True)
class SurveyJob:
    """A part of a survey: what submits it, given a view of the engine, and how many images it has."""

    submit: Callable[[str], Ticket]
    images: int


@dataclass(eq=False)
class SurveyRun:
    """The jobs of a survey and the parts that are finished.

    `error` is what stopped it, if something did. `start` begins, or continues where it was stopped.
    """

    jobs: Sequence[SurveyJob]
    found: list[SurveyedPart] = field(default_factory=list)
    error: Exception | None = None
    _tickets: dict[int, Ticket] = field(default_factory=dict)
    _thread: threading.Thread | None = None
    _is_stopped: threading.Event = field(default_factory=threading.Event)
    _began: float = 0.0
    _done_before: int = 0

    @property
    def total(self) -> int:
        """The number of images."""
        return sum(job.images for job in self.jobs)

    @property
    def done(self) -> int:
        """How many images are done, also in jobs that are not finished."""
        finished = sum(job.images for job in self.jobs[: len(self.found)])
        ticket = self._tickets.get(len(self.found))
        return finished + (0 if ticket is None else ticket.progress.done)

    @property
    def ahead(self) -> int | None:
        """How many jobs of others come first, as long as nothing runs."""
        ticket = self._tickets.get(len(self.found))
        return None if ticket is None else ticket.progress.ahead

    @property
    def is_finished(self) -> bool:
        """Whether all parts are there."""
        return len(self.found) == len(self.jobs)

    @property
    def is_running(self) -> bool:
        """Whether it is at work."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def seconds_left(self) -> float | None:
        """The time that the rest takes at the speed so far; None as long as that is unknown."""
        done = self.done - self._done_before
        if done <= 0:
            return None
        return (time.monotonic() - self._began) / done * (self.total - self.done)

    def start(self) -> None:
        """Work in a thread until everything is done, or until it is stopped."""
        self._is_stopped.clear()
        self.error, self._began, self._done_before = None, time.monotonic(), self.done
        self._thread = threading.Thread(target=self._work, name="survey", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop soon; the finished parts stay."""
        self._is_stopped.set()

    def _work(self) -> None:
        try:
            while not self.is_finished and not self._is_stopped.is_set():
                self._submit_next()
                if self._tickets[len(self.found)].wait(POLL):
                    answer = self._tickets[len(self.found)].answer()
                    del self._tickets[len(self.found)]
                    self.found.append(answer)
        except JobCancelledError:
            # The session has ended.
            pass
        except Exception as error:  # noqa: BLE001 - the page shows it, in whatever thread it happened
            self.error = error
        finally:
            for ticket in self._tickets.values():
                ticket.cancel()
            self._tickets = {}

    def _submit_next(self) -> None:
        for number in range(len(self.found), min(len(self.found) + AT_ONCE, len(self.jobs))):
            if number not in self._tickets:
                # The engine lets a job replace the one before it in the same view.
                self._tickets[number] = self.jobs[number].submit(f"survey {number % AT_ONCE}")
