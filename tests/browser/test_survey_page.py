"""The Survey page: what ships with the app, a ZIP archive of one's own, and the way from an outlier to the Inspect page."""

import re

from playwright.sync_api import FilePayload, Locator, Page, expect

from resnet_viz.analyses.survey.files import survey_bytes
from resnet_viz.analyses.survey.running import survey
from resnet_viz.nets.zoo import load
from tests.browser.screen import headings, open_app, overflow, screenshot, settle
from tests.survey.pictures import classes_of, picture, png, zip_of

FORM = ".st-key-survey-files [data-testid='stFileUploaderDropzoneInput']"
LONG = 240_000


def open_form(page: Page) -> None:
    page.get_by_text("Survey your own images").click()
    settle(page)


def survey_files(page: Page, *files: tuple[str, bytes]) -> None:
    given: list[FilePayload] = [{"name": name, "mimeType": "application/octet-stream", "buffer": data} for name, data in files]
    page.locator(FORM).set_input_files(given)
    page.wait_for_timeout(1500)
    settle(page)
    page.get_by_role("button", name="Survey these images").click()


def facts(page: Page) -> str:
    return page.locator(".facts-in-line").first.inner_text()


def test_a_shipped_survey_is_shown_without_a_click(page: Page) -> None:
    open_app(page, "survey")
    assert "1,000" in facts(page)
    found = " ".join(headings(page))
    assert "separates wrong predictions from right ones best" in found
    assert "most frequent mistake" in found
    assert overflow(page) <= 0
    screenshot(page, "survey")


def test_a_link_opens_the_same_view(page: Page) -> None:
    open_app(
        page, "survey?survey=resnet18-imagenette&quantity=cosine&block=layer2.1&group=predicted+class&picked=raccoon-photo.jpg"
    )
    found = " ".join(headings(page))
    assert "cos(x, F)" in found
    assert "block 2.1" in found
    expect(page.get_by_role("heading", name="raccoon-photo.jpg")).to_be_visible()


def test_a_zip_of_fifty_images_leads_to_an_outlier(page: Page) -> None:
    open_app(page, "survey")
    open_form(page)
    survey_files(page, ("fifty.zip", zip_of(classes_of(49) | {"cat/broken.png": b"no image"})))
    expect(page.get_by_text("1 image that could not be used")).to_be_visible(timeout=LONG)
    settle(page)
    assert re.search(r"images\s+50\b", facts(page))
    screenshot(page, "survey-own")
    page.get_by_role("button", name="Inspect this image").click()
    expect(page).to_have_url(re.compile("inspect|/\\?"), timeout=LONG)
    settle(page)
    assert re.search(r"image=[0-9a-f]{64}", page.url)
    expect(page.get_by_alt_text("Network input").first).to_be_visible()
    page.get_by_role("radio", name="What makes a channel fire").or_(
        page.get_by_role("button", name="What makes a channel fire")
    ).first.click()
    settle(page)
    assert any("among fifty.zip" in each for each in headings(page))
    expect(page.locator(".st-key-scroll-peak-0")).to_be_visible()
    screenshot(page, "survey-peaks")


def test_a_refused_archive_gets_a_sentence(page: Page) -> None:
    open_app(page, "survey")
    open_form(page)
    survey_files(page, ("hostile.zip", zip_of({"../x.png": b""})))
    expect(page.get_by_text("leads out of it").first).to_be_visible(timeout=LONG)


def test_a_survey_file_is_opened(page: Page) -> None:
    found = survey(load("resnet20-cifar10", device="cpu"), [picture(seed) for seed in range(7)])
    open_app(page, "survey")
    open_form(page)
    survey_files(page, ("mine.parquet", survey_bytes(found)))
    expect(page.locator(".facts-in-line").first).to_contain_text("7", timeout=LONG)
    expect(page.get_by_role("heading", name=re.compile("All 7 images"))).to_be_visible(timeout=LONG)


def test_the_tick_follows_the_chosen_image(page: Page) -> None:
    open_app(page, "survey?survey=resnet18-imagenette&picked=reims-cathedral-photo.jpg")
    expect(ticked(page, 0)).to_contain_text("reims-cathedral-photo.jpg")
    expect(ticked(page, 1)).to_have_count(0)
    box = page.locator("[data-testid='stDataFrame']").nth(1).bounding_box()
    assert box is not None
    # The head and each row are 35 pixels high.
    page.mouse.click(box["x"] + 18, box["y"] + 1.5 * 35)
    settle(page)
    chosen = page.get_by_role("heading", name=re.compile(r"photo\.jpg$")).inner_text().strip()
    assert chosen != "reims-cathedral-photo.jpg"
    expect(page).to_have_url(re.compile(f"picked={chosen}"))
    expect(ticked(page, 1)).to_contain_text(chosen)
    expect(ticked(page, 0)).to_have_count(0)


def ticked(page: Page, number: int) -> Locator:
    """The selected row of a table, which draws only what is in sight, and is moved by charts that are drawn above it."""
    page.wait_for_timeout(1500)
    table = page.locator("[data-testid='stDataFrame']").nth(number)
    table.scroll_into_view_if_needed()
    return table.locator("[role=row][aria-selected=true]")


def test_a_message_ends_when_the_page_is_left(page: Page) -> None:
    open_app(page, "survey")
    open_form(page)
    survey_files(page, ("text.zip", b"plain text"))
    expect(page.get_by_text("text.zip is not a ZIP or TAR archive")).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    page.get_by_role("link", name="Model").first.click()
    settle(page)
    page.get_by_role("link", name="Survey").first.click()
    settle(page)
    expect(page.get_by_text("text.zip is not a ZIP or TAR archive")).to_have_count(0)


def test_files_beyond_the_limit_are_named_and_counted(page: Page) -> None:
    open_app(page, "survey")
    open_form(page)
    survey_files(page, *((f"{number}.png", png(number)) for number in range(40)))
    # How many there are depends on how long the upload takes: the limit is per minute.
    warning = page.get_by_text(re.compile(r"\d+ of 40 files were not uploaded: \d+\.png"))
    expect(warning).to_be_visible()
    missing = int(warning.inner_text().split()[0])
    page.get_by_role("button", name=f"Survey the other {40 - missing} images").click()
    expect(page.get_by_text(f"{missing} images that could not be used")).to_be_visible(timeout=LONG)
    assert re.search(r"images\s+40\b", facts(page))
    page.reload()
    settle(page)
    expect(page.get_by_role("combobox", name="Survey")).to_have_value("40 uploaded images, by ResNet-20")
