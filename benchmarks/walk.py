"""The pages of thirty people at the same time, without browsers: `make walk`.

Each person is a session with a WebSocket of its own. It opens the first page, opens blocks, changes the measure, uploads a
photo, computes attributions and goes through lessons, with pauses of 5 to 10 seconds, against the local engine. Measured is the
time from an action to the last element of the page. Every page must say what it says to a single user. Exits with status 1 if a
limit is exceeded, a page fails, or two people get different answers to the same question.
"""

import random
import statistics
import sys
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import psutil

# A script imports from its own folder: the repository's own modules are one folder above.
sys.path.insert(0, str(Path(__file__).parents[1]))

from app.samples import read_samples
from benchmarks.deployments import NO_LIMIT, running_app
from benchmarks.document import write_part
from benchmarks.visitors import View, Visitor, visitor

PEOPLE, SECONDS = 30, 180.0
THOUGHT = (5.0, 10.0)
COMPUTED, INSPECTED = 1.0, 2.0
MODEL = "resnet18-imagenette"
BLOCKS = tuple(f"layer{stage}.{number}" for stage in range(1, 5) for number in range(2))
MEASURES = ("ratio", "cosine", "gradient", "cam_mass")
IMAGES = ("tortoiseshell-cat-photo", "kingfisher-photo", "macaw-photo")
LESSONS = ("adding", "block", "chain", "degradation")


@dataclass(frozen=True)
class Step:
    """An action of a person: a page and its address, whether it needs an inspection, and a photo to upload, if any."""

    page: str
    link: str
    computes: bool = False
    photo: bytes = b""


@dataclass(frozen=True)
class Taken:
    """A step and its result."""

    step: Step
    view: View


def main() -> int:
    """Walk, print and write the results; return the exit status."""
    taken: list[Taken] = []
    photos = [sample.data for sample in read_samples().values()]
    with running_app(environment=NO_LIMIT) as (url, _):
        port = int(url.rsplit(":", 1)[1])
        _warm_up(port)
        people = [threading.Thread(target=_walk, args=(port, number, photos, taken)) for number in range(PEOPLE)]
        for person in people:
            person.start()
        for person in people:
            person.join()
    text, good = _text(taken)
    print(text)
    write_part("walk", text)
    return 0 if good else 1


def steps(choose: random.Random, photos: list[bytes]) -> list[Step]:
    """The steps of one person, in an order typical for somebody who explores the app."""
    image = choose.choice(IMAGES)

    def inspect(**values: str) -> str:
        return urlencode({"model": MODEL, "image": image} | values)

    found = [Step("", inspect())]
    found += [Step("", inspect(block=block)) for block in choose.sample(BLOCKS, 3)]
    found += [Step("", inspect(block=choose.choice(BLOCKS), measure=choose.choice(MEASURES)))]
    found += [Step("", inspect(), computes=True, photo=choose.choice(photos))]
    found += [Step("attribution", inspect(method="saliency"), computes=True)]
    found += [Step("learn", f"lesson={lesson}", computes=True) for lesson in choose.sample(LESSONS, 2)]
    return found


def _warm_up(port: int) -> None:
    with visitor(port) as first:
        for image in IMAGES:
            first.open("", urlencode({"model": MODEL, "image": image}))


def _walk(port: int, number: int, photos: list[bytes], taken: list[Taken]) -> None:
    choose = random.Random(number)  # noqa: S311 - the same walk each time
    ends = time.monotonic() + SECONDS
    with visitor(port) as person:
        while time.monotonic() < ends:
            for step in steps(choose, photos):
                time.sleep(choose.uniform(*THOUGHT))
                taken.append(Taken(step, _take(person, step)))


def _take(person: Visitor, step: Step) -> View:
    if not step.photo:
        return person.open(step.page, step.link)
    person.open(step.page, step.link)
    return person.upload("photo.jpg", step.photo)


def _text(taken: list[Taken]) -> tuple[str, bool]:
    computed, inspected = (
        [each.view.seconds for each in taken if each.step.computes == computes] for computes in (False, True)
    )
    broken = sum(each.view.broken for each in taken)
    sentences = sum(bool(each.view.sentences) for each in taken)
    said = defaultdict(set)
    for each in taken:
        if not each.step.photo:
            said[each.step.page, each.step.link].add(each.view.link)
    different = sum(len(links) > 1 for links in said.values())
    rows = [
        _row("an action with everything computed, 95th percentile", _percentile(computed), COMPUTED),
        _row("an action that needs a computation, 95th percentile", _percentile(inspected), INSPECTED),
    ]
    setting = (
        f"{PEOPLE} sessions for {SECONDS:.0f} s against the local engine, on {psutil.cpu_count()} cores without a GPU:"
        f" {len(taken)} actions. {broken} pages failed, {sentences} showed a warning or an error, and {different} links led"
        " different people to different views."
    )
    lines = [
        "# The pages of thirty people at once",
        "",
        setting,
        "",
        "| measured | seconds | limit | result |",
        "|---|---|---|---|",
        *rows,
    ]
    good = not broken and not different and _percentile(computed) <= COMPUTED and _percentile(inspected) <= INSPECTED
    return "\n".join(lines), good


def _row(name: str, seconds: float, limit: float) -> str:
    return f"| {name} | {seconds:.2f} | {limit:.1f} | {'met' if seconds <= limit else 'EXCEEDED'} |"


def _percentile(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1] if len(seconds) > 1 else sum(seconds)


if __name__ == "__main__":
    sys.exit(main())
