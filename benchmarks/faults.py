"""Failures under load, and what people notice of them: `make faults`.

Sessions use Ray Serve's two replicas continuously while a browser shows a page. Then a replica is killed, the browser's network
is cut, and the whole engine is killed and restarted. Prints the longest time without an answer, the messages, and whether
anything on screen was lost. Exits with status 1 for a wrong answer or a lost view.
"""

import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil
from playwright.sync_api import Page, sync_playwright

# A script imports from its own folder: the repository's own modules are one folder above.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.clients import Essence, Person, ask_in_turn, questions
from benchmarks.deployments import running_app, running_engine
from benchmarks.document import write_part
from benchmarks.load import answers_in_turn
from resnet_viz.engine.jobs import Job
from resnet_viz.engine.remote import RemoteEngine
from resnet_viz.settings import EngineSettings
from tests.browser.conftest import CHROMIUM
from tests.browser.screen import TIMEOUT, headings, settle
from tests.servers import free_port

PEOPLE, BEFORE, AFTER, OFFLINE = 8, 10.0, 20.0, 5.0
MODEL = "resnet20-cifar10"


@dataclass(frozen=True)
class Fault:
    """The effect of a failure: seconds without any answer, messages to people, wrong answers, whether the view stayed."""

    name: str
    silent: float
    done: int
    sentences: tuple[str, ...]
    wrong: int
    kept: bool


class Crowd:
    """Simulated people who send requests continuously, and the times of their answers."""

    def __init__(self, engine: RemoteEngine, jobs: list[Job], right: dict[Job, Essence]) -> None:
        self._people = [Person(f"person-{number}") for number in range(PEOPLE)]
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=ask_in_turn, args=(engine, person, jobs[number::PEOPLE], right, self._stop))
            for number, person in enumerate(self._people)
        ]
        for thread in self._threads:
            thread.start()

    def leave(self) -> None:
        """Stop everybody."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def watch(self, name: str, act: Callable[[], None], still_there: Callable[[], bool]) -> Fault:
        """Cause a failure, observe for a while, and report its effect."""
        sentences, wrong, done = self._told(), self._wrong(), self._done()
        counts, ended = [(time.monotonic(), done)], threading.Event()

        def count() -> None:
            while not ended.wait(0.05):
                if self._done() > counts[-1][1]:
                    counts.append((time.monotonic(), self._done()))

        watcher = threading.Thread(target=count)
        watcher.start()
        act()
        kept = still_there()
        time.sleep(AFTER)
        kept = kept and still_there()
        ended.set()
        watcher.join()
        times = [at for at, _ in counts] + [time.monotonic()]
        silent = max(after - before for before, after in pairwise(times))
        new = tuple(sorted(set(self._told()[len(sentences) :])))
        return Fault(name, silent, self._done() - done, new, self._wrong() - wrong, kept)

    def _told(self) -> list[str]:
        return [sentence for person in self._people for sentence in person.sentences]

    def _wrong(self) -> int:
        return sum(person.wrong for person in self._people)

    def _done(self) -> int:
        return sum(len(person.seconds) for person in self._people)


def main() -> int:
    """Cause the failures in turn, print, write; return the exit status."""
    jobs = questions(MODEL, trained=True, pictures=20, targets=10, side=64)
    right = answers_in_turn(jobs)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        found = break_things(page, jobs, right)
        browser.close()
    text = "\n".join(_text(fault) for fault in found)
    print(text)
    write_part("faults", f"# Failures under load\n\n{PEOPLE} sessions and a browser use Ray Serve with two replicas.\n\n{text}")
    return 1 if any(fault.wrong or not fault.kept for fault in found) else 0


def break_things(page: Page, jobs: list[Job], right: dict[Job, Essence]) -> list[Fault]:
    """Start everything, and cause the failures in turn."""
    port = free_port()
    with running_app(f"http://127.0.0.1:{port}") as (url, _), ExitStack() as engines:
        serving = engines.enter_context(running_engine(port))
        page.goto(f"{url}/?model={MODEL}&target=3")
        settle(page)
        shown = headings(page)
        engine = RemoteEngine(f"http://127.0.0.1:{port}", settings=EngineSettings(results_mb=0))
        crowd = Crowd(engine, jobs, right)
        time.sleep(BEFORE)

        def stays() -> bool:
            return headings(page) == shown

        def engine_away() -> None:
            _kill([psutil.Process(serving.pid)])
            page.locator("[class*='-sample-cifar-ship'] button").first.click()
            page.get_by_text("cannot be reached").wait_for(timeout=TIMEOUT)
            settle(page)

        found = [
            crowd.watch("A replica is killed", lambda: _kill(_replicas(serving.pid)[:1]), stays),
            crowd.watch(f"A browser is offline for {OFFLINE:.0f} s", lambda: _cut(page), stays),
            crowd.watch("The engine is killed while a person opens another image", engine_away, stays),
        ]
        engines.enter_context(running_engine(port))
        page.get_by_text("cannot be reached").wait_for(state="detached", timeout=TIMEOUT)

        def opened() -> bool:
            return any("predicts: ship (" in heading for heading in headings(page))

        found.append(crowd.watch("The engine is back, and the image opens without a click", lambda: settle(page), opened))
        crowd.leave()
        engine.close()
    return found


def _replicas(pid: int) -> list[psutil.Process]:
    return [process for process in psutil.Process(pid).children(recursive=True) if "ServeReplica" in process.name()]


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        for each in (*process.children(recursive=True), process):
            each.send_signal(signal.SIGKILL)


def _cut(page: Page) -> None:
    page.context.set_offline(offline=True)
    time.sleep(OFFLINE)
    page.context.set_offline(offline=False)
    settle(page)


def _text(fault: Fault) -> str:
    told, screen = "; ".join(fault.sentences) or "none", "stayed on screen" if fault.kept else "WAS LOST"
    return (
        f"- {fault.name}: {fault.done} results, at most {fault.silent:.1f} s without one; messages to people: {told}; wrong"
        f" results: {fault.wrong}; the view {screen}."
    )


if __name__ == "__main__":
    sys.exit(main())
