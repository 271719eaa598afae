"""What every lesson shows, for the browser tests of lessons."""

from playwright.sync_api import Page

from tests.browser.screen import TIMEOUT, settle


def said(page: Page) -> str:
    """The lesson's sentence, once it is there, and no error next to it."""
    sentence = page.locator(".st-key-lesson-sentence p")
    sentence.first.wait_for(timeout=TIMEOUT)
    settle(page)
    assert page.locator("[data-testid='stException'], [data-testid='stAlert']").count() == 0
    return sentence.first.inner_text()


def arrives_again(page: Page) -> str:
    """The sentence after the page is reloaded."""
    page.reload()
    settle(page)
    return said(page)


def fits_one_screen(page: Page) -> bool:
    """Whether the page fits without scrolling."""
    fits: bool = page.evaluate(
        """() => {
            const main = document.querySelector('[data-testid=stMain]');
            return main.scrollHeight <= main.clientHeight + 1;
        }"""
    )
    return fits
