"""What a person does and sees, in terms of Streamlit's test attributes."""

import os
from typing import Any
from uuid import uuid4

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page

from tests.servers import ARTIFACTS

TIMEOUT = 60_000
SMALL = "resnet20-cifar10"
# For so many milliseconds nothing may have changed, with the page free to change: between a click and the start of
# the script there is nothing else to see.
QUIET = 150
SETTLED = """([quiet, call]) => {
    const now = performance.now();
    if (!window.lastCall) {
        new MutationObserver(() => { window.quietSince = performance.now(); })
            .observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
    }
    if (window.lastCall !== call || now - window.lastLook > 100) window.quietSince = now;
    window.lastCall = call;
    window.lastLook = now;
    const app = document.querySelector('[data-testid=stApp]');
    return app?.dataset.testConnectionState === 'CONNECTED' && app.dataset.testScriptState === 'notRunning'
        && !document.querySelector('[data-testid=stSkeleton]') && now - window.quietSince > quiet;
}"""
# Browsers let the keyboard into whatever scrolls; axe does not know that yet.
RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"],
    "rules": {"scrollable-region-focusable": {"enabled": False}},
    "resultTypes": ["violations"],
}


def open_app(page: Page, query: str = "", model: str = SMALL) -> None:
    """Open the app and wait until it has drawn everything.

    Where the query names no network, the smallest one is taken, which answers fastest; "" leaves the app its default.
    """
    named = any(f"{name}=" in query for name in ("model", "left", "right")) or not model
    page.goto(f"/{query}" if named else f"/{query}{'&' if '?' in query else '?'}model={model}")
    settle(page)


def settle(page: Page) -> None:
    """Wait until the script has run, no placeholder is left and nothing on the page changes any more."""
    page.wait_for_function(SETTLED, arg=[QUIET, uuid4().hex], timeout=TIMEOUT)


def give(page: Page, place: Locator, files: Any) -> None:
    """Put files into a file picker and wait until the server has received and processed them."""
    with page.expect_response(lambda answer: "/upload_file/" in answer.url and answer.request.method == "PUT", timeout=TIMEOUT):
        place.set_input_files(files)
    settle(page)


def headings(page: Page) -> list[str]:
    """Every heading on the page, top to bottom."""
    return [text.strip() for text in page.locator("h1, h2, h3, h4, h5").all_inner_texts()]


def headings_for_another_person(chromium: Browser, url: str) -> list[str]:
    """The headings that another person sees who opens the link in a new browser."""
    with chromium.new_context(viewport={"width": 1440, "height": 900}) as context:
        page = context.new_page()
        page.goto(url)
        settle(page)
        return headings(page)


def equation_heading(page: Page) -> str:
    """The heading of the open block."""
    return next(text for text in headings(page) if text.startswith("Block "))


def click_block(page: Page, name: str) -> None:
    """Click a block on the map, at the middle one of its three invisible points."""
    names: list[str] = page.evaluate(
        "() => document.querySelector('.st-key-scroll-block-map .js-plotly-plot').data.at(-1).customdata"
    )
    click_point(page, "block-map", names.index(name) + 1)


def click_point(page: Page, chart: str, point: int) -> None:
    """Click a point of a chart's last trace, by its number."""
    place: dict[str, Any] = page.evaluate(
        """([chart, point]) => {
            const plot = document.querySelector(`.st-key-scroll-${chart} .js-plotly-plot`);
            plot.scrollIntoView({block: 'center'});
            const {x, y} = plot._fullData.at(-1);
            const {xaxis, yaxis} = plot._fullLayout;
            const box = plot.getBoundingClientRect();
            return {x: box.x + xaxis._offset + xaxis.l2p(x[point]), y: box.y + yaxis._offset + yaxis.l2p(y[point])};
        }""",
        [chart, point],
    )
    page.mouse.move(place["x"], place["y"])
    page.mouse.click(place["x"], place["y"])
    settle(page)


def alerts(page: Page) -> Locator:
    """The page's warnings and errors, without the hint that perhaps no class fits, which is about the image."""
    return page.locator("[data-testid='stAlert']").filter(has_not_text="Perhaps none of the")


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    width: int = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return width


def complaints(page: Page) -> list[str]:
    """The violations of WCAG 2.1 A or AA that axe-core finds, with the first element of each kind."""
    found = Axe().run(page, options=RULES).response["violations"]
    return [f"{each['id']}: {each['nodes'][0]['html']}: {each['nodes'][0]['failureSummary']}" for each in found]


def screenshot(page: Page, name: str) -> None:
    """Keep a screenshot of the whole page, if RESNET_VIZ_SCREENSHOTS asks for it."""
    if "RESNET_VIZ_SCREENSHOTS" not in os.environ:
        return
    width = page.viewport_size["width"] if page.viewport_size else 1440
    height: int = page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": width, "height": min(height + 60, 4000)})
    settle(page)
    page.screenshot(path=ARTIFACTS / f"{name}.png")
