"""The page about one network: its card, its training, its parts."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.screen import headings, open_app, overflow, screenshot

CARD = json.loads((Path(__file__).parents[2] / "assets" / "weights" / "resnet20-cifar10.json").read_text())
CHARTS = ("training-curves", "gradient-norms", "class-accuracy", "confusion")


def metric(page: Page, label: str) -> str:
    """The figure of the strip that stands under a label."""
    return page.locator("[data-testid='stMetric']", has_text=label).locator("[data-testid='stMetricValue']").inner_text()


def test_a_shipped_network_shows_its_card(page: Page) -> None:
    open_app(page, "model?model=resnet20-cifar10")
    found = headings(page)
    assert f"ResNet-20 classifies {CARD['test_accuracy']:.1%} of the test images correctly" in found
    assert any("error" in text and "ResNet-20" in text for text in found)
    assert any("gradient" in text for text in found)
    assert any("blocks costs 3.54 to 4.72 million multiply-adds" in text for text in found)
    assert metric(page, "Training accuracy") == f"{CARD['train_accuracy']:.1%}"
    assert metric(page, "Parameters") == "0.27 M"
    assert metric(page, "Multiply-adds") == "40.55 M"
    expect(page.locator("[data-testid='stDataFrame']")).to_have_count(1)
    expect(page.get_by_text(CARD["sha256"])).to_be_visible()
    expect(page.locator("[data-testid='stException'], .st-key-script-error, [data-testid='stAlert']")).to_have_count(0)
    assert overflow(page) <= 0
    screenshot(page, "model-light")


def test_every_chart_has_an_alternative_text(page: Page) -> None:
    open_app(page, "model?model=resnet20-cifar10")
    for chart in CHARTS:
        label = page.locator(f".st-key-scroll-{chart} [role='figure']").get_attribute("aria-label")
        assert label is not None, chart
        assert len(label) > 40, chart


def test_card_and_curve_can_be_taken_out(page: Page) -> None:
    open_app(page, "model?model=resnet20-cifar10")
    with page.expect_download() as card:
        page.get_by_role("button", name="Download the card (JSON)").click()
    assert json.loads(card.value.path().read_text()) == CARD
    with page.expect_download() as curve:
        page.get_by_role("button", name="Download the curve (CSV)").click()
    assert len(curve.value.path().read_text().splitlines()) == CARD["recipe"]["epochs"] + 1


@pytest.mark.parametrize(
    ("query", "heading"),
    [
        ("?model=resnet50", "ResNet-50 classifies 80.9% of ImageNet's validation images correctly"),
        ("?model=plain110-cifar10", "Plain-110 has no trained weights yet"),
        ("?model=resnet20-cifar10&weights=none", "ResNet-20 with random weights"),
        ("?model=resnet18&weights=none", "ResNet-18 with random weights"),
    ],
)
def test_a_network_without_a_card_shows_what_is_known_and_its_parts(query: str, heading: str, page: Page) -> None:
    open_app(page, f"model{query}")
    assert heading in headings(page)
    expect(page.locator("[data-testid='stDataFrame']")).to_have_count(1)
    expect(page.locator("[data-testid='stPlotlyChart']")).to_have_count(0)
    expect(page.locator("[data-testid='stException'], .st-key-script-error, [data-testid='stAlert']")).to_have_count(0)
    assert overflow(page) <= 0


def test_published_figures_are_called_that(page: Page) -> None:
    open_app(page, "model?model=resnet50")
    expect(page.get_by_text("those published by torchvision, not measured here")).to_be_visible()
    assert metric(page, "Multiply-adds") == "4.09 G"
    link = page.get_by_role("link", name="How these weights were trained")
    assert str(link.get_attribute("href")).startswith("https://github.com/pytorch/vision/")


def test_another_network_is_a_choice_away_and_in_the_link(page: Page) -> None:
    open_app(page, "model?model=resnet20-cifar10")
    page.get_by_role("combobox", name="Network").click()
    page.keyboard.type("ResNet-18")
    page.get_by_role("option", name="ResNet-18 ·").click()
    page.wait_for_function("() => location.search.includes('model=resnet18')")
    expect(page.locator("h3:has-text('ResNet-18 classifies')")).to_be_visible()
    expect(page.locator("h3:has-text('Each of the 8 blocks')")).to_be_visible()


def test_an_unknown_network_gets_a_sentence_and_the_default_is_shown(page: Page) -> None:
    open_app(page, "model?model=nonsense")
    expect(page.locator("[data-testid='stAlert']")).to_contain_text("There is no network called nonsense")
    assert any(text.startswith("ResNet-18 Imagenette classifies") for text in headings(page))
    expect(page.locator("[data-testid='stException'], .st-key-script-error")).to_have_count(0)
