"""The lesson on cost: doing only one of the two changes what a layer costs."""

from playwright.sync_api import Page

from tests.browser.lesson_page import arrives_again, fits_one_screen, said
from tests.browser.screen import open_app, settle


def test_halving_alone_makes_the_last_layers_cheap(page: Page) -> None:
    open_app(page, "learn?lesson=cost")
    assert "every stage's layers cost the same" in said(page)
    assert fits_one_screen(page)
    page.get_by_text("halve only").click()
    settle(page)
    after = said(page)
    assert "a 16th of" in after
    assert arrives_again(page) == after
