"""The Survey page and what Inspect takes from a survey, without a browser."""

from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import resnet_viz as rv
from app import results
from app.surveys import HeldSurvey
from tests.survey.pictures import picture
from tests.test_share import script

MODEL = "resnet20-cifar10"


OpenPage = Callable[..., AppTest]


@pytest.fixture
def open_page() -> OpenPage:
    def run(page: str, own: dict[str, str] | None = None, **parameters: str) -> AppTest:
        app = AppTest.from_function(script, default_timeout=120, args=(page,))
        for field, value in ({"model": MODEL} | parameters).items():
            app.query_params[field] = value
        app.session_state["own_surveys"] = own or {}
        app.run()
        assert not app.exception
        return app

    return run


def held(title: str, weights: str | None = "trained", model: str = MODEL) -> str:
    """Survey a few images, and return the key under which the server has the survey."""
    net = rv.load(model, weights=weights, device="cpu")
    found = rv.survey(net, [picture(seed) for seed in range(4)]).renamed([f"{title}-{each}.png" for each in range(4)], title)
    return results.own_surveys().add(HeldSurvey(found, title, {}), "someone")


def texts(app: AppTest, kind: str = "markdown") -> str:
    shown: list[Any] = list(app.get(kind))
    return " ".join(each.value for each in shown).replace("\\", "")


def test_a_survey_of_random_weights_is_not_shown_for_the_trained_network(open_page: OpenPage) -> None:
    own = {held("dice", weights=None): "dice"}
    assert "among the first 100 CIFAR-10" in texts(open_page("inspect", own, detail="fires"))
    assert "among dice" in texts(open_page("inspect", own, detail="fires", weights="none"))


def test_an_untrained_network_without_a_survey_has_none(open_page: OpenPage) -> None:
    app = open_page("inspect", {held("photos"): "photos"}, detail="fires", weights="none")
    assert "No survey with these weights" in texts(app, "info")


def test_inspect_takes_the_survey_of_the_url_if_it_fits(open_page: OpenPage) -> None:
    first, second, random = held("first"), held("second"), held("random", weights=None)
    own = {first: "first", second: "second", random: "random"}
    chosen = {"": "second", first: "first", random: "second", MODEL: "the first 100 CIFAR-10"}
    for survey, title in chosen.items():
        assert f"among {title}" in texts(open_page("inspect", own, detail="fires", survey=survey))
