"""What a worker does with the runs it takes: the network, the picture, the analysis, and what to do when memory runs out."""

import gc
import hashlib
import logging
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from PIL import Image

from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.context import smaller_passes
from resnet_viz.engine.cancellation import InterruptibleNet
from resnet_viz.engine.job_types import KINDS, Kind, Task
from resnet_viz.engine.jobs import EngineError, Job, JobCancelledError, Progress, Ticket
from resnet_viz.engine.models import Models
from resnet_viz.images import ImageError, open_image
from resnet_viz.nets.net import Net, WeightsError
from resnet_viz.nets.zoo import CIFAR

# What an analysis refuses with a sentence of its own.
REFUSALS = (EngineError, ImageError, WeightsError, ValueError)
# After the first try with passes of a quarter, a sixteenth and a sixty-fourth of the pictures.
RETRIES = 3

Opener = Callable[[bytes], Image.Image]

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Run:
    """A computation and everybody who waits for it; it is stopped when nobody does. `net` is None for the catalogue's."""

    job: Job
    kind: Kind
    net: Net | None = None
    tickets: list[Ticket] = field(default_factory=list)
    started: bool = False
    progress: Progress = field(default_factory=Progress)
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def company(self) -> Hashable:
        """What runs have in common that can go through the network in one pass."""
        return (self.job.kind, self.job.model, self.job.trained, self.job.owner, self.job.framing)

    def gains_by_company(self, device: torch.device) -> bool:
        """Whether a pass with others takes less time than one after the other.

        On a processor with the CIFAR networks alone, whose pictures are so small that the interpreter takes most of the time.
        """
        return self.kind.run_batch is not None and (device.type != "cpu" or self.job.model in CIFAR)


@dataclass(frozen=True)
class Worker:
    """Computes runs on one device.

    `recall` looks an answer up that another job needs, and `keep` keeps it; `opener` makes images of what people sent.
    """

    device: torch.device
    nets: Models
    recall: Callable[[Job, Run], Any]
    keep: Callable[[Job, Run, Any], None]
    opener: Opener = open_image

    def answers(self, runs: list[Run]) -> list[Any]:
        """Compute what is asked, in one pass where that can be; in place of an answer that cannot be had, why not."""
        batch = runs[0].kind.run_batch
        if batch is not None and len(runs) > 1:
            try:
                return batch([self._task(run, runs) for run in runs])
            except Exception:  # noqa: BLE001 - whatever it was, it is found out one by one
                log.info("a pass of %d jobs failed and is done one by one", len(runs))
        return [self._answer(run) for run in runs]

    def _answer(self, run: Run) -> Any:  # noqa: ANN401 - each kind's own result
        try:
            return _in_memory(lambda: run.kind.run(self._task(run, [run])))
        except (JobCancelledError, *REFUSALS) as error:
            # Its frames hold tensors, and people's pictures.
            return error.with_traceback(None)
        except Exception:
            log.exception("%s by %s failed", run.job.kind, run.job.model)
            return EngineError("The analysis failed unexpectedly; the server's log says why. Try another picture or network.")

    def _task(self, run: Run, together: list[Run]) -> Task:
        """All that a job takes; a pass that several runs share goes on while one of them is wanted."""

        def check() -> None:
            if all(each.cancelled.is_set() for each in together):
                raise JobCancelledError

        def report(done: int, total: int, so_far: Array | None) -> None:
            check()
            run.progress = Progress(None, done, total, so_far)

        def silent(_: int, __: int, ___: Array | None) -> None:
            check()

        def ask(job: Job) -> Any:  # noqa: ANN401 - each kind's own result
            answer = self.recall(job, run)
            if answer is None:
                answer = KINDS[job.kind].run(replace(task, job=job, report=silent))
                self.keep(job, run, answer)
            return answer

        def net() -> Net:
            found = run.net or self.nets.get(run.job.model, run.job.trained, self.device)
            framed = replace(found, preprocessing=replace(found.preprocessing, framing=run.job.framing))
            return InterruptibleNet.of(framed, check)

        task = Task(run.job, net, partial(_picture, run.job, self.opener), report, ask, self.opener)
        return task


def _picture(job: Job, opener: Opener) -> Image.Image:
    if hashlib.sha256(job.data).hexdigest() != job.image:
        raise EngineError("The picture did not arrive as it was sent: load the page again.")
    return opener(job.data)


def _in_memory(compute: Callable[[], Any]) -> Any:  # noqa: ANN401 - each kind's own result
    """Compute; where memory runs out, again with ever fewer pictures a pass, and with a sentence in the end."""
    for attempt in range(RETRIES + 1):
        try:
            with smaller_passes(4**attempt):
                return compute()
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
        # Not in the handler: until it ends, the exception's frames hold the tensors.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    raise EngineError(
        "There is not enough memory left for this: take a smaller network, or try again when others have finished."
    )


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
