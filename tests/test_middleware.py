"""Access control: each check by itself, and all of them in front of the real server, started by its real command."""

import asyncio
import json
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.cookies import SimpleCookie
from pathlib import Path
from typing import cast
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Message
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

import resnet_viz as rv
from app.middleware.buckets import MOST_KEYS, Buckets
from app.middleware.class_code import BROWSER, COOKIE, HOURS, ClassCode
from app.middleware.file_names import LONGEST, NAMELESS, safe_name
from app.middleware.hosts import is_own
from app.middleware.rate_limits import spoken
from app.middleware.readiness import KEPT_SECONDS, Check, Probe, Readiness
from app.middleware.tries import MOST_KEYS as MOST_ADDRESSES
from app.middleware.tries import Tries
from app.middleware.wanted_view import SIGNED_IN, WantedView
from app.views.sign_in import is_invited
from resnet_viz.engine.jobs import Engine, EngineError
from tests.middleware_server import BOUNDARY, Server, form, running
from tests.servers import ROOT

PAGE = {"accept": "text/html"}
MEGABYTE = 2**20


class Clock:
    """A clock that a test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def everything(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"the app at {request.url.path}")


def inside(**doors: object) -> Starlette:
    return Starlette(routes=[Route("/{path:path}", everything, methods=["GET", "POST", "PUT"])], **doors)  # type: ignore[arg-type]


# Settings


def test_a_wrong_setting_stops_the_start_with_a_sentence() -> None:
    with pytest.raises(RuntimeError, match="did not become ready"), running({"RESNET_VIZ_METRICS": "maybe"}, name="wrong"):
        pass
    said = (ROOT / "artifacts" / "wrong.log").read_text()
    assert "ResNet Viz cannot start: RESNET_VIZ_METRICS='maybe' is neither on nor off" in said
    assert "Traceback" not in said


# Limits


def test_a_bucket_gives_its_tokens_and_then_says_when_the_next_comes(clock: Clock) -> None:
    buckets = Buckets(3, clock)
    assert [buckets.take("anna") for _ in range(4)] == [0, 0, 0, 20]
    assert buckets.take("ben") == 0
    clock.now += 19.5
    assert buckets.take("anna") == 1
    clock.now += 0.5
    assert [buckets.take("anna"), buckets.take("anna")] == [0, 20]
    clock.now += 3600
    assert [buckets.take("anna") for _ in range(4)] == [0, 0, 0, 20]


def test_a_bucket_of_0_is_no_limit(clock: Clock) -> None:
    buckets = Buckets(0, clock)
    assert [buckets.take("anna"), buckets.wait("anna")] == [0, 0]


def test_buckets_do_not_grow_with_everybody_who_ever_came(clock: Clock) -> None:
    buckets = Buckets(2, clock)
    for person in range(3 * MOST_KEYS):
        clock.now += 0.1
        buckets.take(person)
    assert len(buckets._levels) <= MOST_KEYS + 1


def test_times_are_said_as_people_say_them() -> None:
    assert [spoken(1), spoken(2), spoken(99), spoken(120)] == ["1 second", "2 seconds", "99 seconds", "2 minutes"]


# File names


@pytest.mark.parametrize(
    ("given_name", "shown"),
    [
        ("cat.jpg", "cat.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\anna\\net.pth", "net.pth"),
        ("a\r\nSet-Cookie: x\x00.pth", "a Set-Cookie: x.pth"),
        ("\u202egpj.exe", "gpj.exe"),
        ("zero\u200bwidth.pt", "zerowidth.pt"),
        ("<script>alert(1)</script>.pth", "script>.pth"),
        ("", NAMELESS),
        ("..", NAMELESS),
        ("folder/", NAMELESS),
        ("Größe 猫.png", "Größe 猫.png"),
    ],
)
def test_a_files_name_is_its_last_part_on_one_line(given_name: str, shown: str) -> None:
    assert safe_name(given_name) == shown


@given(st.text(max_size=400))
def test_any_name_becomes_one_short_line_that_can_be_seen(name: str) -> None:
    shown = safe_name(name)
    assert 0 < len(shown) <= LONGEST
    assert shown.isprintable()
    assert not set(shown) & set("/\\\n\r\x00")


def test_the_ending_of_a_long_name_stays() -> None:
    assert safe_name("x" * 5000 + ".safetensors").endswith("x.safetensors")


# Hosts


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8501",
        "127.0.0.1:8501",
        "[::1]:8501",
        "192.168.1.5",
        "teacher-laptop",
        "mac.local:80",
        "app:8501",
    ],
)
def test_names_of_a_local_network_need_no_setting(host: str) -> None:
    assert is_own(host, ())


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "",
        "localhost.evil.example",
        "localhost@evil.example",
        "127.0.0.1.evil.example",
        "a.example:99999",
        "a b.c",
    ],
)
def test_other_names_are_foreign(host: str) -> None:
    assert not is_own(host, ())


def test_names_that_are_set_are_own() -> None:
    names = ("viz.school.example", "*.lab.example")
    assert is_own("viz.school.example:443", names)
    assert is_own("VIZ.school.example.", names)
    assert is_own("one.lab.example", names)
    assert not is_own("lab.example", names)
    assert not is_own("evil-lab.example", names)
    assert is_own("anything.example", ("*",))


# Class mode


@pytest.fixture
def classroom(clock: Clock) -> TestClient:
    app = ClassCode(inside(), "Blue Whale 7", tries=3, clock=clock)
    return TestClient(app, "http://school.test", follow_redirects=False)


def enter(classroom: TestClient, code: str, at: str = "/") -> tuple[int, str]:
    answer = classroom.post(at, data={"code": code})
    return answer.status_code, answer.headers.get("location", answer.text)


def test_without_the_code_nothing_of_the_app_is_reached(classroom: TestClient) -> None:
    asked = classroom.get("/gradients?model=resnet20-cifar10", headers=PAGE)
    assert asked.status_code == 401
    assert "Code of your class" in asked.text
    assert "Blue Whale" not in asked.text
    for path in ("/_stcore/health", "/_stcore/host-config", "/static/js/index.js", "/media/x"):
        refused = classroom.get(path)
        assert refused.status_code == 401
        assert "the app" not in refused.text
    assert classroom.put("/_stcore/upload_file/a/b", content=b"x").status_code == 401
    assert classroom.get("/ready").status_code == 200


def test_the_code_opens_the_view_that_the_link_asked_for(classroom: TestClient) -> None:
    link = "/gradients?model=resnet20-cifar10&block=layer2.0"
    assert enter(classroom, " blue whale7 ", link) == (303, link)
    assert classroom.get(link, headers=PAGE).text == "the app at /gradients"
    assert "code" not in link


def test_the_cookie_is_out_of_reach_of_scripts_and_ends_by_itself(classroom: TestClient, clock: Clock) -> None:
    answer = classroom.post("/", data={"code": "blue whale 7"})
    cookie = SimpleCookie(next(each for each in answer.headers.get_list("set-cookie") if each.startswith(COOKIE)))[COOKIE]
    assert cookie["httponly"]
    assert cookie["samesite"] == "lax"
    assert "whale" not in cookie.value
    clock.now += HOURS * 3600 - 1
    assert classroom.get("/").status_code == 200
    clock.now += 1
    assert classroom.get("/").status_code == 401


def test_the_cookie_is_for_https_alone_where_there_is_https(clock: Clock) -> None:
    client = TestClient(ClassCode(inside(), "whale", 3, clock), "https://school.test", follow_redirects=False)
    assert "Secure" in client.post("/", data={"code": "whale"}).headers["set-cookie"]


@pytest.mark.parametrize(
    "forged", ["", "9999999999.", "9999999999.abcdef", "x.y", "9" * 400 + ".a", "\u00e9.a", "²." + "0" * 64]
)
def test_a_forged_cookie_opens_nothing(classroom: TestClient, forged: str) -> None:
    assert classroom.get("/", headers=[(b"cookie", f"{COOKIE}={forged}".encode())]).status_code == 401


def test_another_code_ends_what_the_old_one_opened(clock: Clock) -> None:
    old, new = (TestClient(ClassCode(inside(), code, 3, clock), "http://school.test") for code in ("whale", "shark"))
    old.post("/", data={"code": "whale"})
    new.cookies = old.cookies
    assert new.get("/").status_code == 401


def test_a_cookie_for_one_purpose_is_none_for_another(classroom: TestClient) -> None:
    classroom.get("/", headers=PAGE)
    assert classroom.get("/", headers={"cookie": f"{COOKIE}={classroom.cookies[BROWSER]}"}).status_code == 401


def at_once(app: ClassCode, forms: Sequence[tuple[str, str]], hold: float = 0.0) -> list[tuple[float, int]]:
    """Send forms, each a code and a browser's cookie, all open before the first one's last byte; seconds and status of each."""

    async def one(code: str, cookie: str, complete: asyncio.Event) -> tuple[float, int]:
        parts = [f"code={code}".encode(), b""]
        told: list[int] = []

        async def receive() -> Message:
            if len(parts) == 1:
                await complete.wait()
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                told.append(message["status"])

        scope = {"type": "http", "method": "POST", "path": "/", "raw_path": b"/", "query_string": b"", "scheme": "http"}
        scope |= {"client": ("10.0.0.1", 5), "server": ("school.test", 80), "headers": [(b"cookie", cookie.encode())]}
        await app(scope, receive, send)
        return time.monotonic() - started, told[0]

    async def everybody() -> list[tuple[float, int]]:
        complete = asyncio.Event()
        running = [asyncio.ensure_future(one(code, cookie, complete)) for code, cookie in forms]
        await asyncio.sleep(hold)
        complete.set()
        return await asyncio.gather(*running)

    started = time.monotonic()
    # In a thread of its own: the browser tests leave a loop running in this one.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, everybody()).result()


def browser_cookie(app: ClassCode) -> str:
    client = TestClient(app, "http://school.test")
    client.get("/", headers=PAGE)
    return f"{BROWSER}={client.cookies[BROWSER]}"


def test_tries_that_are_held_open_together_are_not_compared_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.middleware.tries.LONGEST_WAIT", 3)
    app = ClassCode(inside(), "whale", tries=60)
    found = at_once(app, [("shark", "")] * 200, hold=0.1)
    fast = [status for seconds, status in found if seconds < 1]
    assert fast.count(401) <= 61
    # One a second after the first sixty, as long as anybody is let wait for that.
    assert sum(status == 401 for _, status in found) <= 65
    assert sum(status == 429 for _, status in found) >= 135


def test_somebody_who_guesses_all_the_time_delays_the_right_code_by_one_try_at_most() -> None:
    app = ClassCode(inside(), "whale", tries=60)
    mine = browser_cookie(app)
    found = at_once(app, [("shark", "")] * 60 + [("octopus", "")] * 10 + [("whale", mine)])
    assert found[-1][1] == 303
    assert found[-1][0] < 3
    # The other ten are still at it then.
    assert sum(seconds > found[-1][0] for seconds, _ in found) >= 7


def test_a_whole_class_enters_at_once_from_one_address() -> None:
    app = ClassCode(inside(), "whale", tries=20)
    found = at_once(app, [("whale", browser_cookie(app)) for _ in range(30)])
    assert {status for _, status in found} == {303}
    assert max(seconds for seconds, _ in found) < 1


def test_what_is_remembered_of_tries_is_bounded() -> None:
    async def many() -> tuple[int, int]:
        tries = Tries(5, 10**6)
        for number in range(3 * MOST_ADDRESSES):
            await tries.admit(f"address {number}", f"browser {number}")
            tries.was_wrong(f"browser {number}")
        return len(tries._gates), len(tries._wrong)

    with ThreadPoolExecutor(1) as pool:
        assert max(pool.submit(asyncio.run, many()).result()) <= MOST_ADDRESSES


@pytest.mark.parametrize(
    ("path", "to"), [("//evil.example/x", "/evil.example/x"), ("/\\evil.example", "/evil.example"), ("/a b", "/a%20b")]
)
def test_the_code_leads_nowhere_else(classroom: TestClient, path: str, to: str) -> None:
    scope_path: list[str] = []
    app = classroom.app

    async def at_path(scope: dict[str, object], receive: object, send: object) -> None:
        scope["path"] = path
        scope_path.append(path)
        await app(scope, receive, send)  # type: ignore[arg-type]

    client = TestClient(at_path, "http://school.test", follow_redirects=False)  # type: ignore[arg-type]
    assert client.post("/", data={"code": "blue whale 7"}).headers["location"] == to


def test_a_long_or_odd_form_is_a_wrong_code(classroom: TestClient) -> None:
    for body in (b"code=" + b"x" * 100_000, b"\xff\xfe", b""):
        assert classroom.post("/", content=body).status_code == 401


# Readiness


def test_a_check_is_remembered_for_some_seconds_and_shared(clock: Clock) -> None:
    runs: list[int] = []

    def check() -> Readiness:
        runs.append(1)
        return Readiness(ready=True, sentence="")

    async def many() -> None:
        probe = Probe(check, clock)
        await asyncio.gather(*(probe.readiness() for _ in range(20)))
        assert len(runs) == 1
        clock.now += KEPT_SECONDS
        await probe.readiness()
        assert len(runs) == 2

    # In a thread of its own: the browser tests leave a loop running in this one.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, many()).result()


def test_readiness_is_what_the_engine_says_and_gives_nothing_away() -> None:
    class Fake:
        def __init__(self, says: str | Exception) -> None:
            self._says = says

        def check(self) -> str:
            if isinstance(self._says, Exception):
                raise self._says
            return self._says

    def found(says: str | Exception) -> Readiness:
        return Check(lambda: cast("Engine", Fake(says)))()

    assert (found("all is well").ready, found("all is well").sentence) == (True, "all is well")
    assert found(EngineError("It is away.")) == Readiness(ready=False, sentence="It is away.")
    broken = found(RuntimeError("CUDA error at /secret/place"))
    assert not broken.ready
    assert "secret" not in broken.sentence


# Sign-in


def test_who_is_invited() -> None:
    assert is_invited("anna@school.example", ())
    assert is_invited("Anna@School.example", ("@school.example",))
    assert is_invited("ben@home.example", ("@school.example", "ben@home.example"))
    assert not is_invited("ben@evilschool.example", ("@school.example",))
    assert not is_invited("", ("@school.example",))


def test_the_view_of_a_link_survives_a_sign_in() -> None:
    client = TestClient(WantedView(inside()), "http://school.test", follow_redirects=False)
    client.get("/gradients?block=layer1.0", headers=PAGE)
    client.get("/static/x.js")
    client.cookies.set(SIGNED_IN, "whatever Streamlit put there")
    answer = client.get("/", headers=PAGE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/gradients?block=layer1.0")
    assert client.get("/", headers=PAGE).text == "the app at /"


def test_a_planted_view_leads_nowhere_else() -> None:
    client = TestClient(WantedView(inside()), "http://school.test", follow_redirects=False)
    client.headers["cookie"] = f"{SIGNED_IN}=x; resnet_viz_view=%2F%2Fevil.example"
    assert client.get("/", headers=PAGE).headers["location"] == "/evil.example"


# Labels


def test_a_labels_markup_is_text_in_every_figure_that_shows_it(make_image: Callable[..., Image.Image]) -> None:
    labels = tuple(f"<b>bold</b><a href='//evil.example'>{number}</a>" for number in range(10))
    net = replace(rv.load("resnet20-cifar10", device="cpu"), labels=labels)
    result = rv.inspect(net, make_image())
    for figure in (rv.figures.predictions(result), rv.figures.block_map(result), rv.figures.cam_strip(result)):
        drawn = json.loads(figure.update_layout(meta=None).to_json())
        assert not re.search("<b>bold|<a href", json.dumps(drawn))
        assert "&lt;b&gt;bold" in json.dumps(drawn)


# The real server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """The app with a small upload limit and nothing else set."""
    with running({"RESNET_VIZ_UPLOADS_PER_MINUTE": "12"}, "--server.maxUploadSize", "20") as found:
        yield found


def test_readiness_is_json_and_answers_to_every_name(server: Server) -> None:
    answer = server.ask("/ready", headers={"Host": "10.1.2.3.probe.example"})
    assert answer.status == 200
    said = json.loads(answer.text)
    assert said["ready"]
    assert "inspects images on" in said["sentence"]


def test_another_name_is_refused_for_pages_and_connections(server: Server) -> None:
    answer = server.ask("/", headers={"Host": "evil.example"})
    assert answer.status == 400
    assert "RESNET_VIZ_ALLOWED_HOSTS" in answer.text
    with pytest.raises(InvalidStatus, match="403"):
        connect("ws://evil.example/_stcore/stream", sock=socket.create_connection(("127.0.0.1", server.port)))


def test_a_connection_from_another_site_is_refused(server: Server) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        connect(f"ws://127.0.0.1:{server.port}/_stcore/stream", origin=Origin("http://evil.example"))


def test_metrics_are_not_there(server: Server) -> None:
    for path in ("/_stcore/metrics", "/_stcore/metrics/", "/_stcore/%6detrics"):
        answer = server.ask(path)
        assert answer.status == 404
        assert "session" not in answer.text


def test_other_sites_learn_no_links(server: Server) -> None:
    assert server.ask("/").headers["referrer-policy"] == "same-origin"


def test_an_upload_needs_the_token_and_a_session(server: Server) -> None:
    with server.session() as session:
        parts = b"".join(form([b"x"]))
        assert server.upload(session, parts, {"X-Xsrftoken": "forged"}).status == 403
        for unknown in ("nobody/a-file", f"{session.id}/a-file", "a" * 60_000 + "/b", "%00/%ff"):
            assert server.upload(f"/_stcore/upload_file/{unknown}", parts).status in (400, 404)
        assert server.upload(session, parts).status == 204


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are looked up in /proc")
def test_an_upload_never_reaches_the_disk(server: Server) -> None:
    seen: list[str] = []

    def look() -> None:
        for entry in Path(f"/proc/{server.pid}/fd").iterdir():
            try:
                seen.append(str(entry.readlink()))
            except FileNotFoundError:
                continue

    def slowly() -> Iterator[bytes]:
        for _ in range(15):
            yield b"\x5a" * MEGABYTE
            time.sleep(0.02)
            look()

    with server.session() as session:
        assert server.upload(session, form(slowly())).status == 204
    files = {name for name in seen if name.startswith("/") and not name.startswith(("/dev/", "/memfd:", "/proc/", str(ROOT)))}
    assert not {name for name in files if "deleted" in name or name.startswith(("/tmp/", "/var/tmp/"))}  # noqa: S108


def test_an_upload_over_the_limit_is_refused_whatever_it_says_of_its_length(server: Server) -> None:
    with server.session() as session:
        honest = server.upload(session, b"".join(form([b"x" * (21 * MEGABYTE)])))
        silent = server.upload(session, form(b"x" * MEGABYTE for _ in range(24)))
        too_short = server.upload(session, b"".join(form([b"x" * MEGABYTE])), {"Content-Length": "100"})
    assert (honest.status, silent.status, too_short.status) == (413, 413, 400)


def test_a_session_that_uploads_too_often_has_to_wait(server: Server) -> None:
    parts = b"".join(form([b"x"]))
    with server.session() as session:
        answers = [server.upload(session, parts) for _ in range(13)]
        with server.session() as other:
            assert server.upload(other, parts).status == 204
    assert [answer.status for answer in answers] == [204] * 12 + [429]
    assert re.search(r"Wait \d seconds", answers[-1].text)


@pytest.fixture(scope="module")
def classroom_server() -> Iterator[Server]:
    """The app in class mode, with room for 4 MB of uploads; its cookie is that of somebody who entered the code."""
    with running({"RESNET_VIZ_UPLOADS_MB": "4", "RESNET_VIZ_CLASS_CODE": "whale"}, name="class") as found:
        typed = {"Content-Type": "application/x-www-form-urlencoded"}
        entered = found.ask("/?block=layer1.0", "POST", urlencode({"code": "whale"}).encode(), typed)
        assert (entered.status, entered.headers["location"]) == (303, "/?block=layer1.0")
        yield replace(found, cookie=entered.headers["set-cookie"].split(";")[0])


def test_class_mode_in_front_of_the_real_server(classroom_server: Server) -> None:
    stranger = replace(classroom_server, cookie="")
    assert stranger.ask("/?block=layer1.0", headers={"Accept": "text/html"}).status == 401
    with pytest.raises(InvalidStatus, match="403"):
        connect(f"ws://127.0.0.1:{stranger.port}/_stcore/stream")
    assert classroom_server.ask("/", headers={"Accept": "text/html"}).status == 200
    assert "whale" not in classroom_server.log.read_text()


def test_an_address_takes_one_upload_and_does_not_name_the_session(server: Server) -> None:
    parts = b"".join(form([b"x"]))
    with server.session() as session:
        address = session.upload_address()
        assert session.id not in address
        assert [server.upload(address, parts).status for _ in range(2)] == [204, 400]
        assert server.upload(address.rpartition("/")[0] + "/another-file", parts).status == 400
    assert server.upload(address, parts).status == 400


def test_all_uploads_together_stay_within_bounds(classroom_server: Server) -> None:
    server = classroom_server
    with server.session() as session:
        assert server.upload(session, b"".join(form([b"x" * MEGABYTE]))).status == 204
        announced = server.upload(session, b"".join(form([b"x" * (3 * MEGABYTE)])))
        silent = server.upload(session, form(b"x" * MEGABYTE for _ in range(3)))
        assert (announced.status, silent.status) == (503, 503)
        assert "memory for uploads is full" in announced.text
        with server.session() as other:
            assert server.upload(other, b"".join(form([b"x" * MEGABYTE]))).status == 204


def test_unfinished_uploads_give_way_to_those_of_others(classroom_server: Server) -> None:
    server = classroom_server
    with server.session() as one, server.session() as two, server.session() as three:
        hogs = []
        for session in (one, two):
            cookie = server.ask("/_stcore/health").headers["set-cookie"].split(";")[0]
            hog = socket.create_connection(("127.0.0.1", server.port))
            head = f"PUT {session.upload_address()} HTTP/1.1\r\nHost: localhost\r\nCookie: {server.cookie}; {cookie}\r\n"
            head += f"X-Xsrftoken: {cookie.partition('=')[2]}\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
            body = b"".join(form([b"x" * (19 * MEGABYTE // 10)]))
            hog.sendall(head.encode() + f"Content-Length: {len(body) + 1000}\r\n\r\n".encode() + body[:-100])
            hogs.append(hog)
        time.sleep(1)
        assert server.upload(three, b"".join(form([b"x" * MEGABYTE]))).status == 204
        # The older one of two that hold as much.
        hogs[0].settimeout(20)
        told = hogs[0].recv(4096)
        assert b"503" in told.splitlines()[0]
        for hog in hogs:
            hog.close()
