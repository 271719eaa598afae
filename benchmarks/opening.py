"""How much longer the first network of a process takes to open than to build, because the blocks are found in its graph."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contest import Row, Spread
from resnet_viz.nets.zoo import DEFAULT_MODEL

PROCESSES = 7
SCRIPT = """
import time
import torchvision
import resnet_viz as rv
times = []
for act in (lambda: torchvision.models.{built}, lambda: rv.{opened}):
    start = time.perf_counter()
    act()
    times.append(time.perf_counter() - start)
print(times[1] - times[0])
"""


@dataclass(frozen=True)
class _Case:
    """A call of torchvision's models, one of ours, and how many seconds longer ours may take."""

    title: str
    built: str
    opened: str
    limit: float


CASES = (
    _Case("ResNet-50", "resnet50()", "load('resnet50', weights=None)", 1.0),
    _Case("ResNet-18 Imagenette with its weights", "resnet18(num_classes=11)", f"load('{DEFAULT_MODEL}')", 0.2),
)


def opening_rows() -> list[Row]:
    """Measure each case in several new processes."""
    return [_row(case) for case in CASES]


def _row(case: _Case) -> Row:
    meaning = (
        f"The time to open a {case.title} as the first network of a new process, less the time that torchvision takes to build"
        f" it, as a share of {case.limit:g} s. The spread is over {PROCESSES} processes."
    )
    shares = [_seconds_more(case) / case.limit for _ in range(PROCESSES)]
    return Row(
        f"opening, {case.title}",
        meaning,
        "ResNet Viz",
        "a network whose blocks are found",
        Spread.of(shares),
        "of the limit",
        1.0,
    )


def _seconds_more(case: _Case) -> float:
    script = SCRIPT.format(built=case.built, opened=case.opened)
    command, folder = [sys.executable, "-c", script], Path(__file__).parents[1]
    answer = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)  # noqa: S603 - our own script
    return float(answer.stdout)
