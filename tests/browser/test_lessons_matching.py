"""The three lessons on matching: choose shapes, see option A and option B on real features."""

from playwright.sync_api import Page

from tests.browser.lesson_page import arrives_again, fits_one_screen, said
from tests.browser.screen import open_app, settle


def test_another_shape_has_another_mismatch(page: Page) -> None:
    open_app(page, "learn?lesson=matching")
    assert "height and width and channels do not match" in said(page)
    assert fits_one_screen(page)
    page.get_by_label("Channels of x", exact=True).click()
    page.get_by_role("option", name="64").click()
    settle(page)
    after = said(page)
    assert "Padding with zeros cannot remove channels" in after
    assert arrives_again(page) == after


def test_untrained_kernels_on_the_picture_say_so(page: Page) -> None:
    open_app(page, "learn?lesson=projection")
    before = said(page)
    assert "512 weights and 64 of batch norm" in before
    assert "of the test images correctly with A" in before
    assert fits_one_screen(page)
    page.get_by_text("the image, six untrained kernels").click()
    settle(page)
    after = said(page)
    assert "6 kernels of 1×1×3, 18 weights and 12 of batch norm, untrained" in after
    assert arrives_again(page) == after
