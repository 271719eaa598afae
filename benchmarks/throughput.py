"""Inspections per second of one process, the number that docs/scaling.md calculates with.

    python benchmarks/throughput.py                      # resnet20-cifar10 and resnet50, one thread and two
    python benchmarks/throughput.py --device cuda

Each with passes of 1, 2, 4 and 8 images. Only a worker's part is timed: from the decoded image to the answer, the complete
inspection. Run it on an idle machine, with the MALLOC_* variables of the Makefile. Missing trained weights are replaced by
random ones, which take the same time.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch
from PIL import Image

# A script imports from its own folder: the repository's own modules are one folder above.
sys.path.insert(0, str(Path(__file__).parents[1]))

import resnet_viz as rv
from resnet_viz.analyses.inspection import inspect_batch
from resnet_viz.nets.net import Net, pick_device

MODELS = ("resnet20-cifar10", "resnet50")
PICTURE = Path(__file__).parents[1] / "assets" / "samples" / "cifar-cat.jpg"
WARM_UP, ROUNDS, ROUND_SECONDS = 3, 5, 3.0


@dataclass(frozen=True)
class Throughput:
    """Inspections per second: the median of the rounds, and the slowest and the fastest one."""

    model: str
    device: str
    threads: int
    batch: int
    median: float
    least: float
    most: float

    def __str__(self) -> str:
        setting = f"{self.threads} threads, {self.batch} a pass"
        return f"{self.model:18} {self.device:6} {setting:20} {self.median:8.2f} /s   {self.least:.2f} to {self.most:.2f}"


def measure(net: Net, image: Image.Image, batch: int, seconds: float = ROUND_SECONDS) -> Throughput:
    """Inspect the same image for some seconds, several times."""
    for _ in range(WARM_UP):
        _pass(net, image, batch)
    rates = sorted(_rate(net, image, batch, seconds) for _ in range(ROUNDS))
    threads = torch.get_num_threads()
    return Throughput(net.name, net.device.type, threads, batch, statistics.median(rates), rates[0], rates[-1])


def _rate(net: Net, image: Image.Image, batch: int, seconds: float) -> float:
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        _pass(net, image, batch)
        done += batch
    return done / (time.perf_counter() - started)


def _pass(net: Net, image: Image.Image, batch: int) -> None:
    # The answer is on the CPU: nothing is left to wait for.
    inspect_batch(net, [image] * batch, [None] * batch)


def _settings(device: str) -> Iterator[tuple[int, int]]:
    """Threads and images per pass."""
    yield from product((1, 2) if device == "cpu" else (torch.get_num_threads(),), (1, 2, 4, 8))


def main() -> None:
    """Measure and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    device = pick_device(parser.parse_args().device)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start; other processes make every number too small")
    image = rv.open_image(PICTURE)
    for model in MODELS:
        net = rv.load(model, weights="trained" if model in _here() else None, device=device)
        for threads, batch in _settings(device.type):
            torch.set_num_threads(threads)
            print(measure(net, image, batch), flush=True)


def _here() -> set[str]:
    return {info.name for info in rv.list_models() if info.here}


if __name__ == "__main__":
    main()
