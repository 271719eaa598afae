"""Does anything accumulate? 500 inspections of different images by 20 sessions through the local engine: `make soak`.

Resident memory has to be flat once the store of answers is full, and hooks, threads, files and answers have to be gone at the
end. Exits with status 1 if that fails.
"""

import gc
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

# A script imports from its own folder: the repository's own modules are one folder above.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.clients import questions
from benchmarks.document import write_part
from resnet_viz.engine.jobs import Job
from resnet_viz.engine.local import LocalEngine
from resnet_viz.settings import EngineSettings

MODEL, SESSIONS, EACH = "resnet50", 20, 25
# After this many, the store is full and the allocator has seen everything once.
WARM_UP = 150
MOST_GROWTH = 0.02


@dataclass(frozen=True)
class Soaked:
    """`resident` bytes after each inspection after the warm-up; and what is left at the end that was not there before."""

    resident: list[int]
    threads: int
    files: int
    hooks: int
    kept: int

    @property
    def growth(self) -> float:
        """The rise of the straight line through the memory from first to last, as a share of its mean."""
        slope = np.polyfit(np.arange(len(self.resident)), self.resident, 1)[0]
        return float(slope * (len(self.resident) - 1) / np.mean(self.resident))

    @property
    def passed(self) -> bool:
        """Whether nothing accumulated."""
        return abs(self.growth) <= MOST_GROWTH and not (self.threads or self.files or self.hooks or self.kept)


def main() -> int:
    """Run, print, write; return the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        found = soak()
    print(_text(found))
    write_part("soak", "# Memory and resources over a long run\n\n" + _text(found))
    return 0 if found.passed else 1


def soak() -> Soaked:
    """Let the sessions send requests in turn, each with a new image, and leave."""
    process, before = psutil.Process(), threading.active_count()
    files = _files(process)
    engine = LocalEngine(EngineSettings(), ["cpu"])
    jobs = questions(MODEL, trained=False, pictures=SESSIONS * EACH, targets=1, side=256)
    resident = []
    started = time.monotonic()
    for number, job in enumerate(jobs):
        engine.submit(_any_class(job), f"session {number % SESSIONS}").answer()
        if number >= WARM_UP:
            resident.append(process.memory_info().rss)
        if number % 50 == 49:
            print(f"{number + 1} of {len(jobs)}, {process.memory_info().rss >> 20} MiB, {time.monotonic() - started:.0f} s")
    hooks = _hooks(engine)
    for number in range(SESSIONS):
        engine.leave(f"session {number}")
    kept = engine.nbytes
    engine.close()
    gc.collect()
    return Soaked(resident, threading.active_count() - before, len(_files(process) - files), hooks, kept)


def _any_class(job: Job) -> Job:
    return Job(job.kind, job.model, job.image, trained=job.trained, data=job.data)


def _hooks(engine: LocalEngine) -> int:
    net = engine.nets.get(MODEL, False, engine.devices[0])
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks)  # noqa: SLF001 - nowhere else
        for module in net.module.modules()
    )


def _files(process: psutil.Process) -> set[str]:
    return {file.path for file in process.open_files()} | {str(path) for path in Path(tempfile.gettempdir()).iterdir()}


def _text(found: Soaked) -> str:
    mean = np.mean(found.resident) / 2**20
    return (
        f"{SESSIONS} sessions make {SESSIONS * EACH} inspections of different images with {MODEL} (random weights) in one"
        " process.\n\n"
        f"- Resident memory after the first {WARM_UP} inspections is {mean:,.0f} MiB on average. A straight line fitted to it"
        f" changes by {found.growth:+.2%} from the first to the last (limit {MOST_GROWTH:.0%}).\n"
        f"- Left at the end: {found.threads} threads, {found.files} files, {found.hooks} hooks and {found.kept} bytes of"
        " results.\n"
        f"- {'Passed' if found.passed else 'FAILED'}."
    )


if __name__ == "__main__":
    sys.exit(main())
