"""Forged links: every parameter of the URL, in real sessions, gives a sentence or the default."""

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import query
from app.state import Selection
from app.views.lessons import track
from app.views.lessons.track import TRACK
from tests.middleware_server import Server, running

# Percent signs stand for bytes that no text encodes to.
HOSTILE = {
    "digits": "9" * 5000,
    "nan": "nan",
    "overflow": "1e400",
    "negative": "-1",
    "surrogate": "%ED%A0%80",
    "control": "%00%1B%5B31m",
    "direction": "%E2%80%AEgpj",
    "markup": "<img src=x onerror=alert(1)> **a** $m$ :red[x]",
    "long": "x" * 20_000,
    "arabic digits": "\u0663",
}
PAGES = ("", "gradients", "attribution", "compare", "survey")
LESSON_FIELDS = (
    "image", "model", "block", "channel", "line", "from_channels", "from_side", "to_channels", "to_side", "sign", "source",
    "scales", "see", "change",
    "signal", "depth", "norm", "branch", "seed", "look", "kind", "epoch", "steps", "rate", "order", "lift", "step", "left",
    "right", "width", "factor", "present", "points", "target", "trained", "view", "over", "networks",
)  # fmt: skip
# What Python says by itself where nobody has written a sentence.
RAW = (b"Exceeds the limit", b"could not convert", b"invalid literal", b"surrogates not allowed", b"out of range")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running({"RESNET_VIZ_COMPUTATIONS_PER_MINUTE": "0"}, name="links") as found:
        yield found


@pytest.mark.parametrize(("place", "field"), list(enumerate(field.name for field in fields(Selection))))
def test_every_field_of_the_selection_may_hold_anything(server: Server, place: int, field: str) -> None:
    for number, (kind, value) in enumerate(HOSTILE.items()):
        page = PAGES[(place + number) % len(PAGES)]
        check(server, page, _written({field: value}), f"{page or 'inspect'}: {field} is {kind}")


@pytest.mark.parametrize("page", [*PAGES, "model"])
def test_all_fields_at_once_may_hold_anything(server: Server, page: str) -> None:
    names = [field.name for field in fields(Selection)]
    for kind, value in HOSTILE.items():
        check(server, page, _written(dict.fromkeys(names, value)), f"{page or 'inspect'}: everything is {kind}")
        check(server, page, _written(dict.fromkeys(names[3:], value)), f"{page or 'inspect'}: details are {kind}")


@pytest.mark.parametrize("lesson", TRACK, ids=lambda lesson: lesson.slug)
def test_the_values_of_a_lesson_may_be_anything(server: Server, lesson: object) -> None:
    slug: str = lesson.slug  # type: ignore[attr-defined]
    for kind, value in HOSTILE.items():
        check(server, "learn", _written({"lesson": slug} | dict.fromkeys(LESSON_FIELDS, value)), f"{slug}: all is {kind}")


def test_no_field_of_a_lesson_is_left_out() -> None:
    pages = Path(track.__file__).parent.glob("*.py")
    read = {name for page in pages for name in re.findall(r'\b(?:value|bound)\("(\w+)"', page.read_text())}
    assert {"trained", "points", "model"} <= read
    assert read <= set(LESSON_FIELDS)


def test_the_lesson_may_be_anything(server: Server) -> None:
    for kind, value in HOSTILE.items():
        check(server, "learn", _written({"lesson": value}), f"lesson is {kind}")


def test_a_sentence_quotes_no_more_than_a_line_of_a_link(server: Server) -> None:
    sent = b"".join(message.SerializeToString() for message in server.visit("", f"model={'z' * 390}"))
    assert b"There is no network called" in sent
    assert b"z" * 70 not in sent.replace(b"model=" + b"z" * 390, b"")


@given(st.text(max_size=500))
def test_whole_numbers_are_read_and_nothing_else_is(text: str) -> None:
    found = query.whole_number(text)
    assert found is None or (str(found) == text.lstrip("0").rjust(1, "0") and found < 10**9)


@given(st.text(alphabet=st.characters(exclude_categories=["C"]), max_size=query.LONGEST))
def test_what_can_be_seen_is_plausible(text: str) -> None:
    assert query.is_plausible(text)
    assert not query.is_plausible(text + "\u202e")
    assert not query.is_plausible(text + "\ud800")
    assert not query.is_plausible(text.ljust(query.LONGEST + 1, "x"))


def check(server: Server, page: str, link: str, told: str) -> None:
    """Open a link; the page's script ends, and neither the page nor the log reports a failure."""
    before = server.log.stat().st_size
    sent = server.visit(page, link)
    everything = b"".join(message.SerializeToString() for message in sent)
    assert not any(message.delta.new_element.WhichOneof("type") == "exception" for message in sent), told
    assert b"script-error" not in everything, told
    assert not [words for words in RAW if words in everything], told
    with server.log.open("rb") as log:
        log.seek(before)
        assert b"Traceback" not in log.read(), told


def _written(values: dict[str, str]) -> str:
    return "&".join(f"{name}={value}" if "%" in value else urlencode({name: value}) for name, value in values.items())
