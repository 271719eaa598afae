"""The app without a browser: the URL is the selection, and text from outside is never markup."""

import io
from dataclasses import fields
from pathlib import Path

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from app import results, show, state
from app.pictures import Preview
from app.views import classes_section
from resnet_viz.figures import theme

ROOT = Path(__file__).parents[1]


@pytest.fixture
def app() -> AppTest:
    return AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60)


def test_the_first_run_writes_the_whole_selection_into_the_url(app: AppTest) -> None:
    app.run()
    assert not app.exception
    assert app.query_params["model"] == "resnet18-imagenette"
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
    assert app.query_params["model"] == "resnet18-imagenette"


@pytest.mark.parametrize(("image", "unsure"), [("raccoon-photo", True), ("cifar-dog", False)])
def test_a_hint_appears_where_the_best_class_has_a_low_probability(app: AppTest, image: str, unsure: bool) -> None:  # noqa: FBT001 - a parameter
    app.query_params["image"] = image
    app.query_params["model"] = "resnet20-cifar10"
    app.run()
    assert not app.exception
    hints = [info.value.replace("\\", "") for info in app.info]
    assert any("Perhaps none of the 10 classes fits" in hint for hint in hints) == unsure
    assert all(f"{100 * classes_section.UNSURE:.0f}%" in hint for hint in hints)


def test_a_link_to_the_whole_photo_is_obeyed(app: AppTest) -> None:
    app.query_params["image"] = "rocket-photo"
    app.query_params["framing"] = "fit"
    app.run()
    assert not app.exception
    assert app.query_params["framing"] == "fit"


def test_what_is_made_of_a_persons_photo_goes_with_their_session() -> None:
    file = io.BytesIO()
    Image.new("RGB", (40, 30)).save(file, "PNG")
    results._pictures().put("theirs", Preview.of(file.getvalue()), "ann")
    assert results._pictures().get("theirs", "ann") is not None
    results._forget("ann")
    assert results._pictures().get("theirs", "bob") is None


def test_markup_in_text_from_outside_stays_text() -> None:
    assert show.escape("<script>alert(1)</script>") == "\\<script\\>alert\\(1\\)\\</script\\>"
    assert show.escape("**x** [y](z) `c` $m$ :red[r]").count("\\") == 15


def test_every_field_of_the_selection_is_text() -> None:
    assert all(isinstance(field.default, str) for field in fields(state.Selection))


def test_marks_that_turn_writing_around_do_not_reach_the_page() -> None:
    assert show.escape("-0.5 (-2) of ResNet-18, 1-2") == "−0\\.5 \\(−2\\) of ResNet\\-18, 1\\-2"
    assert show.escape("cat\u202egpj\ud800") == "cat\ufffdgpj\ufffd"
    assert "\u202e" not in theme.plain("cat\u202egpj")
