"""Streamlit's scripts arrive compressed, whole and made once; everything else is Streamlit's to answer."""

import gzip
import io
import re
from pathlib import Path

import brotli
import pytest
from fontTools.ttLib import TTFont
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.middleware import encodings, icons, static_files
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

    monkeypatch.setitem(encodings.ENCODERS, "gzip", count)
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


def test_every_element_of_the_first_page_has_a_script_in_the_installed_streamlit() -> None:
    names = static_files._first_scripts(static_files.FOLDER)
    for kind in static_files.ELEMENTS:
        assert any(name.startswith(f"static/js/{kind}.") for name in names), kind
    assert len(names) == len(set(names))
    assert all((static_files.FOLDER / name).is_file() for name in names)


def test_the_font_of_icons_arrives_with_fewer_icons_once_it_is_prepared() -> None:
    files = Compressed()
    (font,) = static_files.FOLDER.glob(f"static/media/{icons.FONT}")
    address = f"/static/media/{font.name}"
    app = Starlette(routes=[Route("/{path:path}", streamlit)])
    asked = TestClient(StaticFiles(app, "", files))
    assert asked.get(address).text == f"Streamlit at {address}"
    files.prepare()
    answer = asked.get(address)
    assert answer.headers["content-type"] == "font/woff2"
    assert "immutable" not in answer.headers["cache-control"]
    assert len(answer.content) < 0.25 * font.stat().st_size
    kept = names_of(answer.content)
    assert kept < names_of(font.read_bytes())
    # Those of this app, and those that Streamlit's own elements show.
    used = {
        name for path in Path("app").rglob("*.py") for name in re.findall(r":material/([a-z0-9_]+):", path.read_text("utf-8"))
    }
    assert len(used) > 20
    assert used | {"upload", "more_vert", "close", "download", "keyboard_arrow_down"} <= kept


def names_of(font: bytes) -> set[str]:
    """The names of all icons of a font."""
    read = TTFont(io.BytesIO(font))
    letters = {glyph: chr(code) for code, glyph in read.getBestCmap().items()}
    found = set()
    for lookup in read["GSUB"].table.LookupList.Lookup:
        for table in lookup.SubTable:
            for first, ligatures in getattr(getattr(table, "ExtSubTable", table), "ligatures", {}).items():
                found |= {letters[first] + "".join(letters[each] for each in one.Component) for one in ligatures}
    return found
