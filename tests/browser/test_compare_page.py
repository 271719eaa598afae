"""Compare in a real browser: two sides at once, a click opens a block on both, and a link brings the comparison back."""

import io
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.browser.screen import alerts, click_point, give, headings, headings_for_another_person, open_app, screenshot, settle

CROP = "Network input"
SAME_DEPTH = "compare?left=plain20-cifar10&left_weights=none&right=resnet20-cifar10&image=cifar-cat"


def crops(page: Page) -> list[str | None]:
    return [image.get_attribute("src") for image in page.get_by_alt_text(CROP).all()]


def click_block(page: Page, side: str, name: str) -> None:
    """Click a block on one of the two maps, at the middle one of its three invisible points."""
    names: list[str] = page.evaluate(
        "side => document.querySelector(`.st-key-scroll-map-${side} .js-plotly-plot`).data.at(-1).customdata", side
    )
    click_point(page, f"map-{side}", names.index(name) + 1)


def test_the_default_has_two_sides_of_trained_weights(page: Page) -> None:
    open_app(page, "compare")
    assert page.get_by_alt_text(CROP).count() == 2
    found = headings(page)
    assert len([text for text in found if " predicts: " in text]) == 2
    assert any(text.startswith("The prediction is") for text in found)
    assert "left=resnet20-cifar10" in page.url
    assert "right=plain20-cifar10" in page.url
    assert "weights=none" not in page.url
    expect(page.locator("[data-testid='stException'], .st-key-script-error")).to_have_count(0)
    expect(alerts(page)).to_have_count(0)
    screenshot(page, "compare-light")


def test_another_network_by_link_and_the_same_view_for_another_person(page: Page, chromium: Browser) -> None:
    open_app(page, SAME_DEPTH)
    found = headings(page)
    assert any(text.startswith("Untrained Plain-20 ·") for text in found)
    assert any(text.startswith("ResNet-20 ·") for text in found)
    expect(page.locator("[data-testid='stAlert']")).to_have_count(1)
    expect(page.locator("[data-testid='stAlert']")).to_contain_text("The weights of this side are random")
    assert headings_for_another_person(chromium, page.url) == found
    open_app(page, SAME_DEPTH.replace("right=resnet20", "right_weights=none&right=resnet20b"))
    assert any(text.startswith("Untrained ResNet-20 B ·") for text in headings(page))
    screenshot(page, "compare-networks-light")


def test_a_click_on_either_map_opens_the_block_on_both_sides(page: Page) -> None:
    open_app(page, SAME_DEPTH)
    for side, block in (("left", "layer1.2"), ("right", "layer3.1")):
        click_block(page, side, block)
        assert f"block={block}" in page.url
        short = block.removeprefix("layer")
        assert f"Block {short} on both sides" in headings(page)
        assert len([text for text in headings(page) if f"· Block {short}" in text]) == 2


def test_maps_of_one_length_stand_under_one_another_on_one_scale(page: Page) -> None:
    open_app(page, f"{SAME_DEPTH}&block=layer2.1")
    drawn: list[dict[str, Any]] = page.evaluate(
        """() => ['left', 'right'].map(side => {
            const plot = document.querySelector(`.st-key-scroll-map-${side} .js-plotly-plot`);
            const {xaxis} = plot._fullLayout;
            return plot._fullData.at(-1).x.map(x => Math.round(plot.getBoundingClientRect().x + xaxis._offset + xaxis.l2p(x)));
        })"""
    )
    assert drawn[0] == drawn[1]


def test_swap_turns_the_sides_and_keeps_the_block(page: Page) -> None:
    open_app(page, f"{SAME_DEPTH}&block=layer2.1")
    before = headings(page)
    page.get_by_role("button", name="Swap the sides").click()
    settle(page)
    assert "left=resnet20-cifar10" in page.url
    assert "right_weights=none" in page.url
    assert "block=layer2.1" in page.url
    assert sorted(text for text in headings(page) if "·" in text) == sorted(text for text in before if "·" in text)


def test_one_network_on_two_pictures(page: Page) -> None:
    open_app(page, "compare?left=resnet20-cifar10&right=resnet20-cifar10&image=cifar-cat&right_image=cifar-ship")
    first = crops(page)
    assert len(set(first)) == 2
    assert any("for the left image" in text and "for the right image" in text for text in headings(page))
    page.locator(".st-key-gallery-right-sample-cifar-dog button").first.click()
    settle(page)
    assert "right_image=cifar-dog" in page.url
    assert "&image=cifar-cat" in page.url
    second = crops(page)
    assert second[0] == first[0]
    assert second[1] not in first


def test_a_photo_of_ones_own_on_one_side(page: Page) -> None:
    open_app(page, "compare?left=resnet20-cifar10&right=resnet20-cifar10&image=cifar-cat&right_image=cifar-ship")
    before = crops(page)
    buffer = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").save(buffer, "JPEG")
    page.get_by_role("button", name="Your own photo").last.click()
    given = {"name": "mine.jpg", "mimeType": "image/jpeg", "buffer": buffer.getvalue()}
    give(page, page.locator("[data-testid='stFileUploaderDropzoneInput']").last, given)
    after = crops(page)
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_the_kind_of_comparison_can_be_changed(page: Page) -> None:
    open_app(page, SAME_DEPTH)
    page.get_by_role("radio", name="One network, two images").click()
    settle(page)
    assert "right_image=" in page.url
    assert "left=resnet20-cifar10" in page.url
    assert len(set(crops(page))) == 2
    page.get_by_role("radio", name="Two networks, one image").click()
    settle(page)
    assert "right_image=" not in page.url
    assert "weights=none" not in page.url


def test_missing_weights_get_a_sentence_and_the_last_view_stays(page: Page) -> None:
    open_app(page, f"{SAME_DEPTH}&block=layer2.1")
    before = headings(page)
    page.get_by_role("combobox", name="Right network").click()
    page.keyboard.type("ResNet-110 C")
    page.keyboard.press("Enter")
    settle(page)
    expect(page.locator("[data-testid='stAlert']").first).to_contain_text(
        "This copy does not include trained weights of ResNet-110 C"
    )
    assert [text for text in headings(page) if "20" in text] == [text for text in before if "20" in text]
    page.get_by_role("button", name="with random weights").click()
    settle(page)
    assert "right=resnet110c-cifar10" in page.url
    assert "right_weights=none" in page.url
    assert any("Untrained ResNet-110 C" in text for text in headings(page))


@pytest.mark.parametrize("query", ["left=nonsense&block=nonsense&target=99&measure=nonsense", "right_image=nonsense"])
def test_a_broken_link_shows_a_comparison_and_no_traceback(page: Page, query: str) -> None:
    open_app(page, f"compare?{query}")
    assert page.get_by_alt_text(CROP).count() == 2
    expect(page.locator("[data-testid='stException'], .st-key-script-error")).to_have_count(0)


def test_a_measure_travels_between_the_pages(page: Page) -> None:
    open_app(page, "?measure=cosine&left=resnet20-cifar10&right=resnet20-cifar10&right_image=cifar-dog")
    page.get_by_role("link", name="Compare").click()
    settle(page)
    assert any(text.startswith("cos(x, F) is larger") for text in headings(page))
    page.get_by_role("radio", name="Grad-CAM mass").click()
    settle(page)
    assert "measure=cam_mass" in page.url
    page.get_by_role("link", name="Inspect").click()
    settle(page)
    assert any(text.startswith("The evidence for cat is strongest") for text in headings(page))
