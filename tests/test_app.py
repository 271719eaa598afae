"""The app without a browser: the URL is the selection, and text from outside is never markup."""

from dataclasses import fields
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import show, state
from resnet_viz.figures import theme

ROOT = Path(__file__).parents[1]


@pytest.fixture
def app() -> AppTest:
    return AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60)


def test_the_first_run_writes_the_whole_selection_into_the_url(app: AppTest) -> None:
    app.run()
    assert not app.exception
    assert app.query_params["model"] == "resnet20-cifar10"
    assert app.query_params["block"].startswith("layer")


def test_a_link_is_obeyed(app: AppTest) -> None:
    app.query_params["block"] = "layer3.1"
    app.query_params["measure"] = "cosine"
    app.query_params["detail"] = "depth"
    app.run()
    assert not app.exception
    shown = [element.value for element in app.markdown]
    assert any("Block 3\\.1" in text for text in shown)
    assert any("F points most along x" in text for text in shown)


def test_a_bad_link_is_explained_and_replaced(app: AppTest) -> None:
    app.query_params["model"] = "resnet9000"
    app.run()
    assert not app.exception
    assert "no network called resnet9000" in app.error[0].value.replace("\\", "")
    assert app.query_params["model"] == "resnet20-cifar10"


def test_markup_in_text_from_outside_stays_text() -> None:
    assert show.escape("<script>alert(1)</script>") == "\\<script\\>alert\\(1\\)\\</script\\>"
    assert show.escape("**x** [y](z) `c` $m$ :red[r]").count("\\") == 15


def test_every_field_of_the_selection_is_text() -> None:
    assert all(isinstance(field.default, str) for field in fields(state.Selection))


def test_marks_that_turn_writing_around_do_not_reach_the_page() -> None:
    assert show.escape("cat\u202egpj\ud800") == "cat\ufffdgpj\ufffd"
    assert "\u202e" not in theme.plain("cat\u202egpj")
