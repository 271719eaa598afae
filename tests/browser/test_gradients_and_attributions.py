"""Gradients and attributions in the browser: the charts, a long method's progress, and the convergence delta."""

import time

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.screen import headings, headings_for_another_person, open_app, overflow, screenshot, settle


def shown_map(page: Page) -> str:
    """Every value of the signed map on screen."""
    values: str = page.evaluate(
        "() => JSON.stringify(Array.from(document.querySelector('.st-key-scroll-attribution .js-plotly-plot')._fullData[1].z,"
        " row => Array.from(row)))"
    )
    return values


def choose(page: Page, label: str, option: str) -> None:
    """Choose an option of a select box."""
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=option, exact=True).click()
    settle(page)


def test_the_gradients_divide_exactly_and_the_finding_says_how(page: Page) -> None:
    open_app(page, "gradients")
    found = headings(page)
    assert any("The gradient at the first block is" in text and "through the shortcut is" in text for text in found)
    expect(page.get_by_text("the largest error over all entries of all blocks is 0.")).to_be_visible()
    expect(page.locator("[data-testid='stException'], .st-key-script-error, [data-testid='stAlert']")).to_have_count(0)
    screenshot(page, "gradients-light")


def test_another_objective_and_the_network_before_training(page: Page) -> None:
    open_app(page, "gradients")
    before = headings(page)
    page.get_by_role("radio", name="logit difference").or_(page.get_by_text("logit difference")).first.click()
    settle(page)
    assert "objective=logit+difference" in page.url
    assert headings(page) != before
    page.get_by_text("same network, untrained").click()
    settle(page)
    expect(page.locator("[data-testid='stAlert']")).to_contain_text("random weights")
    assert any("(random weights)" in text for text in headings(page))


def test_an_attribution_says_what_it_adds_up_to(page: Page) -> None:
    open_app(page, "attribution")
    assert any("% of the pixels hold half of the positive attribution" in text for text in headings(page))
    alert = page.locator("[data-testid='stAlert']")
    expect(alert).to_contain_text("The map adds up to")
    expect(alert).to_contain_text("Convergence delta")
    screenshot(page, "attribution-light")


def test_too_large_a_delta_offers_more_steps(page: Page) -> None:
    open_app(page, "attribution?view=conductance&steps=16")
    page.get_by_role("button", name="Double the steps to 32").click()
    settle(page)
    assert "steps=32" in page.url


def test_another_noise_level_makes_another_map_and_the_link_holds_it(page: Page) -> None:
    open_app(page, "attribution?method=smoothgrad&samples=8")
    before = shown_map(page)
    choose(page, "Noise", "40%")
    assert "noise=0.4" in page.url
    after = shown_map(page)
    assert after != before
    open_app(page, page.url.split("/", 3)[3])
    assert shown_map(page) == after


def test_a_smaller_window_takes_a_smaller_stride_with_it(page: Page) -> None:
    open_app(page, "attribution?method=occlusion&window=1/3&stride=1/3")
    before = shown_map(page)
    choose(page, "Window", "1/4 of the side")
    assert "window=1%2F4" in page.url
    assert shown_map(page) != before
    expect(page.get_by_role("combobox", name="Stride")).to_have_value("1/8 of the side")


def test_tiles_of_blocks_are_compared_on_one_scale_until_each_gets_its_own(page: Page) -> None:
    open_app(page, "attribution?view=strip")
    sheet = page.locator(".st-key-scroll-cam-strip .layer-below image, .st-key-scroll-cam-strip .imagelayer image").first
    before = sheet.get_attribute("xlink:href") or sheet.get_attribute("href")
    expect(page.get_by_text("All blocks on one scale")).to_be_visible()
    page.get_by_text("Separate scales").click()
    settle(page)
    assert "scale=each" in page.url
    expect(page.get_by_text("Each block on its own scale")).to_be_visible()
    assert (sheet.get_attribute("xlink:href") or sheet.get_attribute("href")) != before


def test_grad_cam_shows_the_places_of_its_block_on_one_scale(page: Page) -> None:
    open_app(page, "attribution?method=grad_cam&block=layer2.1")
    assert any("at block 2.1, the shortcut carries" in text for text in headings(page))
    chart = page.locator(".st-key-scroll-places .js-plotly-plot")
    expect(chart).to_contain_text("residual branch")
    expect(chart).to_contain_text("after the addition")


@pytest.mark.parametrize("view", ["gallery", "strip", "conductance", "trust"])
def test_each_view_opens(page: Page, view: str) -> None:
    open_app(page, f"attribution?view={view}")
    expect(page.locator("[data-testid='stException'], .st-key-script-error")).to_have_count(0)
    assert len(headings(page)) >= 3
    assert overflow(page) <= 0
    screenshot(page, f"attribution-{view}")


def test_a_long_method_can_be_stopped_and_the_app_is_free_at_once(page: Page) -> None:
    page.goto("/attribution?model=resnet152&weights=none&method=integrated_gradients&steps=512")
    # The map so far, and the one after it.
    for number in range(2):
        page.locator(f".st-key-so-far-{number} img").wait_for(timeout=60_000)
    stop = page.locator("[class*='st-key-stop-'] button")
    # Streamlit's own Stop, after which nothing could be resumed, is not shown.
    assert page.get_by_role("button", name="Stop", exact=True).count() == 1
    stop.click(timeout=60_000)
    started = time.monotonic()
    expect(page.get_by_text("Stopped at")).to_be_visible(timeout=10_000)
    settle(page)
    assert time.monotonic() - started < 4
    page.get_by_role("button", name="Start again").wait_for()
    # What was computed stays on the page, labelled.
    expect(page.get_by_text("Partial map")).to_be_visible()


def test_what_was_stopped_for_one_class_is_computed_for_another(page: Page) -> None:
    page.goto("/attribution?model=resnet152&weights=none&view=gallery&methods=smoothgrad")
    page.locator("[class*='st-key-stop-'] button").click(timeout=60_000)
    page.get_by_role("button", name="Start again").wait_for()
    page.get_by_role("combobox", name="Target class").click()
    page.get_by_role("option").nth(5).click()
    page.locator("[class*='st-key-stop-'] button").click(timeout=60_000)


def test_the_same_link_shows_the_same_to_another_person(page: Page, chromium: Browser) -> None:
    open_app(page, "attribution?method=grad_cam&block=layer2.1&place=residual")
    assert headings_for_another_person(chromium, page.url) == headings(page)


@pytest.mark.parametrize(
    "query",
    [
        "method=nonsense&view=nonsense&steps=-3&samples=x",
        "method=grad_cam&place=q&block=z",
        "method=smoothgrad&noise=loud",
        "method=occlusion&window=1/6&stride=1/3",
        "method=occlusion&window=1/0&stride=-1",
        "view=strip&scale=nonsense",
    ],
)
def test_a_broken_link_shows_the_first_choice(page: Page, query: str) -> None:
    open_app(page, f"attribution?{query}")
    expect(page.locator("[data-testid='stException'], .st-key-script-error")).to_have_count(0)
    assert len(headings(page)) >= 3
