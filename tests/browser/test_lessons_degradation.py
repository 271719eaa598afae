"""The lesson on degradation: errors first, then whether gradients vanished."""

from playwright.sync_api import Page

from tests.browser.lesson_page import arrives_again, fits_one_screen, said
from tests.browser.screen import open_app, settle


def test_the_gradients_have_an_answer_of_their_own(page: Page) -> None:
    open_app(page, "learn?lesson=degradation")
    assert "training" in said(page)
    assert fits_one_screen(page)
    page.get_by_text("are vanishing gradients the cause?").click()
    settle(page)
    after = said(page)
    assert "the smallest gradient norm of a block is" in after
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    settle(page)
    earlier = said(page)
    assert earlier != after
    assert arrives_again(page) == earlier
