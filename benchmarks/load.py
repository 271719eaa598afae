"""Thirty people at the same time: `make load`.

Twenty-six sessions use the engine through its interface and four real browsers open pages, for two minutes, first with the
local engine and then with Ray Serve and two replicas, and all of that with a small network and with the default one. Prints how
much was done, the waiting times relative to a single user's, how fair they were and whether any answer was wrong. Exits with
status 1 if a target is missed.

One thread per worker, as on Ray Serve, where two replicas have a core each.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import torch

# A script imports from its own folder: the repository's own modules are one folder above.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.browsers import READY
from benchmarks.clients import Essence, Person, ask_in_turn, crowd, questions
from benchmarks.deployments import Site, is_the_peoples, local_site, processor_seconds, ray_site, with_children
from benchmarks.document import write_part
from resnet_viz.engine.jobs import Engine, Job
from resnet_viz.engine.local import LocalEngine
from resnet_viz.settings import EngineSettings

PEOPLE, BROWSERS, SECONDS, LONE_SECONDS = 30, 4, 120.0, 15.0
LIMIT = 1.3


@dataclass(frozen=True)
class Asked:
    """What the people inspect: so many images of `side` pixels for each of the first `targets` classes, with a network."""

    model: str
    pictures: int
    targets: int
    side: int

    def jobs(self) -> list[Job]:
        """The inspections."""
        return questions(self.model, trained=True, pictures=self.pictures, targets=self.targets, side=self.side)


# A small network, whose inspections take less time than everything around them, and the app's default.
ASKED = (Asked("resnet20-cifar10", 60, 10, 64), Asked("resnet18-imagenette", 15, 4, 224))


@dataclass(frozen=True)
class Load:
    """The result of a crowd: seconds of all answers and a single user's; `slowest` session's share of the mean; bytes.

    `processor` is the CPU time of the server's processes for all of it, pages included; with the local engine it includes the
    simulated people, who run in its process.
    """

    asked: Asked
    site: str
    workers: int
    lone: float
    seconds: list[float]
    slowest: float
    wrong: int
    sentences: list[str]
    views: int
    view_sentences: list[str]
    memory: int
    processor: float

    @property
    def ratio(self) -> float:
        """The 95th percentile over thirty inspections of a single user by this many workers."""
        return float(np.percentile(self.seconds, 95) / (PEOPLE * self.lone / self.workers))

    @property
    def passed(self) -> bool:
        """Whether the targets were met."""
        return self.ratio <= LIMIT and not self.wrong and not self.view_sentences


def main() -> int:
    """Run the requested loads; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--sites", nargs="+", choices=list(SITES), default=list(SITES))
    parser.add_argument("--browsers", type=int, default=BROWSERS)
    chosen = parser.parse_args()
    found = []
    answers = {asked: answers_in_turn(asked.jobs()) for asked in ASKED}
    for name in chosen.sites:
        # Streamlit starts once in a process: a site serves both crowds.
        with SITES[name]() as site:
            for asked, right in answers.items():
                found.append(load(site, asked, right, chosen.browsers, chosen.seconds))
                print(_text(found[-1], chosen.browsers, chosen.seconds), flush=True)
    parts = [_text(each, chosen.browsers, chosen.seconds) for each in found]
    write_part("load", "# Thirty people at once\n\n" + "\n\n".join(parts))
    return 0 if all(each.passed for each in found) else 1


def answers_in_turn(jobs: list[Job]) -> dict[Job, Essence]:
    """Compute every answer alone, one after the other."""
    engine = LocalEngine(EngineSettings(results_mb=0), ["cpu"])
    right = {job: Essence.of(engine.submit(job, "alone").answer()) for job in jobs}
    engine.close()
    return right


def load(site: Site, asked: Asked, right: dict[Job, Essence], browsers: int, seconds: float) -> Load:
    """Measure the crowd, and a single user before and after it: the machine's speed may change within a minute."""
    jobs = list(right)
    alone = _lone(site.engine, jobs, right)
    most, done = [0], threading.Event()
    watcher = threading.Thread(target=_watch, args=(site.processes, most, done))
    watcher.start()
    looking = _open_browsers(site, browsers, seconds) if browsers else None
    before = processor_seconds(site.processes)
    people = crowd(site.engine, PEOPLE - browsers, jobs, right, seconds)
    seen = json.loads(looking.communicate()[0]) if looking else []
    processor = processor_seconds(site.processes) - before
    done.set()
    watcher.join()
    alone += _lone(site.engine, jobs, right)
    counts = [len(person.seconds) for person in people]
    return Load(
        asked=asked,
        site=site.name,
        workers=site.workers,
        lone=float(np.median(alone)),
        seconds=[value for person in people for value in person.seconds],
        slowest=min(counts) / float(np.mean(counts)),
        wrong=sum(person.wrong for person in people) + sum(_is_wrong(said) for each in seen for _, said in each["views"]),
        sentences=[sentence for person in people for sentence in person.sentences],
        views=sum(len(each["views"]) for each in seen),
        view_sentences=[sentence for each in seen for sentence in each["sentences"]],
        memory=most[0],
        processor=processor,
    )


def _open_browsers(site: Site, browsers: int, seconds: float) -> "subprocess.Popen[str]":
    """Browsers that are open and view pages from now on; in a separate session, because Linux shares the CPU by sessions."""
    command = [sys.executable, str(Path(__file__).with_name("browsers.py")), site.url, str(browsers), str(seconds)]
    looking = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)  # noqa: S603 - our own script
    if looking.stdout is None or looking.stdout.readline().strip() != READY:
        raise RuntimeError("the browsers did not start")
    return looking


def _lone(engine: Engine, jobs: list[Job], right: dict[Job, Essence]) -> list[float]:
    person, stop = Person("lone"), threading.Event()
    thread = threading.Thread(target=ask_in_turn, args=(engine, person, jobs, right, stop))
    thread.start()
    time.sleep(LONE_SECONDS)
    stop.set()
    thread.join()
    return person.seconds[3:]


def _is_wrong(said: str) -> bool:
    # The page's own sample is a cat, whatever the target class.
    return " predicts: cat (" not in said


def _watch(processes: tuple[psutil.Process, ...], most: list[int], done: threading.Event) -> None:
    while not done.wait(0.5):
        most[0] = max(most[0], sum(map(_resident, with_children(processes))))


def _resident(process: psutil.Process) -> int:
    try:
        return 0 if is_the_peoples(process) else int(process.memory_info().rss)
    except psutil.Error:
        return 0


SITES = {"local": local_site, "ray": ray_site}


def _text(found: Load, browsers: int, seconds: float) -> str:
    median, high = (float(np.percentile(found.seconds, share)) / found.lone for share in (50, 95))
    errors = f"{len(found.sentences)} ({'; '.join(sorted(set(found.sentences)))})" if found.sentences else "0"
    workers = "1 worker" if found.workers == 1 else f"{found.workers} workers"
    return (
        f"## {found.asked.model}: {found.site}, {workers}\n\n"
        f"{PEOPLE - browsers} sessions and {browsers} real browsers work for {seconds:.0f} s. They inspect"
        f" {found.asked.pictures} images for {found.asked.targets} classes with {found.asked.model}, without stored results."
        f" Each worker has {torch.get_num_threads()} thread, and the browsers have low priority.\n\n"
        f"- {len(found.seconds)} inspections finished. The median waiting time is {median:.1f} times that of a single user, and"
        f" the 95th percentile {high:.1f} times; the latter is {found.ratio:.2f} of the time that thirty inspections take one"
        f" after another (limit {LIMIT}).\n"
        f"- Fairness: the slowest session finished {found.slowest:.0%} of the mean number of inspections.\n"
        f"- Wrong results: {found.wrong}. Error messages: {errors}.\n"
        f"- The browsers opened {found.views} views and showed {len(found.view_sentences)} error messages.\n"
        f"- An inspection takes {1000 * found.processor / len(found.seconds):.0f} ms of one core in the server's processes; a"
        f" single user waits {1000 * found.lone:.0f} ms.\n"
        f"- Peak memory of the server: {found.memory >> 20:,} MiB.\n"
        f"- {'Passed' if found.passed else 'MISSED'}."
    )


if __name__ == "__main__":
    sys.exit(main())
