"""The cost of an analysis relative to the bare pass, and the cost of the same work in other libraries: `make bench`.

Prints ratios, never times, writes them to RESULTS.md in this folder, and exits with status 1 if a limit is exceeded.
"""

import sys
from pathlib import Path

import torch

# A script imports from its own folder: the repository's own modules are one folder above.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.contest import Row, Work, compete
from benchmarks.document import write_part
from benchmarks.experiments import experiment_works
from benchmarks.opening import opening_rows
from benchmarks.sizes import mosaic_rows
from benchmarks.subjects import make_subject
from benchmarks.surveys import survey_work
from benchmarks.tables import Setting, as_markdown, as_text
from benchmarks.traced import traced_works
from benchmarks.workloads import ablation_work, cams_work, capture_work, conductance_work, inspect_work, path_work

THREADS = 2
ROUNDS = 40
SECONDS_A_WORK = 75
RESNET_D = "timm/resnet50d"


def main() -> int:
    """Run every contest, print and write the results; return the exit status."""
    torch.set_num_threads(THREADS)
    setting = Setting.here(THREADS)
    print(f"allocator: {setting.allocator}")
    subject = make_subject()
    works = [make(subject) for make in (capture_work, inspect_work, cams_work, path_work)]
    works.append(ablation_work(subject))
    small = make_subject("resnet18")
    works += [conductance_work(small), ablation_work(small), *experiment_works(small)]
    works += [survey_work(small), survey_work(subject, images=48)]
    works += [traced_works(subject)[0], *traced_works(make_subject("convnext_tiny")), *traced_works(make_subject(RESNET_D))]
    rows = [row for work in works for row in _compete(work)]
    rows += [*opening_rows(), *mosaic_rows()]
    print(as_text(rows))
    write_part("looking", as_markdown(setting, rows))
    broken = [row for row in rows if row.breaks_limit]
    for row in broken:
        print(f"LIMIT EXCEEDED: {row.work}: {row.value.median:.2f} {row.unit}, the limit is {row.limit:.2f}")
    return 1 if broken else 0


def _compete(work: Work) -> list[Row]:
    print(f"{work.name}: up to {ROUNDS} rounds ...", flush=True)
    return compete(work, ROUNDS, SECONDS_A_WORK)


if __name__ == "__main__":
    sys.exit(main())
