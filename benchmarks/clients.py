"""Simulated people who request inspections from an engine: their requests, the answers, and the waiting times."""

import hashlib
import io
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from benchmarks.subjects import picture
from resnet_viz.analyses.inspection import BlockInspection, Inspection
from resnet_viz.engine.jobs import Engine, EngineError, Job, JobCancelledError


@dataclass
class Person:
    """One session: the seconds of each of its answers, errors as sentences, and the number of wrong answers."""

    name: str
    seconds: list[float] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    wrong: int = 0


def questions(model: str, *, trained: bool, pictures: int, targets: int, side: int) -> list[Job]:
    """Inspections of seeded images, `side` pixels square, for each of the first classes."""
    jobs = []
    for seed in range(pictures):
        file = io.BytesIO()
        picture(side, seed).save(file, "PNG")
        data, digest = file.getvalue(), hashlib.sha256(file.getvalue()).hexdigest()
        jobs += [Job("inspection", model, digest, target, trained=trained, data=data) for target in range(targets)]
    return jobs


@dataclass(frozen=True, eq=False)
class Essence:
    """What identifies an answer: a digest of the parts that must be equal bit for bit, and its numbers.

    `logits` are in the order of classes, `measures` (blocks, measures and maps). The digest leaves numbers out: images that
    share a pass differ in the last digits, and where such a digit decides about a ReLU, a gradient norm differs by up to 1 %.
    The answers for another image or class differ by far more.
    """

    digest: str
    logits: NDArray[np.float64]
    measures: NDArray[np.float64]

    @classmethod
    def of(cls, found: Inspection) -> "Essence":
        """Extract it from an answer."""
        shown = [(block.name, block.maps.error) for block in found.blocks if block.maps is not None]
        exact = hashlib.sha256(found.seen.tobytes() + repr((found.model, found.target, shown)).encode())
        logits = [prediction.logit for prediction in sorted(found.predictions, key=lambda each: each.index)]
        measures = [[*asdict(block.measures).values(), *_sums(block)] for block in found.blocks]
        return cls(exact.hexdigest(), np.array(logits), np.array(measures, np.float64))

    def agrees(self, other: "Essence") -> bool:
        """Whether both are the same answer; measures are compared to 2 % of their largest value over all blocks."""
        # A measure that takes separate passes is NaN in every block.
        scale = np.nan_to_num(np.abs(other.measures)).max(axis=0)
        near = np.abs(self.measures - other.measures) <= 0.02 * scale
        return (
            self.digest == other.digest
            and bool(np.allclose(self.logits, other.logits, atol=1e-3))
            and bool((near | np.isnan(self.measures) & np.isnan(other.measures)).all())
        )


def _sums(block: BlockInspection) -> list[float]:
    maps = () if block.maps is None else (block.residual, block.sum, block.grad_input)
    return [float(np.abs(values).sum(dtype=np.float64)) for values in maps] or [0.0, 0.0, 0.0]


def ask_in_turn(engine: Engine, person: Person, jobs: Sequence[Job], right: dict[Job, Essence], stop: threading.Event) -> None:
    """Send one request after the other until told to stop, and check every answer."""
    for job in cycle(jobs):
        if stop.is_set():
            return
        started = time.perf_counter()
        try:
            found = engine.submit(job, person.name).answer()
        except (EngineError, JobCancelledError) as error:
            person.sentences.append(str(error))
            stop.wait(0.5)
            continue
        person.seconds.append(time.perf_counter() - started)
        person.wrong += not Essence.of(found).agrees(right[job])


def crowd(engine: Engine, people: int, jobs: Sequence[Job], right: dict[Job, Essence], seconds: float) -> list[Person]:
    """Let several people send requests at the same time, each in a different order, for this many seconds."""
    stop, rng = threading.Event(), np.random.default_rng(0)
    found = [Person(f"person-{number}") for number in range(people)]
    threads = [
        threading.Thread(target=ask_in_turn, args=(engine, person, list(_shuffled(jobs, rng)), right, stop)) for person in found
    ]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    return found


def _shuffled(jobs: Sequence[Job], rng: np.random.Generator) -> Iterator[Job]:
    return (jobs[index] for index in rng.permutation(len(jobs)))
