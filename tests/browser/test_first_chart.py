"""On a first visit, the rest of the page is sent once the browser has drawn the first chart, and after five seconds anyway."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.screen import SMALL, settle

PLOTLY, MAP, TO_COME = "**/PlotlyChart.*.js", ".st-key-block-map-head h3", ".to-come"


@pytest.fixture
def newcomer(chromium: Browser, app_url: str) -> Iterator[Page]:
    """A browser that has no script of the app yet."""
    with chromium.new_context(base_url=app_url, viewport={"width": 1440, "height": 900}) as context:
        yield context.new_page()


def hold_plotly(page: Page) -> list[Route]:
    """Hold the script that draws charts; the list gets the request that waits."""
    held: list[Route] = []
    page.route(PLOTLY, lambda route: held.append(route))  # noqa: PLW0108 - Playwright cannot use a method of a list
    return held


def test_the_rest_follows_the_first_chart(newcomer: Page) -> None:
    held = hold_plotly(newcomer)
    newcomer.goto(f"/?model={SMALL}")
    expect(newcomer.locator(TO_COME)).to_have_count(2)
    expect(newcomer.get_by_role("heading", name="predicts")).to_be_visible()
    expect(newcomer.locator(MAP)).to_have_count(0)
    held[0].continue_()
    expect(newcomer.locator(MAP)).to_be_visible()
    settle(newcomer)
    expect(newcomer.locator(TO_COME)).to_have_count(0)
    expect(newcomer.locator(".js-plotly-plot .main-svg").first).to_be_visible()


def test_without_a_chart_the_rest_follows_after_five_seconds(newcomer: Page) -> None:
    newcomer.route(PLOTLY, lambda _: None)
    newcomer.goto(f"/?model={SMALL}")
    expect(newcomer.locator(MAP)).to_be_visible(timeout=15_000)
    expect(newcomer.locator(TO_COME)).to_have_count(0)


def test_a_choice_before_the_first_chart_counts(newcomer: Page) -> None:
    held = hold_plotly(newcomer)
    newcomer.goto(f"/?model={SMALL}")
    expect(newcomer.locator(TO_COME)).to_have_count(2)
    newcomer.get_by_role("combobox", name="Target class").click()
    newcomer.get_by_role("option", name="frog").click()
    newcomer.wait_for_url("**target=*")
    held[0].continue_()
    expect(newcomer.locator(MAP)).to_be_visible()
    settle(newcomer)
    assert "target=6" in newcomer.url
    expect(newcomer.locator(".facts")).to_contain_text("max |x + F − sum|")


def test_other_pages_send_the_ways_to_another_image_after_the_first_chart(newcomer: Page) -> None:
    held = hold_plotly(newcomer)
    newcomer.goto(f"/gradients?model={SMALL}")
    expect(newcomer.locator(TO_COME)).to_have_count(1)
    held[0].continue_()
    expect(newcomer.locator(".st-key-gallery")).to_be_visible()
    settle(newcomer)
    expect(newcomer.locator(TO_COME)).to_have_count(0)
    newcomer.locator("[class*='st-key-gallery-sample-kingfisher-photo'] button:visible").click()
    newcomer.wait_for_url("**image=kingfisher-photo*")
