"""A survey in the background: its jobs in order, its progress, and what stopping leaves."""

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import resnet_viz as rv
from app.survey_runs import SurveyJob, SurveyRun
from resnet_viz.analyses.survey.parts import unused
from resnet_viz.engine.jobs import BusyError, Job, Progress, Ticket
from tests.survey.pictures import picture


class JobsOfNumbers:
    """Jobs of three images whose answers are their numbers; each waits until `go` is set."""

    def __init__(self, count: int) -> None:
        self.go = threading.Event()
        self.views: list[str] = []
        self.progress = Progress()
        self.run = SurveyRun([SurveyJob(self._submit(number), 3) for number in range(count)])

    def _submit(self, number: int) -> Callable[[str], Ticket]:
        def submit(view: str) -> Ticket:
            self.views.append(view)
            ticket = Ticket(Job("survey", "", ""), "ann", lambda _: self.progress, lambda _: None)
            threading.Thread(target=self._answer, args=(ticket, number)).start()
            return ticket

        return submit

    def _answer(self, ticket: Ticket, number: int) -> None:
        self.go.wait()
        ticket.settle(number)


def wait_for(happened: Callable[[], Any]) -> None:
    limit = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_the_parts_come_in_order_and_two_jobs_are_submitted_at_a_time() -> None:
    jobs = JobsOfNumbers(5)
    jobs.run.start()
    wait_for(lambda: len(jobs.views) == 2)
    jobs.progress = Progress(done=2, total=3)
    assert (jobs.run.done, jobs.run.total) == (2, 15)
    left = jobs.run.seconds_left
    assert left is not None
    assert left > 0
    jobs.go.set()
    wait_for(lambda: jobs.run.is_finished and not jobs.run.is_running)
    assert [*map(str, jobs.run.found)] == [*"01234"]
    assert jobs.views == ["survey 0", "survey 1", "survey 0", "survey 1", "survey 0"]


def test_a_stopped_survey_keeps_its_parts_and_goes_on_from_there() -> None:
    jobs = JobsOfNumbers(2)
    jobs.run.start()
    wait_for(lambda: jobs.views)
    jobs.run.stop()
    wait_for(lambda: not jobs.run.is_running)
    assert not jobs.run.is_finished
    assert jobs.run.error is None
    jobs.go.set()
    jobs.run.start()
    wait_for(lambda: jobs.run.is_finished)
    assert [*map(str, jobs.run.found)] == [*"01"]


def test_an_error_ends_it_and_stays() -> None:
    def refuse(_: str) -> Ticket:
        raise BusyError("too many")

    run = SurveyRun([SurveyJob(refuse, 1)])
    run.start()
    wait_for(lambda: not run.is_running)
    assert isinstance(run.error, BusyError)
    assert not run.is_finished


def test_files_that_never_arrived_are_listed_as_not_used() -> None:
    survey = rv.survey(rv.load("resnet20-cifar10", device="cpu"), [picture(0)])
    manifest = survey.manifest
    together = rv.Survey.of_parts(manifest, [unused(["b.png", "c.png"], "It was not uploaded.", manifest)])
    assert together.count == 2
    assert together.image_names() == []
    assert list(together.bad["error"]) == ["It was not uploaded."] * 2
    assert np.isnan(together.accuracy)
