"""The local engine: one worker per device behind one fair queue; results are computed once for everybody, and kept."""

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

import torch

from resnet_viz.analyses.survey.items import ImageOpener
from resnet_viz.engine.job_types import JOB_TYPES, JobType
from resnet_viz.engine.jobs import BusyError, EngineError, Job, JobCancelledError, Progress, Ticket, owner_of
from resnet_viz.engine.models import Loader, Models, load_here
from resnet_viz.engine.probe import EngineProbe
from resnet_viz.engine.queue import FairQueue
from resnet_viz.engine.store import EVERYBODY, Store
from resnet_viz.engine.worker import Run, Worker
from resnet_viz.images import open_image
from resnet_viz.nets.checkpoints.loading import Checkpoint
from resnet_viz.nets.net import Net, pick_device
from resnet_viz.nets.zoo import ModelInfo, list_models
from resnet_viz.settings import EngineSettings

STOPPING = "This server is being stopped. Try again in a minute."
BROKEN = "The analysis failed unexpectedly; the server's log says why. Try again, or choose another image or network."

log = logging.getLogger(__name__)


class HasSize(Protocol):
    """An answer that knows its memory."""

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""


class LocalEngine:
    """Runs jobs on the devices of this machine: by default every CUDA device, or else the best device available.

    `opener` decodes images from bytes; a server passes one that does it in another process.

    The threads start with the first job and end with `close`.
    """

    def __init__(
        self,
        settings: EngineSettings | None = None,
        devices: Sequence[str | torch.device] = (),
        loader: Loader = load_here,
        opener: ImageOpener = open_image,
    ) -> None:
        self.settings = settings or EngineSettings.read()
        self.devices = tuple(map(pick_device, devices)) or _devices()
        self._store: Store[HasSize] = Store(self.settings.results, lambda answer: answer.nbytes, self.settings.share)
        self.nets = Models(self.settings.models, loader)
        self._opener = opener
        self._queue: FairQueue[Run] = FairQueue()
        self._runs: dict[Job, Run] = {}
        self._latest: dict[tuple[str, str], Ticket] = {}
        self._changed = threading.Condition(threading.RLock())
        # By the number of the worker's device: a device may have several.
        self._threads: dict[int, threading.Thread] = {}
        self._working: dict[int, list[Run]] = {}
        self._probe = EngineProbe(self.devices[0], self.nets)
        self._closed = False

    def submit(
        self, job: Job, session: str, view: str = "", net: Net | None = None, checkpoint: Checkpoint | None = None
    ) -> Ticket:
        """Accept a job, as `Engine.submit`.

        `net` is the job's network if it is not one of the catalogue, `checkpoint` the one that the job is to decide about.
        """
        kind = JOB_TYPES.get(job.kind)
        if kind is None:
            raise ValueError(f"there is no kind of job {job.kind!r}: take one of {', '.join(JOB_TYPES)}")
        place, ticket = (session, view or job.kind), Ticket(job, session, self._progress, self._drop)
        with self._changed:
            older = self._latest.pop(place, None)
            kept = self._store.get(kind.whole(job), owner_of(job, session))
            answer = None if kept is None else kind.cut(kept, job)
            if answer is None:
                self._latest[place] = ticket
                self._join(Run(kind.whole(job), kind, net, checkpoint), ticket)
            else:
                ticket.settle(answer)
            # At the end, so that a run that both belong to continues.
            if older is not None:
                older.cancel()
            self._refuse_overflow(ticket)
        return ticket

    def leave(self, session: str) -> None:
        """Cancel a session's jobs, and drop results computed only for it."""
        with self._changed:
            for ticket in self._tickets():
                if ticket.session == session:
                    ticket.cancel()
            self._store.forget(session)

    def models(self) -> list[ModelInfo]:
        """Return the catalogue, and which weights are on this machine."""
        return list_models()

    def check(self) -> str:
        """Inspect a small image outside the queue, as `Engine.check`; also make sure that every worker is alive."""
        with self._changed:
            if self._closed:
                raise EngineError(STOPPING)
            self._replace_dead_threads()
        return self._probe.check()

    def ready(self) -> bool:
        """Whether it works."""
        with suppress(EngineError):
            self.check()
            return True
        return False

    def close(self) -> None:
        """Cancel everything and end the threads; no more jobs are accepted."""
        with self._changed:
            self._closed = True
            for ticket in self._tickets():
                ticket.cancel()
            self._changed.notify_all()
        for thread in self._threads.values():
            thread.join()

    @property
    def nbytes(self) -> int:
        """Memory of all answers that are kept, in bytes."""
        return self._store.nbytes

    @property
    def waiting(self) -> int:
        """How many jobs wait for a worker."""
        with self._changed:
            return len(self._queue)

    def _join(self, new: Run, ticket: Ticket) -> None:
        run = self._runs.setdefault(new.job, new)
        run.tickets.append(ticket)
        if not run.started:
            self._queue.put(ticket.session, run)
            self._replace_dead_threads()
            self._start_threads()
            self._changed.notify()

    def _refuse_overflow(self, ticket: Ticket) -> None:
        waiting = len(self._queue)
        if self._closed:
            ticket.cancel()
            raise BusyError(STOPPING)
        if waiting > self.settings.queue:
            ticket.cancel()
            raise BusyError(
                f"{waiting - 1} analyses are waiting already, the most that this server accepts. Try again in a minute."
            )

    def _start_threads(self) -> None:
        for number, device in enumerate(self.devices):
            if number not in self._threads and not self._closed:
                worker = Worker(device, self.nets, self._recall, self._keep, self._opener)
                thread = threading.Thread(target=self._live, args=(number, worker), name=f"engine-{device}", daemon=True)
                self._threads[number] = thread
                thread.start()

    def _replace_dead_threads(self) -> None:
        dead = [number for number, thread in self._threads.items() if not thread.is_alive()]
        for number in dead:
            log.error("the worker of %s died and is replaced", self.devices[number])
            del self._threads[number]
            self._give_up(number)
        if dead:
            self._start_threads()

    def _progress(self, ticket: Ticket) -> Progress:
        with self._changed:
            run = self._run_of(ticket)
            if run is None or run.started:
                return Progress() if run is None else run.progress
            busy = sum(other.started for other in self._runs.values())
            return Progress(ahead=self._queue.items().index(run) + (busy >= len(self.devices)))

    def _drop(self, ticket: Ticket) -> None:
        with self._changed:
            run = self._run_of(ticket)
            ticket.settle(JobCancelledError())
            if run is None:
                return
            run.tickets.remove(ticket)
            if all(other.session != ticket.session for other in run.tickets):
                self._queue.remove(run, ticket.session)
            if not run.tickets:
                run.cancelled.set()
                del self._runs[run.job]

    def _live(self, number: int, worker: Worker) -> None:
        """Work until the engine is closed: an exception ends only the run that caused it, and the next one is taken."""
        while not self._closed:
            try:
                self._work(number, worker)
            except BaseException:
                log.exception("the worker of %s failed and continues with the next job", worker.device)
                with self._changed:
                    self._give_up(number)

    def _work(self, number: int, worker: Worker) -> None:
        while runs := self._next(number):
            answers = worker.answers(runs)
            with self._changed:
                for run, answer in zip(runs, answers, strict=True):
                    self._settle(run, answer)
                self._finish(number)
            # A worker that waits for work must not keep anybody's tensors in memory.
            del runs, run, answers, answer

    def _give_up(self, number: int) -> None:
        """End every run that a worker has taken and not answered with a sentence."""
        for run in self._working.get(number, ()):
            self._settle(run, EngineError(BROKEN))
        self._finish(number)

    def _finish(self, number: int) -> None:
        self._working.pop(number, None)
        self._latest = {place: ticket for place, ticket in self._latest.items() if not ticket.finished}

    def _next(self, number: int) -> list[Run]:
        """Wait for a run, and add others that fit into its pass if that is faster; empty once the engine is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._queue) > 0)
            if self._closed:
                return []
            first, *others = self._queue.items()
            together = first.gains_by_company(self.devices[number])
            company = [run for run in others if together and run.company == first.company]
            self._queue.take()
            runs = [first, *company[: self.settings.batch - 1]]
            for run in runs:
                run.started = True
                self._queue.take_along(run)
            self._working[number] = runs
            return runs

    def _settle(self, run: Run, answer: Any) -> None:  # noqa: ANN401 - each kind's own result
        # A run that nobody waits for has been removed already, and another one may be in its place.
        if self._runs.get(run.job) is run:
            del self._runs[run.job]
        for ticket in run.tickets:
            ticket.settle(answer if isinstance(answer, BaseException) else self._keep_and_cut(run, ticket, answer))

    def _keep_and_cut(self, run: Run, ticket: Ticket, answer: HasSize) -> Any:  # noqa: ANN401 - each kind's own result
        """Keep an answer and return a person's part of it; if this fails, an error with a sentence."""
        try:
            owner = owner_of(ticket.job, ticket.session)
            self._store.put(run.job, self._kept(run.kind, ticket.job, owner, answer), owner)
            return run.kind.cut(answer, ticket.job)
        except Exception:
            log.exception("the answer to %s by %s could not be delivered", run.job.kind, run.job.model)
            return EngineError(BROKEN)

    def _kept(self, kind: JobType, job: Job, owner: str, answer: HasSize) -> Any:  # noqa: ANN401 - each kind's own result
        """The part of an answer that is kept: it may not displace everything else of its owner, nor anything public."""
        most = self.settings.results // 4 if owner == EVERYBODY else self.settings.share // 2
        return answer if answer.nbytes <= most else kind.slim(answer, job)

    def _recall(self, job: Job, run: Run) -> Any:  # noqa: ANN401 - each kind's own result
        return self._store.get(job, owner_of(job, _session(run)))

    def _keep(self, job: Job, run: Run, answer: HasSize) -> None:
        self._store.put(job, answer, owner_of(job, _session(run)))

    def _tickets(self) -> list[Ticket]:
        return [ticket for run in self._runs.values() for ticket in run.tickets]

    def _run_of(self, ticket: Ticket) -> Run | None:
        return next((run for run in self._runs.values() if ticket in run.tickets), None)


def _devices() -> tuple[torch.device, ...]:
    if torch.cuda.is_available():
        return tuple(torch.device("cuda", index) for index in range(torch.cuda.device_count()))
    return (pick_device("auto"),)


def _session(run: Run) -> str:
    return next((ticket.session for ticket in run.tickets), run.job.owner)
