"""Jobs and tickets: how an analysis is requested from an engine and followed, the same wherever it runs.

>>> from resnet_viz.images import digest
>>> job = Job("inspection", "resnet20-cifar10", digest(data), data=data)
>>> ticket = engine.submit(job, session="a")
>>> while not ticket.wait(0.1):
...     progress = ticket.progress
>>> ticket.answer().title
'ResNet-20'
"""

from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError, wait
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from resnet_viz.analyses.activations import Array
from resnet_viz.engine.store import EVERYBODY
from resnet_viz.nets.preprocessing import Framing
from resnet_viz.nets.zoo import ModelInfo

OptionValue = str | int | float | bool | None


class EngineError(RuntimeError):
    """A job that could not be done; the message is for the user."""


class BusyError(EngineError):
    """Too many jobs are waiting already to accept this one."""


class AwayError(EngineError):
    """The engine cannot be reached at the moment; the same job may succeed a little later."""


class JobCancelledError(Exception):
    """Nobody waits for the answer any more, or a newer job has replaced this one."""


@dataclass(frozen=True)
class Job:
    """One analysis of one image by one network. Two jobs are equal if their answers are.

    `kind` is a key of `resnet_viz.engine.job_types.JOB_TYPES`, `model` a network of the catalogue, `image` the SHA-256 of
    `data`, which are the image's bytes, and `target` a class index, or None for the predicted class. `owner` identifies the
    session that uploaded the checkpoint, together with its settings; it is empty for the catalogue's networks. `framing` is the
    framing of the preprocessing: which part of the image the network sees. A `public` image ships with the app, so any session
    may share its results.
    """

    kind: str
    model: str
    image: str
    target: int | None = None
    options: tuple[tuple[str, OptionValue], ...] = ()
    trained: bool = True
    owner: str = ""
    framing: Framing = "crop"
    data: bytes = field(default=b"", repr=False, compare=False)
    public: bool = field(default=False, compare=False)

    def option(self, name: str) -> OptionValue:
        """Return an option, or None if it is not given."""
        return dict(self.options).get(name)

    def without(self, *names: str) -> tuple[tuple[str, OptionValue], ...]:
        """Return the options except the named ones."""
        return tuple(pair for pair in self.options if pair[0] not in names)


def owner_of(job: Job, session: str) -> str:
    """The owner of an answer: everybody if image and network are public, else the session."""
    return EVERYBODY if job.public and not job.owner else session


@dataclass(frozen=True, eq=False)
class Progress:
    """The progress of a job: how many are `ahead` of it while it waits; then, with None ahead, `done` of `total` steps.

    `partial` is the partial map, (H, W), of a job that produces one.
    """

    ahead: int | None = None
    done: int = 0
    total: int = 0
    partial: Array | None = None


class Ticket:
    """A person's claim to the answer of a job; any thread may wait for it and cancel it."""

    def __init__(self, job: Job, session: str, watch: Callable[["Ticket"], Progress], drop: Callable[["Ticket"], None]) -> None:
        self.job = job
        self.session = session
        self._watch, self._drop = watch, drop
        self._future: Future[Any] = Future()

    @property
    def progress(self) -> Progress:
        """The progress of the job."""
        return self._watch(self)

    @property
    def finished(self) -> bool:
        """Whether there is an answer, or an error."""
        return self._future.done()

    def wait(self, seconds: float) -> bool:
        """Wait at most this long; True once it has finished."""
        wait([self._future], seconds)
        return self.finished

    def answer(self) -> Any:  # noqa: ANN401 - each kind's own result
        """Wait for the answer and return it.

        Raises what the analysis raised, EngineError with a sentence, or JobCancelledError.
        """
        return self._future.result()

    def cancel(self) -> None:
        """Give up the answer; nothing happens if it is already there."""
        if not self.finished:
            self._drop(self)

    def when_finished(self, call: Callable[[], None]) -> None:
        """Call a function, from any thread, as soon as there is an answer or an error."""
        self._future.add_done_callback(lambda _: call())

    def settle(self, answer: object) -> None:
        """Set the answer, or the exception in its place; the first call counts."""
        with suppress(InvalidStateError):
            if isinstance(answer, BaseException):
                self._future.set_exception(answer)
            else:
                self._future.set_result(answer)


class Engine(Protocol):
    """Runs jobs for sessions, each identified by a text of the caller's; thread-safe."""

    def submit(self, job: Job, session: str, view: str = "") -> Ticket:
        """Accept a job; an unfinished one of the same session and view is replaced.

        A view is a place on the session's page, by default one for each type of job. Raises BusyError if too many jobs wait,
        and ValueError for an unknown type.
        """
        ...

    def leave(self, session: str) -> None:
        """Forget a session: its jobs are cancelled, and results computed only for it are dropped."""
        ...

    def models(self) -> list[ModelInfo]:
        """Return the catalogue with the weights that the engine has; raises EngineError."""
        ...

    def check(self) -> str:
        """Test whether it can be reached and works, by using it; say what was done, EngineError if it fails."""
        ...

    def ready(self) -> bool:
        """Whether it can be reached and works."""
        ...
