"""Thirty people's pages at once, without browsers: `make walk`.

Each is a session over its own WebSocket that opens the first page, opens blocks, changes the measure, uploads a photo, asks for
attributions and goes through lessons, with 5 to 10 seconds of thought before each step, against the local engine. Measured is
the time from a step to the last element of its page; what a page says must be what it says to somebody who is alone. Exits with
status 1 where a limit is broken, a page fails, or two people get different answers to the same question.
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

# Started as a script, Python looks for imports in this folder: the repository's own modules are one above.
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
    """Something that a person does: a page and its address, whether it asks for an inspection, or a photo to upload."""

    page: str
    link: str
    computes: bool = False
    photo: bytes = b""


@dataclass(frozen=True)
class Taken:
    """A step and what came of it."""

    step: Step
    view: View


def main() -> int:
    """Walk, print and write what happened; return the exit status."""
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
    """A person's way through the app, in an order that tells of somebody who looks around."""
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
        "# Thirty people's pages at once",
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
