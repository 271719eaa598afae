"""The main task in a real browser: upload an image, open every block, and restore the view from its link."""

import io
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pillow_heif
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.browser.screen import (
    alerts,
    click_block,
    click_point,
    equation_heading,
    give,
    headings,
    headings_for_another_person,
    open_app,
    overflow,
    screenshot,
    settle,
)

SAMPLES = Path(__file__).parents[2] / "assets" / "samples"
UPLOAD = "[data-testid='stFileUploaderDropzoneInput']"


def jpeg(colour: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    picture = Image.radial_gradient("L").resize((320, 240))
    Image.composite(Image.new("RGB", (320, 240), colour), Image.new("RGB", (320, 240), "white"), picture).save(buffer, "JPEG")
    return buffer.getvalue()


def upload(page: Page, name: str, data: bytes) -> None:
    give(page, page.locator(UPLOAD).first, {"name": name, "mimeType": "image/jpeg", "buffer": data})


def test_first_page_shows_a_real_analysis_without_a_click(page: Page) -> None:
    open_app(page)
    found = headings(page)
    assert any(text.startswith("The residual is largest relative to its input in block") for text in found)
    assert equation_heading(page)
    assert page.get_by_alt_text("Network input").count() == 1
    expect(page.locator(".facts")).to_contain_text("max |x + F − sum|")
    assert page.locator(".facts dt:has-text('max |x') + dd").inner_text() == "0"
    expect(page.locator("[data-testid='stException'], .st-key-script-error, [data-testid='stAlert']")).to_have_count(0)
    screenshot(page, "first-page-light")


def test_every_chart_has_an_alternative_text(page: Page) -> None:
    open_app(page)
    charts = page.locator("[data-testid='stPlotlyChart']")
    assert charts.count() >= 4
    for chart in charts.all():
        described = chart.locator("xpath=ancestor-or-self::*[@aria-label or @role='img' or @aria-describedby]")
        assert described.count() + chart.locator("[aria-label], [role='img'], .sr-only").count() > 0


def test_a_click_on_the_map_opens_the_block_and_the_link_brings_it_back(page: Page, chromium: Browser) -> None:
    open_app(page)
    click_block(page, "layer3.1")
    assert equation_heading(page).startswith("Block 3.1")
    assert "block=layer3.1" in page.url
    click_block(page, "layer1.2")
    assert equation_heading(page).startswith("Block 1.2")
    before = headings(page)
    assert headings_for_another_person(chromium, page.url) == before


def test_the_map_by_what_the_class_loses_without_each_branch(page: Page) -> None:
    open_app(page)
    page.get_by_role("radio", name="logit lost without F").click()
    settle(page)
    assert "measure=ablation" in page.url
    assert any(text.startswith("The logit of cat falls most without F(x) of block ") for text in headings(page))


def test_next_and_previous_by_button_and_key(page: Page) -> None:
    open_app(page, "?block=layer2.0")
    page.get_by_role("button", name="Next").click()
    settle(page)
    assert equation_heading(page).startswith("Block 2.1")
    page.keyboard.press("ArrowRight")
    settle(page)
    assert equation_heading(page).startswith("Block 2.2")
    page.keyboard.press("ArrowLeft")
    settle(page)
    assert equation_heading(page).startswith("Block 2.1")


def test_an_uploaded_photo_is_analysed_and_its_link_works_for_another_person(page: Page, chromium: Browser) -> None:
    open_app(page)
    before = page.get_by_alt_text("Network input").get_attribute("src")
    upload(page, "holiday.jpg", jpeg((200, 30, 30)))
    after = page.get_by_alt_text("Network input").get_attribute("src")
    assert after != before
    found = headings(page)
    assert headings_for_another_person(chromium, page.url) == found


def phone_photo(kind: str) -> bytes:
    """Return a photo of 12 megapixels as JPEG, and a smaller one in formats that take long to write."""
    side = (4032, 3024) if kind == "JPEG" else (800, 600)
    picture, buffer = Image.radial_gradient("L").resize(side).convert("RGB"), io.BytesIO()
    if kind == "HEIC":
        pillow_heif.from_pillow(picture).save(buffer)
    else:
        picture.save(buffer, kind)
    return buffer.getvalue()


PHOTOS = {"photo.jpg": "JPEG", "photo.jfif": "JPEG", "photo.jpe": "JPEG", "photo.avif": "AVIF", "photo.heic": "HEIC"}


@pytest.mark.parametrize(("name", "kind"), PHOTOS.items())
def test_whatever_a_phone_makes_is_opened(page: Page, name: str, kind: str) -> None:
    open_app(page)
    upload(page, name, phone_photo(kind))
    expect(alerts(page)).to_have_count(0)
    expect(page.locator("[data-testid='stFileUploaderFileErrorMessage']")).to_have_count(0)
    assert len(picture_of(page.url)) == 64


def test_a_photo_can_be_taken(page: Page) -> None:
    open_app(page)
    sample = page.url
    page.get_by_text("Camera", exact=True).click()
    settle(page)
    page.wait_for_function("() => document.querySelector('video')?.readyState === 4")
    page.get_by_role("button", name="Take Photo").click()
    page.wait_for_function("before => location.href !== before", arg=sample)
    settle(page)
    # A digest: nobody else's link shows it by chance.
    assert len(picture_of(page.url)) == 64
    screenshot(page, "first-page-camera")


def test_a_photo_can_be_pasted_and_text_gets_a_sentence(page: Page) -> None:
    open_app(page)
    before = page.get_by_alt_text("Network input").get_attribute("src")
    box = page.locator("[data-testid='stChatInput']")
    photo = {"name": "p.jpg", "mimeType": "image/jpeg", "buffer": jpeg((9, 90, 200))}
    give(page, box.locator("input[type='file']"), photo)
    box.locator("[data-testid='stChatInputSubmitButton']").click()
    settle(page)
    after = page.get_by_alt_text("Network input").get_attribute("src")
    assert after != before
    page.locator("[data-testid='stChatInputTextArea']").fill("a cat, please")
    page.keyboard.press("Enter")
    settle(page)
    expect(alerts(page)).to_contain_text("The clipboard contained text")
    assert page.get_by_alt_text("Network input").get_attribute("src") == after


def test_safari_is_left_to_turn_heic_photos_into_jpeg(page: Page, chromium: Browser, app_url: str) -> None:
    safari = (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 "
        "Mobile/15E148 Safari/604.1"
    )
    with chromium.new_context(user_agent=safari, base_url=app_url) as context:
        other = context.new_page()
        for visitor, takes_heic in ((page, True), (other, False)):
            open_app(visitor)
            for picker in ("stFileUploader", "stChatInput"):
                endings = visitor.locator(f"[data-testid='{picker}'] input[type='file']").get_attribute("accept") or ""
                assert "jpg" in endings
                assert ("heic" in endings) == takes_heic


def test_two_people_see_their_own_pictures(page: Page, chromium: Browser, app_url: str) -> None:
    other = chromium.new_context(viewport={"width": 1440, "height": 900}, base_url=app_url).new_page()
    open_app(page)
    open_app(other)
    upload(page, "mine.jpg", jpeg((20, 160, 40)))
    upload(other, "mine.jpg", jpeg((40, 40, 200)))
    mine, theirs = page.url, other.url
    assert mine != theirs
    page.get_by_role("button", name="Previous").click()
    settle(page)
    assert picture_of(page.url) == picture_of(mine)
    other.context.close()


def picture_of(url: str) -> str:
    return parse_qs(urlsplit(url).query)["image"][0]


def test_a_text_file_called_jpg_gets_a_sentence_and_the_old_result_stays(page: Page) -> None:
    open_app(page, "?block=layer2.2")
    before = headings(page)
    upload(page, "notes.jpg", b"Dear diary, this is no picture at all.\n" * 20)
    expect(page.locator("[data-testid='stAlert']")).to_have_count(1)
    sentence = page.locator("[data-testid='stAlert']").inner_text()
    assert "Traceback" not in sentence
    assert len(sentence) > 20
    assert headings(page) == before
    screenshot(page, "refused-upload")


def test_a_model_whose_weights_are_away_says_so_and_offers_random_ones(page: Page) -> None:
    open_app(page, "?model=plain110-cifar10")
    expect(alerts(page)).to_contain_text("does not include trained weights")
    assert any("The residual is largest" in text for text in headings(page))
    page.get_by_role("button", name="with random weights").click()
    settle(page)
    expect(alerts(page)).to_contain_text("untrained: random weights")
    assert "model=plain110-cifar10" in page.url
    assert overflow(page) <= 0
    screenshot(page, "plain-110-untrained")


def test_a_deep_network_scrolls_to_the_open_block(page: Page) -> None:
    open_app(page, "?model=resnet110-cifar10&weights=none&block=layer3.10")
    page.wait_for_function("() => document.querySelector('.st-key-scroll-block-map').scrollLeft > 1000")
    click_block(page, "layer3.11")
    assert equation_heading(page).startswith("Block 3.11")


def test_a_click_on_a_tile_shows_that_channel(page: Page) -> None:
    open_app(page, "?block=layer3.1&term=sum")
    click_point(page, "mosaic", 17)
    assert "channel=17" in page.url
    assert any(text.startswith("Channel 17 of") for text in headings(page))


@pytest.mark.parametrize("query", ["?model=nonsense&block=nonsense&target=99&channel=-3&term=x", "?image=nonsense"])
def test_a_broken_link_shows_the_default_and_no_traceback(page: Page, query: str) -> None:
    open_app(page, query)
    assert equation_heading(page)
    expect(page.locator("[data-testid='stException'], .st-key-script-error")).to_have_count(0)


def test_another_class_changes_the_gradients_not_the_pictures(page: Page) -> None:
    open_app(page, "?block=layer3.1&detail=cam")
    before = headings(page)
    open_app(page, "?block=layer3.1&detail=cam&target=9")
    after = headings(page)
    assert any("truck" in text for text in after)
    assert [text for text in after if text.startswith("Block")] == [text for text in before if text.startswith("Block")]


@pytest.mark.parametrize("detail", ["channels", "cam", "depth", "numbers"])
def test_each_way_to_look_closer_opens(page: Page, detail: str) -> None:
    open_app(page, f"?detail={detail}&block=layer2.1&channel=3")
    expect(page.locator("[data-testid='stException'], .st-key-script-error")).to_have_count(0)
    assert len(headings(page)) >= 4
    screenshot(page, f"detail-{detail}")
