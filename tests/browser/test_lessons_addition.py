"""The lesson on adding: other vectors and another block change the sentence."""

from playwright.sync_api import Page, expect

from tests.browser.lesson_page import arrives_again, fits_one_screen, said
from tests.browser.screen import open_app, settle


def test_two_other_vectors_are_added_and_the_link_keeps_them(page: Page) -> None:
    open_app(page, "learn?lesson=adding")
    assert said(page).startswith("[1, 2] + [3, 4] = [4, 6]")
    assert fits_one_screen(page)
    page.get_by_label("First vector").fill("10, 20")
    page.keyboard.press("Enter")
    settle(page)
    after = said(page)
    assert after.startswith("[10, 20] + [3, 4] = [13, 24]")
    assert arrives_again(page) == after


def test_what_is_no_vector_gets_a_sentence(page: Page) -> None:
    open_app(page, "learn?lesson=adding&left=two")
    expect(page.locator("[data-testid='stAlert']")).to_contain_text("is not a vector")
    expect(page.locator("[data-testid='stException']")).to_have_count(0)
