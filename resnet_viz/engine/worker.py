"""What a worker does with its runs: loading the network, opening the image, the analysis, and handling exhausted memory."""

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
from resnet_viz.analyses.survey.items import ImageOpener
from resnet_viz.engine.cancellation import InterruptibleNet
from resnet_viz.engine.job_types import JOB_TYPES, JobType, Task
from resnet_viz.engine.jobs import EngineError, Job, JobCancelledError, Progress, Ticket
from resnet_viz.engine.models import Models
from resnet_viz.images import ImageError, open_image
from resnet_viz.nets.checkpoints.loading import Checkpoint
from resnet_viz.nets.net import Net, WeightsError
from resnet_viz.nets.zoo import CIFAR

# Errors of an analysis that have their own sentence.
REFUSALS = (EngineError, ImageError, WeightsError, ValueError)
# After the first try, with passes of a quarter, a sixteenth and a sixty-fourth of the images.
RETRIES = 3


log = logging.getLogger(__name__)


@dataclass(eq=False)
class Run:
    """A computation and everybody who waits for it; it is stopped when nobody does.

    `net` is None for networks of the catalogue, `checkpoint` for jobs that decide about none.
    """

    job: Job
    kind: JobType
    net: Net | None = None
    checkpoint: Checkpoint | None = None
    tickets: list[Ticket] = field(default_factory=list)
    started: bool = False
    progress: Progress = field(default_factory=Progress)
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def company(self) -> Hashable:
        """Equal for runs that can go through the network in one pass."""
        return (self.job.kind, self.job.model, self.job.trained, self.job.owner, self.job.framing)

    def gains_by_company(self, device: torch.device) -> bool:
        """Whether a shared pass takes less time than separate passes.

        On a CPU this is true only for the CIFAR networks: their images are so small that most of the time is spent in the
        interpreter.
        """
        return self.kind.run_batch is not None and (device.type != "cpu" or self.job.model in CIFAR)


@dataclass(frozen=True)
class Worker:
    """Computes runs on one device.

    `recall` looks up an answer that another job needs, and `keep` keeps it; `opener` decodes uploaded images.
    """

    device: torch.device
    nets: Models
    recall: Callable[[Job, Run], Any]
    keep: Callable[[Job, Run, Any], None]
    opener: ImageOpener = open_image

    def answers(self, runs: list[Run]) -> list[Any]:
        """Compute runs, in one pass if possible; an answer that cannot be computed is replaced by the error."""
        batch = runs[0].kind.run_batch
        if batch is not None and len(runs) > 1:
            try:
                return batch([self._task(run, runs) for run in runs])
            except Exception:  # noqa: BLE001 - whatever it was, it is found out one by one
                log.info("a pass of %d jobs failed and is repeated one by one", len(runs))
        return [self._answer(run) for run in runs]

    def _answer(self, run: Run) -> Any:  # noqa: ANN401 - each kind's own result
        try:
            return _in_memory(lambda: run.kind.run(self._task(run, [run])))
        except (JobCancelledError, *REFUSALS) as error:
            # Its frames hold tensors, and people's images.
            return error.with_traceback(None)
        except Exception:
            log.exception("%s by %s failed", run.job.kind, run.job.model)
            return EngineError("The analysis failed unexpectedly; the server's log says why. Try another image or network.")

    def _task(self, run: Run, together: list[Run]) -> Task:
        """Everything that a job needs; a pass that several runs share continues while one of them is wanted."""

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
                answer = JOB_TYPES[job.kind].run(replace(task, job=job, report=silent))
                self.keep(job, run, answer)
            return answer

        def net() -> Net:
            found = run.net or self.nets.get(run.job.model, run.job.trained, self.device)
            framed = replace(found, preprocessing=replace(found.preprocessing, framing=run.job.framing))
            return InterruptibleNet.of(framed, check)

        task = Task(run.job, net, partial(_picture, run.job, self.opener), report, ask, self.opener, run.checkpoint)
        return task


def _picture(job: Job, opener: ImageOpener) -> Image.Image:
    if hashlib.sha256(job.data).hexdigest() != job.image:
        raise EngineError("The image was damaged on its way. Reload the page.")
    return opener(job.data)


def _in_memory(compute: Callable[[], Any]) -> Any:  # noqa: ANN401 - each kind's own result
    """Compute; if memory runs out, again with fewer images per pass each time, and finally with a sentence."""
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
        "There is not enough memory for this analysis. Choose a smaller network, or try again when others have finished."
    )


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
