"""Scripts take turns: few at a time, and whoever has used least comes first."""

import threading
import time
from collections.abc import Callable
from functools import partial

import pytest

from app import turns as turns_module
from app import waiting
from app.turns import LONGEST, Turns
from resnet_viz.engine.jobs import Job, Progress, Ticket


def in_thread(function: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def busy(seconds: float) -> None:
    """Use the processor for a while."""
    ends = time.thread_time() + seconds
    while time.thread_time() < ends:
        pass


class Line:
    """Scripts that wait while somebody else has the only turn; says in which order they get theirs."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.order: list[str] = []
        self.threads: list[threading.Thread] = []

    def ask(self, session: str) -> None:
        def run() -> None:
            with self.turns.turn(session):
                self.order.append(session)

        waiting = len(self.turns._waiting)
        self.threads.append(in_thread(run))
        wait_until(lambda: len(self.turns._waiting) == waiting + 1)

    def end(self) -> list[str]:
        for thread in self.threads:
            thread.join(10)
        return self.order


def test_no_more_than_two_run_at_a_time() -> None:
    turns, running, most, lock = Turns(2), [0], [0], threading.Lock()

    def script() -> None:
        name = threading.current_thread().name
        with turns.turn(name):
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            time.sleep(0.05)
            with lock:
                running[0] -= 1

    threads = [in_thread(script) for _ in range(8)]
    for thread in threads:
        thread.join(10)
    assert most == [2]


def test_people_at_work_come_before_new_sessions_and_light_ones_before_heavy_ones() -> None:
    turns = Turns(1)
    for session, seconds in (("heavy", 0.3), ("light", 0.02)):
        with turns.turn(session):
            busy(seconds)
    line = Line(turns)
    with turns.turn("somebody"):
        for session in ("new", "heavy", "light"):
            line.ask(session)
    assert line.end() == ["light", "heavy", "new"]


def test_new_sessions_come_in_the_order_of_their_arrival() -> None:
    turns = Turns(1)
    line = Line(turns)
    with turns.turn("somebody"):
        for session in "abcde":
            line.ask(session)
    assert line.end() == [*"abcde"]


def test_a_script_that_waits_for_something_lets_others_run() -> None:
    turns, done = Turns(1), threading.Event()

    def other() -> None:
        with turns.turn("other"):
            done.set()

    with turns.turn("one"), turns.paused():
        in_thread(other)
        assert done.wait(0.5 * LONGEST)


def test_what_is_expected_to_be_there_is_waited_for_outside_of_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nobody becomes too long, and nobody gives up: without a pause, the third script would wait for the two others.
    monkeypatch.setattr(turns_module, "LONGEST", 60.0)
    monkeypatch.setattr(waiting, "AT_HAND", 30.0)
    job = Job("lens", "resnet20-cifar10", "an image")
    tickets = [Ticket(job, "", lambda _: Progress(), lambda _: None) for _ in range(2)]
    asked: list[Ticket] = []
    found: list[object] = []

    def script(ticket: Ticket) -> None:
        def ask() -> Ticket:
            asked.append(ticket)
            return ticket

        with turns_module.TURNS.turn(f"script {id(ticket)}"):
            found.append(waiting.at_hand(ask))

    threads = [in_thread(partial(script, ticket)) for ticket in tickets]
    wait_until(lambda: len(asked) == len(tickets))
    with turns_module.TURNS.turn("third"):
        for ticket in tickets:
            ticket.settle("answer")
    for thread in threads:
        thread.join(10)
    assert found == ["answer", "answer"]


def test_a_pause_inside_a_pause_and_one_without_a_turn_change_nothing() -> None:
    turns = Turns(1)
    with turns.paused():
        pass
    with turns.turn("one"), turns.paused(), turns.paused():
        pass
    assert not turns._running
    assert not turns._waiting


def test_a_slow_script_stops_nobody() -> None:
    turns, started, done = Turns(1), threading.Event(), threading.Event()

    def slow() -> None:
        with turns.turn("slow"):
            started.set()
            done.wait(10)

    thread = in_thread(slow)
    started.wait(10)
    begun = time.monotonic()
    with turns.turn("other"):
        assert 0.5 * LONGEST < time.monotonic() - begun < 4 * LONGEST
    done.set()
    thread.join(10)


def test_a_turn_of_a_connected_session_lasts_until_its_page_is_sent() -> None:
    turns, done = Turns(1), threading.Event()
    turns.connected("one")

    def other() -> None:
        with turns.turn("other"):
            done.set()

    with turns.turn("one"):
        pass
    thread = in_thread(other)
    assert not done.wait(0.3 * LONGEST)
    turns.sent("one")
    assert done.wait(0.3 * LONGEST)
    thread.join(10)
    # The connection is lost before the end of a page.
    with turns.turn("one"):
        pass
    turns.gone("one")
    assert not turns._running


def test_an_error_ends_the_turn() -> None:
    turns = Turns(1)
    with pytest.raises(ZeroDivisionError), turns.turn("one"):
        1 / 0  # noqa: B018 - for its error
    with turns.turn("two"):
        assert [turn.session for turn in turns._running] == ["two"]


def test_what_was_used_is_forgotten_in_time() -> None:
    turns = Turns(1)
    for number in range(1100):
        with turns.turn(str(number)):
            pass
    assert len(turns._used) <= 1000
