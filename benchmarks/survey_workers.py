"""How much faster two workers of a survey on Ray are than one, on two cores: `python benchmarks/survey_workers.py`.

Prints the ratio, writes it to RESULTS.md in this folder, and exits with status 1 if two are less than 1.8 times as fast.
"""

import sys
import tempfile
from pathlib import Path

import ray

# A script imports from its own folder: the repository's own modules are one folder above.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.contest import Spread
from benchmarks.document import write_part
from benchmarks.subjects import jpeg_file
from resnet_viz.analyses.survey.running import STRONGEST, Surveyor
from resnet_viz.analyses.survey.sources import source_of
from resnet_viz.engine.ray_survey import Cluster, begin, parts_on_ray
from resnet_viz.nets.zoo import load

LIMIT = 1.8
IMAGES, WIDTH, PART, ROUNDS = 512, 320, 32, 3


def main() -> int:
    """Survey the same images by one and by two workers in turns; return the exit status."""
    surveyor = Surveyor(load(device="cpu"), None, STRONGEST)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(IMAGES):
            Path(folder, f"{number}.jpg").write_bytes(jpeg_file(WIDTH, number))
        begin("local")
        rates: dict[int, list[float]] = {1: [], 2: []}
        for round_ in range(ROUNDS):
            for workers in (1, 2) if round_ % 2 == 0 else (2, 1):
                rates[workers].append(_rate(surveyor, Path(folder), workers))
                print(f"{workers} worker(s): {rates[workers][-1]:.1f} images/s", flush=True)
        ray.shutdown()
    ratio = Spread.of([two / one for one, two in zip(rates[1], rates[2], strict=True)])
    write_part("workers", _markdown(ratio, surveyor.net.title))
    return 0 if ratio.median >= LIMIT else 1


def _rate(surveyor: Surveyor, folder: Path, workers: int) -> float:
    """Images per second while every worker is at work: from the last one's first finished part to the first one's last."""
    source = source_of(folder, None, surveyor.net.labels)
    manifest = surveyor.manifest(source)
    finished: dict[int, list[float]] = {}
    for worked in parts_on_ray(surveyor, manifest, iter(source), Cluster(workers=workers), images=PART):
        finished.setdefault(worked.process, []).append(worked.finished)
    if len(finished) < workers:
        raise RuntimeError(f"Of {workers} workers {len(finished)} made a part: survey more images, so that each has work.")
    start, end = max(map(min, finished.values())), min(map(max, finished.values()))
    together = [sorted(time for time in times if start <= time <= end) for times in finished.values()]
    return sum(PART * (len(times) - 1) / (times[-1] - times[0]) for times in together)


def _markdown(ratio: Spread, title: str) -> str:
    verdict = "" if ratio.median >= LIMIT else ": missed"
    measured = f"{ratio.median:.2f} × ({ratio.low:.2f} to {ratio.high:.2f}, {ratio.count} rounds){verdict}"
    return f"""# A survey on Ray with two workers

`python benchmarks/survey_workers.py` writes this part: a survey of {IMAGES} JPEG files of {WIDTH}x{WIDTH} pixels by the shipped
{title}, with Ray Data on one machine, in turns by one and by two workers of one thread each. Images per second are counted
while every worker is at work, on the workers' clock: from the last one's first part of {PART} images to the first one's last.

| work | at least | measured |
|---|---|---|
| images per second by two workers, relative to one | {LIMIT:g} × | {measured} |"""


if __name__ == "__main__":
    sys.exit(main())
