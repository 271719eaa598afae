"""The results as text for the terminal and as RESULTS.md, with the machine, the versions and the allocator."""

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

from benchmarks.contest import Row

LIBRARIES = ("torch", "torchvision", "captum", "torchcam", "grad-cam", "torchlens", "plotly")
INTRODUCTION = """\
`make bench` writes this part: change the code in this folder, not this file. All measurements use float32, one image of
3x224x224, seeded random weights and one process, in which the contestants take turns. Each number is the median over all
rounds of the ratio to the bare pass in the same round, with the 25th and 75th percentiles in brackets. No times are given,
because they depend on the machine."""
MALLOC_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_")


@dataclass(frozen=True)
class Setting:
    """The machine and the versions; `load` is the mean number of processes that were ready to run in the minute before."""

    cpu: str
    cores: int
    threads: int
    memory_gib: int
    load: float
    versions: tuple[str, ...]
    date: str
    allocator: str

    @classmethod
    def here(cls, threads: int) -> "Setting":
        """Describe this machine and this process."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return cls(
            cpu=_cpu(),
            cores=os.cpu_count() or 1,
            threads=threads,
            memory_gib=round(memory / 2**30),
            load=os.getloadavg()[0],
            versions=(f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in LIBRARIES)),
            date=f"{datetime.now(UTC):%Y-%m-%d}",
            allocator=_allocator(),
        )


def as_text(rows: list[Row]) -> str:
    """Format the rows for a terminal, one line each."""
    lines = []
    for row in rows:
        limit = "" if row.limit is None else f"limit {row.limit:.2f}: {'EXCEEDED' if row.breaks_limit else 'met'}"
        lines.append(f"{row.work:8}  {row.name:33} {_value(row):>7} {row.unit:6}  {_spread(row):>14}  {limit}".rstrip())
    return "\n".join(lines)


def as_markdown(setting: Setting, rows: list[Row]) -> str:
    """Write the complete RESULTS.md."""
    works = [list(group) for _, group in groupby(rows, key=lambda row: row.work)]
    return "\n".join(
        [
            "# What looking costs",
            "",
            INTRODUCTION,
            "",
            *_setting_lines(setting),
            "",
            "| work | limit | ResNet Viz | other libraries |",
            "|---|---|---|---|",
            *(_summary(work) for work in works),
            "",
            *(line for work in works for line in _details(work)),
        ]
    )


def _setting_lines(setting: Setting) -> list[str]:
    cores = f"{setting.cores} cores, {setting.threads} threads used"
    return [
        f"- Machine: {setting.cpu}, {cores}, {setting.memory_gib} GiB of memory, load average {setting.load:.1f} at the start",
        f"- Versions: {', '.join(setting.versions)}",
        f"- Date: {setting.date}",
        f"- Allocator: {setting.allocator}",
    ]


def _summary(work: list[Row]) -> str:
    ours, *peers = work
    others = "; ".join(f"{row.name} {_cell(row)}" for row in peers)
    return f"| {ours.work} | {ours.limit:.2f} {ours.unit} | {_cell(ours)} | {others} |"


def _details(work: list[Row]) -> list[str]:
    ours = work[0]
    return [
        f"## {ours.work}",
        "",
        ours.meaning,
        "",
        f"| library | what it delivers | {ours.unit} | 25th to 75th percentile | measurements |",
        "|---|---|---|---|---|",
        *(f"| {row.name} | {row.delivers} | {_value(row)} | {_spread(row)} | {row.value.count} |" for row in work),
        "",
    ]


def _cell(row: Row) -> str:
    return f"{_value(row)} ({_spread(row)})"


def _value(row: Row) -> str:
    return _number(row.value.median)


def _spread(row: Row) -> str:
    return f"{_number(row.value.low)} to {_number(row.value.high)}"


def _number(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _allocator() -> str:
    chosen = [f"{name}={os.environ[name]}" for name in MALLOC_VARIABLES if name in os.environ]
    if not chosen:
        return "the defaults of the C library (`make bench` raises the thresholds of glibc, as `make run` does)"
    return f"{platform.libc_ver()[0] or 'C library'} with {', '.join(chosen)}"


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())
