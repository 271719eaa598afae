"""Streamlit's document names the scripts that the first page needs; everything else passes unchanged."""

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from app.middleware.document import Document

PAGE = '<html><head><script type="module" src="./static/js/index.1.js"></script></head><body></body></html>'
HINTS = """<link rel="modulepreload" crossorigin href="./static/js/PlotlyChart.2.js">
<link rel="modulepreload" crossorigin href="./static/js/Button.3.js">
<link rel="modulepreload" crossorigin href="./static/js/shared.4.js">
<link rel="modulepreload" crossorigin href="./static/js/deeper.5.js">
<script type="module" crossorigin src="./static/js/PlotlyChart.2.js"></script>"""
SCRIPTS = {
    "index.1.js": 'import("./Button.3.js")',
    "PlotlyChart.2.js": 'import{a as b}from"./index.1.js";import"./shared.4.js";',
    "Button.3.js": 'import{c}from"./shared.4.js";const later = () => import("./later.6.js")',
    "shared.4.js": 'import{d}from"./deeper.5.js";',
    "deeper.5.js": "",
    "later.6.js": "",
}


def streamlit(request: Request) -> Response:
    if request.url.path == "/plain":
        return PlainTextResponse("</head>")
    return HTMLResponse(PAGE, 404 if request.url.path == "/away" else 200)


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    scripts = tmp_path / "static" / "js"
    scripts.mkdir(parents=True)
    for name, text in SCRIPTS.items():
        (scripts / name).write_text(text)
    (tmp_path / "index.html").write_text(PAGE)
    return TestClient(Document(Starlette(routes=[Route("/{path:path}", streamlit)]), tmp_path))


@pytest.mark.parametrize("encoding", ["br", "gzip", ""])
def test_the_document_names_every_script_that_the_first_page_needs_once(client: TestClient, encoding: str) -> None:
    answer = client.get("/gradients", headers={"Accept-Encoding": encoding or "identity"})
    assert answer.text == PAGE.replace("</head>", f"{HINTS}</head>")
    assert answer.headers.get("content-encoding", "") == encoding
    assert answer.headers["vary"] == "Accept-Encoding"


def test_other_responses_pass_unchanged(client: TestClient) -> None:
    assert client.get("/plain").text == "</head>"
    assert client.get("/away").text == PAGE
    assert client.head("/").status_code == 200
