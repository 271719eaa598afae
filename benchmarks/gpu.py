"""On a GPU: the tests, inspections per second, and the ratios to the bare pass, in at most nine minutes: `make gpu`.

    python benchmarks/gpu.py                    # tests, throughput, ratios; writes a part of RESULTS.md under the card's name
    python benchmarks/gpu.py --tests-only

Needs torch, torchvision and the packages in requirements.txt, and pytest for the tests. Without a GPU it says so and ends with
status 2.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch

# A script imports from its own folder: the repository's own modules are one folder above.
sys.path.insert(0, str(Path(__file__).parents[1]))

import resnet_viz as rv
from benchmarks.contest import Contestant, Row, Work, compete
from benchmarks.document import write_part
from benchmarks.subjects import picture
from benchmarks.throughput import Throughput, measure
from resnet_viz.analyses.activations import activations
from resnet_viz.nets.net import Net

ROOT = Path(__file__).parents[1]
ROUNDS, SECONDS_A_WORK, TEST_SECONDS = 30, 30, 180
STEPS, BATCH = 32, 8
MODELS = ("resnet20-cifar10", "resnet18-imagenette", "resnet50")
BATCHES = (1, 8, 32)
SECONDS_A_RATE = 1.0


def main() -> int:
    """Run everything and write the results; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests-only", action="store_true", help="run the tests alone")
    asked = parser.parse_args()
    if not torch.cuda.is_available():
        print("There is no CUDA device on this machine: nothing was measured.")
        return 2
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_cuda.py"]
    tests = subprocess.run(  # noqa: S603 - our own command
        command, cwd=ROOT, timeout=TEST_SECONDS, check=False, stdout=subprocess.PIPE, text=True
    )
    print(tests.stdout)
    if asked.tests_only:
        return tests.returncode
    rates = [row for model in MODELS for row in _throughput(model)]
    rows = [row for work in _works(rv.load("resnet50", weights=None, device="cuda")) for row in compete(*work)]
    write_part("gpu", _markdown(rates, rows, tests.stdout.splitlines()[-1]))
    return tests.returncode


def _throughput(model: str) -> list[Throughput]:
    net = rv.load(model, weights=None, device="cuda")
    image = picture(net.preprocessing.resize)
    rows = []
    for batch in BATCHES:
        rows.append(measure(net, image, batch, SECONDS_A_RATE))
        print(rows[-1], flush=True)
    return rows


def _works(net: Net) -> list[tuple[Work, int, float]]:
    """What is timed on a ResNet-50, each relative to the passes that it requires at least."""
    image = picture(net.preprocessing.resize)
    x = net.preprocess(image)
    target = int(net.module(x).argmax())

    def forward() -> None:
        with torch.no_grad():
            net.module(x)

    def backward(count: int = 1) -> None:
        images = x.expand(count, -1, -1, -1).clone().requires_grad_()
        torch.autograd.grad(net.module(images)[:, target].sum(), images)

    def path() -> None:
        for _ in range(STEPS // BATCH):
            backward(BATCH)

    works = (
        ("capture", forward, lambda: activations(net, image)),
        ("inspect", backward, lambda: rv.inspect(net, image, target)),
        ("Grad-CAM of all blocks", backward, lambda: rv.block_cams(net, image, target)),
        ("integrated gradients", path, lambda: rv.attribute(net, image, "integrated_gradients", target, steps=STEPS)),
        ("conductance", path, lambda: rv.conductance(net, image, target, steps=STEPS)),
    )
    found: list[tuple[Work, int, float]] = []
    for name, bare, ours in works:
        contestants = (Contestant("bare", "", _finished(bare)), Contestant("ResNet Viz", "", _finished(ours)))
        found.append((Work(name, "", float("inf"), *contestants, peers=()), ROUNDS, SECONDS_A_WORK))
    return found


def _finished(work: Callable[[], object]) -> Callable[[], object]:
    """A work that ends when the GPU has finished it, not when it was submitted."""

    def run() -> object:
        result = work()
        torch.cuda.synchronize()
        return result

    return run


def _markdown(rates: list[Throughput], rows: list[Row], tests: str) -> str:
    lines = [
        "# Throughput and ratios on a GPU",
        "",
        (
            f"`make gpu` writes this part. {torch.cuda.get_device_name()}, torch {torch.__version__}, float32 as torch computes"
            f" it by default (convolutions in TF32), from the decoded image to arrays in CPU memory. Tests: {tests}."
        ),
        "",
        "| network | images per pass | inspections per second | slowest to fastest round |",
        "|---|---|---|---|",
        *(f"| {row.model} | {row.batch} | {row.median:.1f} | {row.least:.1f} to {row.most:.1f} |" for row in rates),
        "",
        "| ResNet-50, one image | ratio to the bare passes | 25th to 75th percentile |",
        "|---|---|---|",
        *(f"| {row.work} | {row.value.median:.2f} | {row.value.low:.2f} to {row.value.high:.2f} |" for row in rows),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
