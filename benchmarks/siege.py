"""Thirty sessions that send inputs meant to stop a server, and a person who works meanwhile: `make siege`.

The app runs by its real command, on this machine alone, and is stopped in the middle of it. Exits with status 1 if a target is
missed.
"""

import argparse
import http.client
import io
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import median

import psutil
from websockets.exceptions import ConnectionClosed

# A script imports from its own folder: the repository's own modules are one folder above.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import siege_corpus
from benchmarks.deployments import running_app
from benchmarks.document import write_part
from benchmarks.siege_corpus import HostileFile
from benchmarks.subjects import picture
from benchmarks.visitors import View, Visitor, visitor
from resnet_viz.engine.parsing.pool import ParsingPool
from resnet_viz.images import open_image

SESSIONS, SECONDS, NICENESS = 30, 60.0, 10
# Seconds that a hostile person takes to choose what comes next, and that the measured one waits until the others are at work.
PAUSE, LATER = 5.0, 10.0
# The targets: seconds, bytes, seconds, seconds, and a ratio to the usual.
MOST_FREEZE, MOST_MEMORY, MOST_REFUSAL, MOST_END, MOST_SLOWDOWN = 1.0, 3 * 2**30, 2.0, 10.0, 1.5
# The milliseconds that parsing in another process adds to a photo of 12 megapixels.
MOST_OVERHEAD, REPEATS = 30.0, 15
HEALTH_EVERY, MEMORY_EVERY = 0.05, 1.0
CALM_SECONDS = 10.0
BLOCKS = ("layer1.0", "layer2.0", "layer3.0", "layer1.2", "layer2.2", "layer3.2")

# The argument with which this script is one of the crowds.
ATTACK = "--attack"
Attack = Callable[[Visitor], "Outcome"]


@dataclass(frozen=True)
class Outcome:
    """The response to an attack: `kind` is "sentence", "opened", "default", "hung up" or "error page"."""

    attack: str
    kind: str
    seconds: float = 0.0


@dataclass
class Siege:
    """The observations: freezes of the health route, memory, responses to attacks, and another person's waiting times.

    `refusals` are those of one more session, which sends every file once while the others attack; `usual` and `others` are that
    person's seconds per page before and during the siege.
    """

    freezes: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    refusals: list[Outcome] = field(default_factory=list)
    usual: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    broken_for_others: int = 0

    @property
    def kinds(self) -> Counter[str]:
        """How many attacks had which kind of answer."""
        return Counter(outcome.kind for outcome in self.outcomes)

    @property
    def slowest(self) -> Outcome:
        """The refusal that took longest."""
        return max(self.refusals, key=lambda outcome: outcome.seconds, default=Outcome("none", "sentence"))

    @property
    def slowdown(self) -> float:
        """How many times longer than usual another person waits, at the median."""
        return median(self.others) / median(self.usual) if self.others and self.usual else float("inf")


def main() -> int:
    """Besiege, print, write; return the exit status."""
    if sys.argv[1:] == [ATTACK]:
        crowd = pickle.load(sys.stdin.buffer)  # noqa: S301 - what this script wrote
        print(json.dumps([[each.attack, each.kind, each.seconds] for each in _attack_from(*crowd)]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    given = parser.parse_args()
    overhead = _overhead()
    with running_app(environment={}) as (url, app):
        port = int(url.rpartition(":")[2])
        found = besiege(port, app.pid, _corpus(), given.sessions, given.seconds)
        with _unfinished(port):
            ended = _end(app.pid)
    text = _text(found, ended, overhead, given.sessions)
    print(text)
    write_part("siege", "# Attacks on the app\n\n" + text)
    return 0 if not _missed(found, ended, overhead) else 1


def besiege(
    port: int, pid: int, files: Iterable[HostileFile], sessions: int, seconds: float, calm: float = CALM_SECONDS
) -> Siege:
    """Send everything from this many sessions at a time for this many seconds, and once from another one, and observe."""
    found, stop = Siege(), threading.Event()
    _work(port, found.usual, found, threading.Event(), calm)
    files = list(files)
    deadline = time.monotonic() + seconds
    watchers = [
        threading.Thread(target=_watch_health, args=(port, found, stop), daemon=True),
        threading.Thread(target=_watch_memory, args=(pid, found, stop), daemon=True),
        threading.Thread(target=_work, args=(port, found.others, found, stop, seconds), daemon=True),
    ]
    # In processes of their own: in this one, the person who works would wait for the attackers' turns in Python.
    crowds = [
        (files, sessions // 2, deadline, NICENESS),
        (files[::-1], sessions - sessions // 2, deadline, NICENESS),
        (files, 1, None, 0),
    ]
    with ThreadPoolExecutor(len(crowds)) as hostile, _slow_heads(port), _unfinished(port):
        sent = [hostile.submit(_attack_elsewhere, port, *crowd) for crowd in crowds]
        for thread in watchers:
            thread.start()
        for each in sent:
            found.outcomes += each.result()
        found.refusals = [outcome for outcome in sent[-1].result() if outcome.kind == "sentence"]
        stop.set()
        for thread in watchers:
            thread.join(60)
    return found


def _corpus() -> Iterator[HostileFile]:
    yield from siege_corpus.images()
    yield from siege_corpus.checkpoints()


def _attack_elsewhere(*crowd: object) -> list[Outcome]:
    """Run `_attack_from` in a process of its own."""
    command = [sys.executable, __file__, ATTACK]
    done = subprocess.run(command, input=pickle.dumps(crowd), stdout=subprocess.PIPE, check=True)  # noqa: S603 - this script
    return [Outcome(*each) for each in json.loads(done.stdout)]


def _attack_from(port: int, files: list[HostileFile], sessions: int, deadline: float | None, niceness: int) -> list[Outcome]:
    """Send all files and links from this many sessions at a time, again and again until the deadline, or once without one.

    A crowd stands for other machines and should take as little of this one as possible; what
    nobody's refusal is measured by is therefore nice to the rest.
    """
    os.nice(niceness)
    time.sleep(0 if deadline else LATER)
    once: list[Attack] = [partial(_send, file) for file in files]
    once += [partial(_follow, link) for link in siege_corpus.links()]
    once.append(lambda _: _long_head(port))
    attacks = iter(once) if deadline is None else cycle(once)
    outcomes: list[Outcome] = []
    people = [threading.Thread(target=_attack, args=(port, attacks, outcomes, deadline), daemon=True) for _ in range(sessions)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    return outcomes


def _attack(port: int, attacks: Iterator[Attack], outcomes: list[Outcome], deadline: float | None) -> None:
    """One session's attacks; it comes back as a new one if the server has hung up."""
    while deadline is None or time.monotonic() < deadline:
        try:
            with visitor(port) as person:
                while deadline is None or time.monotonic() < deadline:
                    attack = next(attacks, None)
                    if attack is None:
                        return
                    outcomes.append(attack(person))
                    time.sleep(PAUSE if deadline else 0)
        except (OSError, http.client.HTTPException, TimeoutError, ConnectionClosed) as error:
            outcomes.append(Outcome(type(error).__name__, "hung up"))


def _send(file: HostileFile, person: Visitor) -> Outcome:
    page = "model" if file.name.endswith((".pth", ".safetensors")) else ""
    if person.page != page or not person.boxes:
        person.open(page)
    return _outcome(file.fault, person.upload(file.name, file.data), quiet="opened")


def _follow(link: str, person: Visitor) -> Outcome:
    return _outcome(f"link {link[:20]}", person.open("learn" if link.startswith("lesson") else "", link), quiet="default")


def _outcome(attack: str, view: View, quiet: str) -> Outcome:
    kind = "error page" if view.broken else "sentence" if view.sentences else quiet
    return Outcome(attack, kind, view.seconds)


def _long_head(port: int) -> Outcome:
    """Send headers until the server stops reading."""
    with socket.create_connection(("127.0.0.1", port), 30) as connection, suppress(OSError):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        for number in range(3000):
            connection.sendall(b"x-%d: " % number + b"y" * 100_000 + b"\r\n")
        return Outcome("headers of 300 MB", "error page")
    return Outcome("headers of 300 MB", "hung up")


@contextmanager
def _slow_heads(port: int, count: int = 100) -> Iterator[None]:
    """Many connections that send the beginning of a head, and then nothing."""
    connections = [socket.create_connection(("127.0.0.1", port), 30) for _ in range(count)]
    for connection in connections:
        connection.sendall(b"GET / HTTP/1.1\r\nx: ")
    yield
    for connection in connections:
        connection.close()


@contextmanager
def _unfinished(port: int, count: int = 20) -> Iterator[None]:
    """Many requests whose body does not end."""
    connections = [socket.create_connection(("127.0.0.1", port), 30) for _ in range(count)]
    for connection in connections:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nx")
    yield
    for connection in connections:
        connection.close()


def _work(port: int, seconds: list[float], found: Siege, stop: threading.Event, most: float) -> None:
    """Open one block after the other, as a person does who studies a network."""
    deadline = time.monotonic() + most
    with visitor(port) as person:
        person.open()
        for block in cycle(BLOCKS):
            if stop.is_set() or time.monotonic() > deadline:
                return
            view = person.open("", f"model=resnet20-cifar10&image=cifar-cat&block={block}")
            seconds.append(view.seconds)
            found.broken_for_others += view.broken
            stop.wait(0.2)


def _watch_health(port: int, found: Siege, stop: threading.Event) -> None:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while not stop.wait(HEALTH_EVERY):
        started = time.monotonic()
        try:
            client.request("GET", "/_stcore/health")
            client.getresponse().read()
        except (OSError, http.client.HTTPException):
            client.close()
        found.freezes.append(time.monotonic() - started)


def _watch_memory(pid: int, found: Siege, stop: threading.Event) -> None:
    """The server and all its descendants; shared memory counts once."""
    while not stop.wait(MEMORY_EVERY):
        total = 0
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            for each in (process, *process.children(recursive=True)):
                with suppress(psutil.Error):
                    total += each.memory_full_info().pss
        found.memory.append(total)


def _end(pid: int) -> float:
    """Tell the server to stop; return how many seconds it takes."""
    started = time.monotonic()
    process = psutil.Process(pid)
    os.kill(pid, signal.SIGTERM)
    with suppress(psutil.TimeoutExpired):
        process.wait(60)
    return time.monotonic() - started


def _overhead() -> float:
    """How many milliseconds longer a photo of 12 megapixels takes in the pool than here: median of alternating runs."""
    file = io.BytesIO()
    picture(400, 0).resize((4000, 3000)).save(file, "JPEG", quality=90)
    data, differences = file.getvalue(), []
    pool = ParsingPool()
    pool.open_image(data)
    for _ in range(REPEATS):
        # Opened images are kept: only a pool that keeps none opens them again.
        pool.forget()
        times = [time.perf_counter()]
        for opener in (open_image, pool.open_image):
            opener(data)
            times.append(time.perf_counter())
        differences.append((times[2] - times[1]) - (times[1] - times[0]))
    pool.close()
    return 1000 * median(differences)


def _missed(found: Siege, ended: float, overhead: float) -> list[str]:
    """The targets that were missed."""
    checks = {
        "the longest freeze": max(found.freezes) > MOST_FREEZE,
        "memory": max(found.memory) > MOST_MEMORY,
        "the slowest refusal": found.slowest.seconds > MOST_REFUSAL,
        "the end": ended > MOST_END,
        "the overhead": overhead > MOST_OVERHEAD,
        "the slowdown of others": found.slowdown > MOST_SLOWDOWN,
        "error pages": bool(found.kinds["error page"] or found.broken_for_others),
    }
    return [name for name, missed in checks.items() if missed]


def _text(found: Siege, ended: float, overhead: float, sessions: int) -> str:
    kinds = ", ".join(f"{count} × {kind}" for kind, count in found.kinds.most_common())
    missed = _missed(found, ended, overhead)
    return (
        f"{sessions} sessions at a time, each with {PAUSE:g} s between attacks, and one whose waiting is measured make"
        f" {len(found.outcomes)} attacks on the app with its default settings: images and checkpoints that are damaged, slow"
        " to read or claim a huge size, links that no page creates, endless headers, and requests that do not finish.\n\n"
        f"- Responses: {kinds}.\n"
        f"- Longest freeze of `/_stcore/health`: {max(found.freezes):.2f} s (at most {MOST_FREEZE:g}).\n"
        f"- Peak memory of the server and its processes: {max(found.memory) / 2**20:,.0f} MiB (at most"
        f" {MOST_MEMORY / 2**20:,.0f}).\n"
        f"- Slowest refusal: {found.slowest.seconds:.1f} s, of {found.slowest.attack} (at most {MOST_REFUSAL:g}).\n"
        f"- Page load of another person: {found.slowdown:.2f} times the usual {median(found.usual):.2f} s (at most"
        f" {MOST_SLOWDOWN:g}).\n"
        f"- SIGTERM during unfinished requests: the server ends after {ended:.1f} s (at most {MOST_END:g}).\n"
        f"- A JPEG photo of 12 megapixels takes {overhead:.0f} ms longer in a process of its own than in the server's (at most"
        f" {MOST_OVERHEAD:g}).\n"
        f"- {'Passed' if not missed else 'FAILED: ' + ', '.join(missed)}."
    )


if __name__ == "__main__":
    sys.exit(main())
