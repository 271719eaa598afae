"""Downloads of official weights to this machine: one background thread per file, shared by everybody on the server."""

import threading
from dataclasses import dataclass, field, replace

from torchvision.models import WeightsEnum

from resnet_viz.nets.imagenet import ARCHITECTURES
from resnet_viz.nets.net import WeightsError
from resnet_viz.nets.official import best_weights, fetch, weights_size


@dataclass(frozen=True)
class DownloadState:
    """The progress of a download, in bytes; if it has finished without a `failure`, the file is on this machine."""

    done: int
    total: int
    failure: str = ""
    finished: bool = False


class Downloads:
    """At most one download for each of the ten networks, however many people wait for it.

    A person is identified by a text. Somebody who leaves without cancelling keeps waiting: the file arrives for the next
    person.
    """

    def __init__(self) -> None:
        self._jobs: dict[str, _Job] = {}
        self._lock = threading.Lock()

    def start(self, name: str, person: str) -> None:
        """Download a network's weights for a person, or let them wait with the others; ValueError for an unknown name."""
        if name not in ARCHITECTURES:
            raise ValueError(f"{name!r} has no official weights: take one of {', '.join(ARCHITECTURES)}")
        with self._lock:
            job = self._jobs.get(name)
            if job is None or job.state.finished:
                official = best_weights(name)
                job = self._jobs[name] = _Job(DownloadState(0, weights_size(official)))
                threading.Thread(target=_run, args=(job, official), name=f"download-{name}", daemon=True).start()
            job.waiting.add(person)

    def state(self, name: str) -> DownloadState | None:
        """Its progress or its end; None if nobody requested it or everybody cancelled."""
        job = self._jobs.get(name)
        return None if job is None else job.state

    def cancel(self, name: str, person: str) -> None:
        """Stop waiting for a person; the last one stops the download, and no partial file is left."""
        with self._lock:
            job = self._jobs.get(name)
            if job is None:
                return
            job.waiting.discard(person)
            if not job.waiting:
                job.cancelled.set()
                del self._jobs[name]


@dataclass(eq=False)
class _Job:
    """A download that runs or ran; only its thread writes `state`."""

    state: DownloadState
    waiting: set[str] = field(default_factory=set)
    cancelled: threading.Event = field(default_factory=threading.Event)


class _CancelledError(Exception):
    """Nobody waits for the download any more."""


def _run(job: _Job, official: WeightsEnum) -> None:
    def on_progress(done: int, total: int) -> None:
        if job.cancelled.is_set():
            raise _CancelledError
        # While another download of the same file runs, the total is unknown.
        job.state = replace(job.state, done=done, total=total or job.state.total)

    failure = "The download failed unexpectedly; the server's log says why. Try again."
    try:
        fetch(official, on_progress)
        failure = ""
    except WeightsError as error:
        failure = str(error)
    except _CancelledError:
        failure = "The download was cancelled."
    finally:
        job.state = replace(job.state, failure=failure, finished=True)
