"""The Survey page and what Inspect takes from a survey, without a browser."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from streamlit.testing.v1 import AppTest

import resnet_viz as rv
from app import results
from app.surveys import HeldSurvey, Surveys, title_of
from tests.survey.pictures import picture
from tests.test_share import script

MODEL = "resnet20-cifar10"


OpenPage = Callable[..., AppTest]
AddSurvey = Callable[..., str]


@pytest.fixture
def open_page(session: str) -> OpenPage:
    def run(page: str, **parameters: str) -> AppTest:
        app = AppTest.from_function(script, default_timeout=120, args=(page,))
        for field, value in ({"model": MODEL} | parameters).items():
            app.query_params[field] = value
        app.session_state["session"] = session
        app.run()
        assert not app.exception
        return app

    return run


@pytest.fixture
def session() -> str:
    """The name of a session of its own."""
    return uuid4().hex


@pytest.fixture
def add(session: str) -> Callable[..., str]:
    """Survey a few images for the session, and return the key under which the server has the survey."""

    def run(title: str, weights: str | None = "trained", model: str = MODEL) -> str:
        net = rv.load(model, weights=weights, device="cpu")
        names = [f"{title}-{number}.png" for number in range(4)]
        found = rv.survey(net, [picture(seed) for seed in range(4)]).renamed(names, title)
        return results.own_surveys().add(HeldSurvey(found, title_of(found.manifest, title), {}), session)

    return run


def texts(app: AppTest, kind: str = "markdown") -> str:
    shown: list[Any] = list(app.get(kind))
    return " ".join(each.value for each in shown).replace("\\", "")


def test_a_survey_of_random_weights_is_not_shown_for_the_trained_network(open_page: OpenPage, add: AddSurvey) -> None:
    add("dice", weights=None)
    assert "among the first 100 CIFAR-10" in texts(open_page("inspect", detail="fires"))
    assert "among dice" in texts(open_page("inspect", detail="fires", weights="none"))


def test_an_untrained_network_without_a_survey_has_none(open_page: OpenPage, add: AddSurvey) -> None:
    add("photos")
    assert "No survey with these weights" in texts(open_page("inspect", detail="fires", weights="none"), "info")


def test_inspect_takes_the_survey_of_the_url_if_it_fits(open_page: OpenPage, add: AddSurvey) -> None:
    first, _, random = add("first"), add("second"), add("random", weights=None)
    chosen = {"": "second", first: "first", random: "second", MODEL: "the first 100 CIFAR-10"}
    for survey, title in chosen.items():
        assert f"among {title}" in texts(open_page("inspect", detail="fires", survey=survey))


def test_surveys_of_one_name_can_be_told_apart(open_page: OpenPage, add: AddSurvey) -> None:
    keys = [add("photos"), add("photos", weights=None), add("photos")]
    app = open_page("survey", survey=keys[0])
    (options,) = (each.options for each in app.selectbox if each.label == "Survey")
    assert options[-3:] == [
        "photos, by ResNet-20",
        "photos, by ResNet-20 with random weights",
        "photos, by ResNet-20 (2)",
    ]


def test_a_link_to_the_survey_of_another_session_has_its_title(add: AddSurvey) -> None:
    key = add("photos")
    app = AppTest.from_function(script, default_timeout=120, args=("survey",))
    app.query_params["survey"] = key
    app.run()
    assert not app.exception
    assert "photos, by ResNet-20" in next(each.options for each in app.selectbox if each.label == "Survey")


def test_a_new_session_of_the_same_browser_has_the_surveys_of_the_one_before(add: AddSurvey, session: str) -> None:
    surveys = Surveys()
    held = results.own_surveys().get(add("photos"), session)
    key = surveys.add(held, "before")
    surveys.titles("before", "firefox")
    assert surveys.titles("after", "firefox") == {key: held.title}
    assert surveys.titles("another", "chromium") == {}
    surveys.forget("before")
    assert surveys.titles("after", "firefox") == {key: held.title}


def test_the_network_of_the_form_leaves_the_survey_on_the_screen(open_page: OpenPage) -> None:
    app = open_page("survey")
    field = next(each for each in app.selectbox if each.label == "Network for the new survey")
    shown = texts(app)
    field.set_value("resnet18-imagenette").run()
    assert not app.exception
    assert texts(app) == shown
    assert app.query_params["model"] == MODEL


def test_the_tick_is_at_the_chosen_image_of_every_table(open_page: OpenPage) -> None:
    app = open_page("survey", survey="resnet18-imagenette", picked="kitten-photo.jpg", block="layer2.1")
    ticked = app.session_state["survey-table-ratio"]["selection"]["rows"]
    names = list(app.dataframe[2].value["image"])
    assert [names[row] for row in ticked] == ["kitten-photo.jpg"]
    for number, key in enumerate(("survey-largest-ratio", "survey-smallest-ratio")):
        there = "kitten-photo.jpg" in list(app.dataframe[number].value["image"])
        assert len(app.session_state[key]["selection"]["rows"]) == there


def test_a_choice_that_is_impossible_is_not_offered(open_page: OpenPage, add: AddSurvey) -> None:
    app = open_page("survey", survey=add("photos"), group="right or wrong")
    shown: list[Any] = list(app.get("button_group"))
    (groups,) = (each for each in shown if each.label == "Group by")
    assert list(groups.options) == ["nothing", "predicted class"]
    assert "predictions cannot be checked" in texts(app, "caption")
    assert "1 image" not in texts(app)


def test_a_plain_network_opens_on_a_measure_with_values(open_page: OpenPage, add: AddSurvey) -> None:
    app = open_page("survey", survey=add("photos", model="plain20-cifar10"), quantity="ratio")
    assert "The median of std of F" in texts(app)
    assert "This network has no shortcuts" in texts(app, "caption")


def test_captions_speak_of_marks_only_where_there_are_photos(open_page: OpenPage) -> None:
    without = texts(open_page("inspect", detail="fires"), "caption")
    assert "only their names are listed" in without
    assert "Dashed: its receptive field" not in without
    photos = texts(open_page("inspect", detail="fires", model="resnet18-imagenette", block="layer4.1"), "caption")
    assert "Dashed: its receptive field" in photos
    assert "the channel that the image above excites most" in photos
