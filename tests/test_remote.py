"""The engine on another server, over real HTTP and without Ray: refusals, stored answers, and a lost connection."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn

from resnet_viz.analyses.conductance import BlockConductance, Conductance
from resnet_viz.engine import connection, ingress, remote
from resnet_viz.engine.job_types import JOB_TYPES, JobType, Task
from resnet_viz.engine.jobs import AwayError, BusyError, EngineError, Job, JobCancelledError, Progress
from resnet_viz.engine.local import LocalEngine
from resnet_viz.engine.probe import EngineProbe
from resnet_viz.engine.protocol import ANSWER, HEAD, LIFE, MOST_JOB_BYTES, PROGRESS, SESSION_HEADER, frame
from resnet_viz.engine.remote import RemoteEngine
from resnet_viz.engine.session_expiry import Silence
from resnet_viz.engine.wire import encode
from resnet_viz.images import digest
from resnet_viz.nets.zoo import DEFAULT_MODEL, ModelInfo
from resnet_viz.settings import EngineSettings
from tests.servers import free_port

PICTURE = (Path(__file__).parents[1] / "assets" / "samples" / "cifar-cat.jpg").read_bytes()
TOKEN = "a token of the tests"  # noqa: S105 - nobody else's


def job(kind: str = "inspection", target: int | None = None, **options: Any) -> Job:
    return Job(kind, "resnet20-cifar10", digest(PICTURE), target, tuple(sorted(options.items())), data=PICTURE)


class Gate:
    """A type of job that takes until it is released."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.runs = 0
        self.cancelled = threading.Event()

    def run(self, task: Task) -> Conductance:
        self.runs += 1
        while not self.open.wait(0.01):
            try:
                task.report(1, 2, np.ones((2, 2), np.float32))
            except JobCancelledError:
                self.cancelled.set()
                raise
        values = np.ones((1, 2, 2), np.float32)
        return Conductance(
            "m", task.job.target or 0, "cat", "black", 1, 0.0, (BlockConductance("b", values, None, values, 0.0),)
        )


class Server:
    """The routes on a port that can be closed and opened again."""

    def __init__(self, token: str = "") -> None:
        self.engine = LocalEngine(EngineSettings(queue=2), devices=["cpu"])
        self._app = ingress.ingress(self.engine, token)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> "Server":
        self._server = uvicorn.Server(uvicorn.Config(self._app, "127.0.0.1", self.port, log_level="critical", lifespan="off"))
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def stop(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    server = Server(TOKEN).start()
    yield server
    server.stop()
    server.engine.close()


@pytest.fixture
def engine(shared: Server) -> Iterator[RemoteEngine]:
    made = RemoteEngine(shared.url, TOKEN)
    yield made
    made.close()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    made = Gate()
    monkeypatch.setitem(JOB_TYPES, "gate", JobType(made.run))
    yield made
    made.open.set()


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PAUSE", 0.05)
    monkeypatch.setattr(connection, "SILENCE", 1.0)


def eventually(true: Callable[[], object]) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.02)
    return False


def post(server: Server, data: bytes, session: str = "a") -> httpx.Response:
    headers = {SESSION_HEADER: session, "Authorization": f"Bearer {TOKEN}"}
    return httpx.post(f"{server.url}/jobs", content=data, headers=headers, timeout=30)


@pytest.mark.parametrize("address", ["", "engine:8000", "ftp://engine", "http://", "file:///etc/passwd"])
def test_an_address_that_is_none_gets_a_sentence(address: str) -> None:
    with pytest.raises(ValueError, match="http:// or https://"):
        RemoteEngine(address)


def test_progress_with_a_map_arrives_and_then_the_answer(engine: RemoteEngine, gate: Gate) -> None:
    ticket = engine.submit(job("gate", 3), "a")
    assert eventually(lambda: ticket.progress.partial is not None)
    assert (ticket.progress.ahead, ticket.progress.done, ticket.progress.total) == (None, 1, 2)
    gate.open.set()
    assert ticket.answer().target == 3
    assert ticket.progress.total == 0


@pytest.mark.usefixtures("gate")
def test_who_waits_sees_how_many_are_first_and_a_full_queue_answers_at_once(engine: RemoteEngine) -> None:
    first = engine.submit(job("gate"), "first")
    assert eventually(lambda: first.progress.done)
    waiting = [engine.submit(job("gate", number), f"{number}") for number in range(2)]
    assert eventually(lambda: {ticket.progress.ahead for ticket in waiting} == {1, 2})
    with pytest.raises(BusyError, match="Try again in a minute"):
        engine.submit(job("gate", 9), "late").answer()
    assert not first.finished


def test_a_cancelled_job_is_stopped_at_the_other_end_within_a_second(engine: RemoteEngine, gate: Gate) -> None:
    ticket = engine.submit(job("gate"), "a")
    assert eventually(lambda: ticket.progress.done)
    ticket.cancel()
    assert gate.cancelled.wait(1)
    with pytest.raises(JobCancelledError):
        ticket.answer()


def test_a_newer_job_of_the_same_view_takes_the_place_of_the_older(engine: RemoteEngine, gate: Gate) -> None:
    older, other = engine.submit(job("gate", 1), "a"), engine.submit(job("gate", 2), "a", "another view")
    newer = engine.submit(job("gate", 3), "a")
    with pytest.raises(JobCancelledError):
        older.answer()
    gate.open.set()
    assert (newer.answer().target, other.answer().target) == (3, 2)


def test_what_several_ask_is_computed_once_and_what_was_asked_is_kept(engine: RemoteEngine, gate: Gate) -> None:
    tickets = [engine.submit(job("gate"), session) for session in "abc"]
    gate.open.set()
    assert len({ticket.answer().target for ticket in tickets}) == 1
    assert engine.submit(job("gate"), "a").finished
    assert gate.runs == 1


def test_who_leaves_takes_jobs_and_answers_along(engine: RemoteEngine, shared: Server, gate: Gate) -> None:
    gate.open.set()
    engine.submit(job("gate", 5), "leaver").answer()
    gate.open.clear()
    running = engine.submit(job("gate", 6), "leaver")
    assert eventually(lambda: running.progress.done)
    stores = [engine._store, shared.engine._store]
    assert all(store.held("leaver") for store in stores)
    engine.leave("leaver")
    with pytest.raises(JobCancelledError):
        running.answer()
    assert eventually(lambda: not any(store.held("leaver") for store in stores))


def test_an_answer_may_be_kept_for_everybody_where_the_picture_is_everybodys(engine: RemoteEngine, gate: Gate) -> None:
    gate.open.set()
    engine.submit(replace(job("gate"), public=True), "a").answer()
    engine.leave("a")
    assert engine.submit(replace(job("gate"), public=True), "b").finished


def test_an_unknown_kind_is_refused_at_once(engine: RemoteEngine) -> None:
    with pytest.raises(ValueError, match="take one of inspection"):
        engine.submit(job("nonsense"), "a")


def test_the_catalogue_is_asked_for_once_a_minute(shared: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    info = ModelInfo("m", "M", "t", 1, 1, "s", 1, 1, "shipped", here=True, note="n")
    asked: list[int] = []

    def listed() -> list[ModelInfo]:
        asked.append(1)
        return [info]

    monkeypatch.setattr(ingress, "list_models", listed)
    now = [0.0]
    engine = RemoteEngine(shared.url, TOKEN, clock=lambda: now[0])
    assert engine.models() == engine.models() == [info]
    now[0] = 61.0
    assert engine.models() == [info]
    assert len(asked) == 2
    engine.close()


def test_routes_need_the_token_and_readiness_does_not(shared: Server) -> None:
    for method, path in [("POST", "/jobs"), ("DELETE", "/sessions"), ("GET", "/models"), ("GET", "/elsewhere")]:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}):
            response = httpx.request(method, shared.url + path, headers=headers, timeout=30)
            assert (response.status_code, "RESNET_VIZ_TOKEN" in response.text) == (401, True)
    response = httpx.get(f"{shared.url}/ready", timeout=60)
    assert (response.status_code, response.text) == (200, f"{DEFAULT_MODEL} inspects images on cpu.\n")


def test_an_engine_that_cannot_compute_is_not_ready(engine: RemoteEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EngineProbe, "check", lambda _: (_ for _ in ()).throw(EngineError("broken")))
    assert not engine.ready()


def test_what_is_no_job_gets_a_sentence(shared: Server) -> None:
    assert post(shared, b"nonsense").status_code == 400
    assert "cut off" in post(shared, encode(job())[:-9]).text or "damaged" in post(shared, encode(job())[:-9]).text
    another = post(shared, encode(replace(job(), image="0" * 64)))
    assert (another.status_code, "was damaged on its way" in another.text) == (400, True)
    own = post(shared, encode(replace(job(), owner="x")))
    assert (own.status_code, "catalogue" in own.text) == (400, True)
    assert post(shared, encode(job()), session="").status_code == 400
    assert post(shared, encode(job()), session="x" * 201).status_code == 400
    large = post(shared, b"\0" * (MOST_JOB_BYTES + 1))
    assert (large.status_code, "smaller image" in large.text) == (413, True)


def test_unknown_routes_are_not_there(shared: Server) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.get(f"{shared.url}/docs", headers=headers, timeout=30).status_code == 404
    assert httpx.get(f"{shared.url}/jobs", headers=headers, timeout=30).status_code == 405


def test_an_unforeseen_error_tells_nothing(engine: RemoteEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Task) -> Conductance:
        raise KeyError("/a/secret/path")

    monkeypatch.setitem(JOB_TYPES, "gate", JobType(fail))
    with pytest.raises(EngineError, match="failed unexpectedly") as caught:
        engine.submit(job("gate", 8), "a").answer()
    assert "secret" not in str(caught.value)


@pytest.mark.usefixtures("fast")
def test_nobody_there_gets_a_sentence_and_what_was_seen_stays(gate: Gate) -> None:
    server = Server().start()
    engine = RemoteEngine(server.url)
    gate.open.set()
    seen = engine.submit(job("gate", 1), "a").answer()
    server.stop()
    with pytest.raises(AwayError, match=r"cannot be reached .* Try again"):
        engine.submit(job("gate", 2), "a").answer()
    with pytest.raises(AwayError):
        engine.models()
    assert not engine.ready()
    assert engine.submit(job("gate", 1), "a").answer() is seen
    server.start()
    assert engine.submit(job("gate", 2), "a").answer().target == 2
    server.stop()
    engine.close()
    server.engine.close()


def stream(*frames: bytes) -> bytes:
    """An HTTP response that is cut off."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in frames)


@pytest.fixture
def scripted() -> Iterator[Callable[..., str]]:
    """An engine that gives these answers, one per connection, and then no more; None never answers."""
    listening = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []
    silent: list[socket.socket] = []

    def play(*answers: bytes | None) -> str:
        def run() -> None:
            for answer in answers:
                accepted, _ = listening.accept()
                accepted.recv(2**20)
                if answer is None:
                    silent.append(accepted)
                else:
                    accepted.sendall(answer)
                    accepted.close()

        threads.append(threading.Thread(target=run))
        threads[0].start()
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    yield play
    threads[0].join()
    for each in [listening, *silent]:
        each.close()


ANSWERED = frame(ANSWER, encode(Conductance("m", 7, "cat", "black", 1, 0.0, ())))
BEGUN = stream(frame(PROGRESS, encode(Progress(None, 1, 2))), frame(LIFE))
DONE = stream(ANSWERED) + b"0\r\n\r\n"
FAILED = b"HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("first", [BEGUN, BEGUN + b"0\r\n\r\n", stream(ANSWERED[:-5]), FAILED, b""])
def test_a_job_that_is_cut_off_is_quietly_asked_for_again(scripted: Callable[..., str], first: bytes) -> None:
    engine = RemoteEngine(scripted(first, DONE))
    assert engine.submit(job("conductance"), "a").answer().target == 7
    engine.close()


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("answers", [(BEGUN, BEGUN), (FAILED, FAILED), (None,)])
def test_what_does_not_come_back_is_away(scripted: Callable[..., str], answers: tuple[bytes | None, ...]) -> None:
    engine = RemoteEngine(scripted(*answers))
    with pytest.raises(AwayError, match="cannot be reached"):
        engine.submit(job("conductance"), "a").answer()
    engine.close()


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (stream(frame(ANSWER, b"nonsense")), "same version"),
        (stream(HEAD.pack(ANSWER, 2**31) + b"x"), "same version"),
        (stream(frame(PROGRESS, b"nonsense")), "same version"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "RESNET_VIZ_ENGINE"),
        (b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n", "status 429"),
    ],
)
def test_what_cannot_be_understood_gets_a_sentence(scripted: Callable[..., str], answer: bytes, sentence: str) -> None:
    engine = RemoteEngine(scripted(answer))
    with pytest.raises(EngineError, match=sentence):
        engine.submit(job("conductance"), "a").answer()
    engine.close()


@pytest.mark.usefixtures("gate")
def test_it_leaves_no_thread(shared: Server) -> None:
    before = threading.active_count()
    engine = RemoteEngine(shared.url, TOKEN)
    for number in range(3):
        engine.submit(job("gate", number), f"{number}")
    engine.close()
    assert eventually(lambda: threading.active_count() <= before)
    RemoteEngine(shared.url, TOKEN).close()


def test_sessions_that_fall_silent_are_forgotten() -> None:
    gone: list[str] = []
    now = [0.0]
    silence = Silence(gone.append, 60, lambda: now[0])
    for session, at in [("a", 0.0), ("b", 10.0), ("a", 50.0), ("c", 71.0)]:
        now[0] = at
        silence.broken(session)
    assert gone == ["b"]


def test_the_block_that_came_along_unnamed_is_there_when_the_engine_is_not() -> None:
    server = Server().start()
    engine = RemoteEngine(server.url)
    found = engine.submit(job(), "a").answer()
    server.stop()
    named = engine.submit(job(block=found.most_changed()), "a")
    assert named.finished
    assert named.answer().block(found.most_changed()).maps is not None
    with pytest.raises(AwayError):
        engine.submit(job(block=next(block.name for block in found.blocks if block.maps is None)), "a").answer()
    engine.close()
    server.engine.close()
