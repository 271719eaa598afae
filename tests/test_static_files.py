"""Streamlit's scripts arrive compressed, whole and made once; everything else is Streamlit's to answer."""

import gzip
from pathlib import Path

import brotli
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.middleware import static_files
from app.middleware.static_files import Compressed, StaticFiles

SCRIPT = b"export const answer = 42; // " + b"and so on " * 200


def streamlit(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"Streamlit at {request.url.path}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    scripts = tmp_path / "inside" / "static" / "js"
    scripts.mkdir(parents=True)
    (scripts / "index.abc.js").write_bytes(SCRIPT)
    (scripts / "PlotlyChart.def.js").write_bytes(SCRIPT)
    (scripts / "font.woff2").write_bytes(SCRIPT)
    (scripts / "tiny.js").write_bytes(b"1")
    (tmp_path / "secret.js").write_bytes(SCRIPT)
    (tmp_path / "inside" / "index.html").write_text('<script src="./static/js/index.abc.js"></script>')
    return tmp_path / "inside"


def client(folder: Path, base: str = "") -> TestClient:
    app = Starlette(routes=[Route("/{path:path}", streamlit, methods=["GET", "HEAD", "POST"])])
    return TestClient(StaticFiles(app, base, Compressed(folder)))


@pytest.mark.parametrize(
    ("offered", "encoding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, deflate", "gzip"),
        ("br;q=0, gzip;q=0.5", "gzip"),
        ("BR ; q=1.0", "br"),
    ],
)
def test_a_script_arrives_compressed_and_whole(folder: Path, offered: str, encoding: str) -> None:
    with client(folder).stream("GET", "/static/js/index.abc.js", headers={"Accept-Encoding": offered}) as answer:
        raw = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == encoding
        assert answer.headers["vary"] == "Accept-Encoding"
        assert answer.headers["cache-control"] == "public, immutable, max-age=31536000"
        assert answer.headers["content-type"].startswith("text/javascript")
        assert int(answer.headers["content-length"]) == len(raw) < len(SCRIPT) / 3
    assert (brotli.decompress(raw) if encoding == "br" else gzip.decompress(raw)) == SCRIPT


def test_under_a_path_of_its_own(folder: Path) -> None:
    answer = client(folder, "/viz").get("/viz/static/js/index.abc.js", headers={"Accept-Encoding": "gzip"})
    assert answer.content == SCRIPT
    assert client(folder, "/viz").get("/static/js/index.abc.js").text == "Streamlit at /static/js/index.abc.js"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/static/js/index.abc.js", {"Accept-Encoding": "identity"}),
        ("/static/js/index.abc.js", {"Accept-Encoding": "br, gzip", "Range": "bytes=0-9"}),
        ("/static/js/index.abc.js", {"Accept-Encoding": "gzip;q=nonsense"}),
        ("/static/js/away.js", {"Accept-Encoding": "br"}),
        ("/static/js/font.woff2", {"Accept-Encoding": "br"}),
        ("/static/js/tiny.js", {"Accept-Encoding": "br"}),
        ("/static/js/%00.js", {"Accept-Encoding": "br"}),
        ("/static/%2e%2e/%2e%2e/secret.js", {"Accept-Encoding": "br"}),
        ("/static/%2Fetc%2Fx.js", {"Accept-Encoding": "br"}),
        ("/media/js/index.abc.js", {"Accept-Encoding": "br"}),
    ],
)
def test_everything_else_is_for_streamlit(folder: Path, path: str, headers: dict[str, str]) -> None:
    answer = client(folder).get(path, headers=headers)
    assert answer.text.startswith("Streamlit at")
    assert "content-encoding" not in answer.headers


def test_a_post_is_for_streamlit_and_a_head_has_no_body(folder: Path) -> None:
    asked = client(folder)
    assert asked.post("/static/js/index.abc.js").text.startswith("Streamlit at")
    head = asked.head("/static/js/index.abc.js", headers={"Accept-Encoding": "gzip"})
    assert head.headers["content-encoding"] == "gzip"
    assert head.content == b""


def test_a_file_is_compressed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []

    def count(data: bytes) -> bytes:
        made.append(data)
        return gzip.compress(data)

    monkeypatch.setitem(static_files.ENCODERS, "gzip", count)
    asked = client(folder)
    for _ in range(3):
        assert asked.get("/static/js/index.abc.js", headers={"Accept-Encoding": "gzip"}).content == SCRIPT
    assert made == [SCRIPT]


def test_what_a_first_visit_needs_is_ready_beforehand(folder: Path) -> None:
    files = Compressed(folder)
    files.prepare()
    for name in ("index.abc.js", "PlotlyChart.def.js"):
        path = files.file(f"static/js/{name}")
        assert path is not None
        assert files.is_ready(path, "br")


def test_the_installed_streamlit_has_the_files_that_are_prepared() -> None:
    installed = static_files.FOLDER
    assert (installed / "index.html").is_file()
    for pattern in static_files.FIRST:
        assert list(installed.glob(f"static/js/{pattern}")), pattern
