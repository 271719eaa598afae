"""Every page on a phone and in the dark: nothing too wide, every chart in its theme, WCAG AA as axe-core sees it."""

import pytest
from playwright.sync_api import Page

from tests.browser.screen import complaints, headings, open_app, overflow, screenshot

PAGES = {
    "first-page": "?block=layer2.1",
    "deep": "?model=resnet152&weights=none&detail=depth",
    "gradients": "gradients",
    "attribution": "attribution",
    "conductance": "attribution?view=conductance",
    "compare": "compare",
    "model": "model?model=resnet20-cifar10",
    "model-deep": "model?model=plain110-cifar10",
    "learn": "learn",
    "questions": "questions",
}
DARK = ("first-page", "gradients", "attribution", "compare", "model")
LOOKS = {
    "phone": (390, "light", "#1d2733", "rgb(255, 255, 255)"),
    "dark": (1440, "dark", "#e8edf2", "rgb(17, 22, 28)"),
}


@pytest.mark.parametrize(("name", "look"), [*((name, "phone") for name in PAGES), *((name, "dark") for name in DARK)])
def test_a_page_can_be_read(page: Page, name: str, look: str) -> None:
    width, scheme, ink, paper = LOOKS[look]
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    open_app(page, PAGES[name])
    assert headings(page)
    assert overflow(page) <= 0
    assert page.evaluate("() => getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor") == paper
    inks = page.evaluate(
        "() => [...document.querySelectorAll('.js-plotly-plot')].map(plot => plot._fullLayout.font.color.toLowerCase())"
    )
    assert set(inks) <= {ink}
    assert complaints(page) == []
    screenshot(page, f"{name}-{look}")
