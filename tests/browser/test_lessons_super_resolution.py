"""The lessons on super-resolution, the residual image and the toy: each one's thing to do changes its sentence."""

import io

from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.lesson_page import arrives_again, fits_one_screen, said
from tests.browser.screen import give, open_app, screenshot, settle


def photo() -> bytes:
    buffer = io.BytesIO()
    Image.radial_gradient("L").resize((320, 240)).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


def choose(page: Page, name: str) -> None:
    page.locator(".st-key-lesson-doing").get_by_text(name, exact=True).click()
    settle(page)


def test_a_larger_factor_leaves_less_of_the_picture(page: Page) -> None:
    open_app(page, "learn?lesson=problem")
    before = said(page)
    assert before.startswith("80 × 80 pixels have to become 240 × 240")
    assert fits_one_screen(page)
    choose(page, "×4")
    after = said(page)
    assert after.startswith("60 × 60 pixels have to become")
    assert "factor=4" in page.url
    assert arrives_again(page) == after
    choose(page, "Where the bicubic error is largest")
    assert said(page) == after
    screenshot(page, "lesson-problem")


def test_a_photo_of_one_s_own_becomes_the_problem_and_a_text_does_not(page: Page) -> None:
    open_app(page, "learn?lesson=problem")
    before = said(page)
    page.get_by_role("button", name="Your own photo").click()
    given = {"name": "p.jpg", "mimeType": "image/jpeg", "buffer": photo()}
    give(page, page.locator("[data-testid='stFileUploaderDropzoneInput']"), given)
    after = said(page)
    assert after != before
    assert len(page.url.split("image=")[1].split("&")[0]) == 64
    assert arrives_again(page) == after


def test_the_sign_of_the_residual_matters(page: Page) -> None:
    open_app(page, "learn?lesson=residual-image")
    before = said(page)
    assert "errors is 0 in integer levels" in before
    assert fits_one_screen(page)
    choose(page, "input − target")
    after = said(page)
    assert "2 × input − target" in after
    assert arrives_again(page) == after


def test_four_networks_recorded_and_on_a_picture(page: Page) -> None:
    open_app(page, "learn?lesson=training-it")
    before = said(page)
    assert "worse than its input, the bicubic image" in before
    assert fits_one_screen(page)
    choose(page, "×3")
    assert said(page) != before
    choose(page, "On your image")
    on_picture = said(page)
    assert on_picture.startswith("Compared with bicubic interpolation on this image: Plain")
    assert fits_one_screen(page)
    assert arrives_again(page) == on_picture
    open_app(page, "learn?lesson=training-it&see=picture&image=coffee-photo")
    assert "trained on this photo" in said(page)


def test_live_training_draws_stops_and_goes_on(page: Page) -> None:
    open_app(page, "learn?lesson=training-it&see=recorded&depth=6&steps=600")
    page.locator(".st-key-lesson-doing").get_by_text("Train now", exact=True).click()
    start = page.get_by_role("button", name="Start the training")
    start.click(timeout=20_000)
    page.get_by_text("Step 0 of 600:").wait_for(timeout=20_000)
    page.locator("[class*='st-key-stop-'] button").click()
    settle(page)
    assert said(page).startswith("Stopped after")
    page.get_by_role("button", name="Resume").wait_for()
    choose(page, "100")
    start.click()
    page.locator(".st-key-lesson-sentence").get_by_text("After 100 steps").wait_for(timeout=120_000)
    settle(page)
    assert fits_one_screen(page)
    # A link does not start a training.
    assert arrives_again(page).startswith("The training takes about a minute")


def test_the_toy_moves_through_its_training(page: Page) -> None:
    open_app(page, "learn?lesson=toy")
    before = said(page)
    assert "After 3,000 steps" in before
    assert fits_one_screen(page)
    page.get_by_role("slider").focus()
    page.keyboard.press("ArrowLeft")
    settle(page)
    after = said(page)
    assert after != before
    assert arrives_again(page) == after
    choose(page, "8")
    assert said(page) != after


def test_broken_links_show_the_usual(page: Page) -> None:
    for query in (
        "toy&width=7&step=1&seed=-4",
        "one-residual&lift=1e9&block=q",
    ):
        open_app(page, f"learn?lesson={query}")
        assert said(page)
        expect(page.locator("[data-testid='stException'], [data-testid='stAlert']")).to_have_count(0)
