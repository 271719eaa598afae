"""Headers of responses: a document brings its policy, and its scripts and styles do not repeat it."""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from app.middleware.answers import HEADERS, Answers

KINDS = {"script": "text/javascript; charset=utf-8", "style": "text/css; charset=utf-8"}


def streamlit(request: Request) -> Response:
    kind = KINDS.get(request.url.path[1:], "text/html")
    own = {"Content-Security-Policy": "default-src 'none'"} if request.url.path == "/strict" else None
    return Response("text", media_type=kind, headers=own)


@pytest.fixture
def client() -> TestClient:
    app = Starlette(routes=[Route("/{path:path}", streamlit)])
    return TestClient(Answers(app, metrics=False, frames=("https://school.example",)))


def test_a_document_has_every_header_and_the_policy(client: TestClient) -> None:
    headers = client.get("/").headers
    assert HEADERS.items() <= {name.title(): value for name, value in headers.items()}.items()
    assert headers["content-security-policy"].endswith("; frame-ancestors 'self' https://school.example")
    strict = client.get("/strict").headers["content-security-policy"]
    assert strict == "default-src 'none'; frame-ancestors 'self' https://school.example"


@pytest.mark.parametrize("kind", KINDS)
def test_a_script_or_a_style_keeps_its_type_and_repeats_no_policy(client: TestClient, kind: str) -> None:
    headers = client.get(f"/{kind}").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert not {"content-security-policy", "permissions-policy", "referrer-policy"} & set(headers)
