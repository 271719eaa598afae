"""Is a checkpoint ever opened as another network? Trained networks, every network that fits their tensors, five input scales.

    PYTHONPATH=. python benchmarks/doubts.py run DATA ROWS [N]   # hours of N cores; goes on where it stopped
    PYTHONPATH=. python benchmarks/doubts.py fit ROWS            # which limits would be best
    PYTHONPATH=. python benchmarks/doubts.py table ROWS          # writes the part of RESULTS.md

DATA is the folder of the training images, ROWS a file of JSON lines, N the number of processes (1 by default). See
`doubts_networks` for the networks and `doubts_table` for the outcomes.
"""

import json
import multiprocessing
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from random import Random

import torch
from torch import Tensor

from benchmarks.document import write_part
from benchmarks.doubts_networks import SCALES, Subject, as_candidate, rescaled, subjects
from benchmarks.doubts_table import Measured, as_markdown, best_limits
from resnet_viz.nets.checkpoints.loading import resnet_of
from resnet_viz.nets.checkpoints.sample_photos import sample_images
from resnet_viz.nets.checkpoints.verdicts import weigh


@dataclass(frozen=True)
class Case:
    """A network, the answers that are its truth, and an input scale; the statistics are estimated anew for other truths."""

    subject: Subject
    truth: tuple[int, ...]
    scale: str

    @property
    def is_trained(self) -> bool:
        """Whether the weights were trained with this truth."""
        return self.truth == self.subject.truth

    @property
    def key(self) -> tuple[str, str, str]:
        """Tell it from every other case."""
        return self.subject.name, self.subject.layout.name(self.truth), self.scale


def cases(data: Path) -> Iterator[Case]:
    """Yield what was trained, then every network that fits the same tensors, on one scale each, then the other scales.

    Networks and truths take turns, so that an early end leaves out some of each and not all of one.
    """
    found = sorted(subjects(data), key=lambda subject: subject.cost)
    own, *others = SCALES
    yield from (Case(subject, subject.truth, own) for subject in found)
    trained = [Case(subject, subject.truth, scale) for scale in others for subject in found]
    for shift in range(len(SCALES)):
        turns = [_turned(subject, number, shift) for number, subject in enumerate(found)]
        for place in range(max(map(len, turns))):
            yield from (each[place] for each in turns if place < len(each))
            yield from trained[:3]
            del trained[:3]
    yield from trained


def _turned(subject: Subject, number: int, shift: int) -> list[Case]:
    """The other networks with its tensors, each on one scale, in an order of its own."""
    scales = list(SCALES)
    turned = [
        Case(subject, truth, scales[(number + place + shift) % len(scales)]) for place, truth in enumerate(subject.others())
    ]
    Random(number).shuffle(turned)  # noqa: S311 - an order
    return turned


def run(data: Path, rows: Path, processes: int = 1) -> None:
    """Measure what is not in `rows` yet, one case per process at a time."""
    known = {(row.network, row.truth, row.scale) for row in read(rows)}
    left = [case for case in cases(data) if case.key not in known]
    # Forked, because the images of a subject are functions, which cannot be sent to a process.
    fork = multiprocessing.get_context("fork")
    following = fork.Value("i", 0)

    def work() -> None:
        while True:
            with following:
                place, following.value = following.value, following.value + 1
            if place >= len(left):
                return
            try:
                row = measure(left[place])
            except RuntimeError:
                # The maps on shortcut and branch do not fit together: no such network exists.
                continue
            with rows.open("a") as file:
                file.write(json.dumps(asdict(row)) + "\n")

    workers = [fork.Process(target=work) for _ in range(processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


@torch.no_grad()
def measure(case: Case) -> Measured:
    """Read one checkpoint as the product does, without a word about its preprocessing."""
    subject, layout = case.subject, case.subject.layout
    state = rescaled(subject, case.scale)
    if not case.is_trained:
        state = as_candidate(subject, state, case.truth, case.scale)
    build = partial(resnet_of, layout, state)
    begun = time.process_time()
    weighing = weigh(layout, build)
    seconds = time.process_time() - begun
    images = sample_images(weighing.preprocessing)[:24]
    decision = weighing.decision
    logits = [build(chosen)(images) for chosen in (case.truth, decision.chosen)]
    return Measured(
        network=subject.name,
        truth=layout.name(case.truth),
        scale=case.scale,
        trained=case.is_trained,
        held_out=subject.held_out,
        usual=layout.name(layout.usual),
        chosen=layout.name(decision.chosen),
        distance=_distance(*logits),
        neighbours=tuple((layout.name(each.chosen), each.t, each.error, each.change) for each in decision.neighbours),
        simpler=tuple(map(layout.name, decision.simpler)),
        is_combined=decision.is_combined,
        seconds=seconds,
    )


def _distance(truth: Tensor, found: Tensor) -> float:
    """How much the logits differ, relative to their spread over the classes."""
    return float((found - truth).norm() / (truth - truth.mean(1, keepdim=True)).norm().clamp(min=1e-12))


def read(rows: Path) -> list[Measured]:
    """Return the measurements that are there."""
    return [Measured.of(json.loads(line)) for line in rows.read_text().splitlines()] if rows.exists() else []


def main() -> None:
    """Do what the first argument says."""
    command, *paths = sys.argv[1:]
    if command == "run":
        torch.set_num_threads(1)
        run(Path(paths[0]), Path(paths[1]), *map(int, paths[2:]))
    elif command == "fit":
        for limits, wrong, asked in best_limits(read(Path(paths[0]))):
            print(limits, f"wrong {wrong}, asked {asked}")
    elif command == "table":
        write_part("doubts", as_markdown(read(Path(paths[0]))))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
