"""The lesson on a signal's way through depth: deeper chains change the sentence, and a link brings it back."""

from playwright.sync_api import Page

from tests.browser.lesson_page import arrives_again, fits_one_screen, said
from tests.browser.screen import open_app, settle


def test_deeper_chains_leave_something_else_of_the_signal(page: Page) -> None:
    open_app(page, "learn?lesson=signal")
    before = said(page)
    assert "A single ReLU sets" in before
    assert fits_one_screen(page)
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("ArrowRight")
    settle(page)
    assert "depth=10" in page.url
    after = said(page)
    assert "After 10 convolutions" in after
    assert after != before
    assert arrives_again(page) == after


def test_the_gradient_that_comes_back_has_a_sentence_of_its_own(page: Page) -> None:
    open_app(page, "learn?lesson=signal&signal=picture&see=at_input&depth=56&norm=no")
    assert said(page).startswith("From depth 2 to 56, the gradient norm at the input")


def test_what_a_link_says_wrongly_is_the_usual(page: Page) -> None:
    open_app(page, "learn?lesson=signal&depth=7&see=x&seed=-1&branch=9&norm=maybe&signal=smell")
    assert "After 8 convolutions" in said(page)
