"""People who ask an engine for inspections: what they ask, what they get, and how long it took them."""

import hashlib
import io
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle

import numpy as np

from benchmarks.subjects import picture
from resnet_viz.analyses.inspection import Inspection
from resnet_viz.engine.interface import Engine, EngineError, Job, JobCancelledError


@dataclass
class Person:
    """One session: how long each of its answers took, in seconds, what went wrong in sentences, and wrong answers."""

    name: str
    seconds: list[float] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    wrong: int = 0


def questions(model: str, *, trained: bool, pictures: int, targets: int, side: int) -> list[Job]:
    """Inspections of seeded pictures, `side` pixels square, for each of the first classes."""
    jobs = []
    for seed in range(pictures):
        file = io.BytesIO()
        picture(side, seed).save(file, "PNG")
        data, digest = file.getvalue(), hashlib.sha256(file.getvalue()).hexdigest()
        jobs += [Job("inspection", model, digest, target, trained=trained, data=data) for target in range(targets)]
    return jobs


def fingerprint(found: Inspection) -> str:
    """Tell one answer from another: every measure, every logit, and the maps that came along.

    Rounded to four digits, since images that share a pass differ in the last ones.
    """
    numbers = [*(value for block in found.blocks for value in vars(block.measures).values())]
    numbers += [prediction.logit for prediction in found.predictions]
    maps = [
        float(np.abs(values).sum(dtype=np.float64))
        for block in found.blocks
        if block.maps is not None
        for values in (block.residual, block.sum, block.grad_input)
    ]
    text = " ".join(f"{value:.3e}" for value in [*numbers, *maps])
    return hashlib.sha256(text.encode()).hexdigest()


def ask_in_turn(engine: Engine, person: Person, jobs: Sequence[Job], right: dict[Job, str], stop: threading.Event) -> None:
    """Ask one question after the other until told to stop, and check every answer."""
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
        person.wrong += fingerprint(found) != right[job]


def crowd(engine: Engine, people: int, jobs: Sequence[Job], right: dict[Job, str], seconds: float) -> list[Person]:
    """Let people ask at the same time, each the questions in an order of their own, for so many seconds."""
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
