"""The lessons on the experiments of later papers: what one does changes the sentence, and a link brings it back."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.lesson_page import arrives_again, fits_one_screen, said
from tests.browser.screen import headings, open_app, overflow, settle


def test_paths_are_counted_and_sampled(page: Page) -> None:
    open_app(page, "learn?lesson=paths")
    exact = said(page)
    assert "ResNet-20 has 2^9 = 512 paths through its 9 blocks" in exact
    assert fits_one_screen(page)
    page.get_by_role("radio", name="Random paths, as published").click()
    settle(page)
    sampled = said(page)
    assert sampled.startswith("With 16 random paths of each length")
    assert arrives_again(page) == sampled


def test_a_block_sees_more_than_the_shortcuts_do(page: Page) -> None:
    open_app(page, "learn?lesson=receptive-field&block=layer2.0")
    assert "could see 21 pixels across" in said(page)
    assert "Along the shortcuts alone it sees 3" in said(page)
    page.keyboard.press("ArrowDown")
    settle(page)
    assert "could see 29 pixels across" in said(page)


def test_the_loss_is_that_of_a_chosen_class(page: Page) -> None:
    open_app(page, "learn?lesson=refinement&target=5")
    assert "reduces the loss of dog most" in said(page)
    assert any("F(x) points down the loss" in heading for heading in headings(page))


def test_refinement_is_measured_over_all_samples(page: Page) -> None:
    open_app(page, "learn?lesson=refinement&model=resnet20-cifar10&over=samples")
    assert said(page).startswith("Over 28 sample photos")
    assert any("points down the loss in" in heading for heading in headings(page))
    assert any("The median loss falls in" in heading for heading in headings(page))


def test_gradients_shatter_before_training_and_not_after(page: Page) -> None:
    open_app(page, "learn?lesson=shattered-gradients&image=cifar-cat")
    before = said(page)
    assert before.startswith("Before training")
    page.get_by_role("radio", name="after training").click()
    settle(page)
    assert said(page).startswith("After training")


def test_a_plane_is_computed_for_one_image(page: Page) -> None:
    open_app(page, "learn?lesson=loss-landscape&see=live&image=cifar-cat")
    live = said(page)
    assert live.startswith("On the plane around the weights of ResNet-20")
    assert fits_one_screen(page)
    open_app(page, "learn?lesson=loss-landscape&see=recorded")
    assert said(page).startswith("On the plane around the weights of Plain-56")
    assert page.get_by_role("button", name="Open Plain-56 on the Model page").is_visible()
    page.get_by_role("radio", name="Photos, 18 layers").click()
    settle(page)
    assert said(page).startswith("On the plane around the weights of Plain-18")
    assert page.get_by_role("button", name="Open Plain-18 Imagenette on the Model page").is_visible()
    assert fits_one_screen(page)


def test_a_training_is_followed_epoch_by_epoch(page: Page) -> None:
    open_app(page, "learn?lesson=loss-landscape&see=training")
    end = said(page)
    assert end.startswith("After epoch 40, the loss is")
    assert "0% of the distance from the start to the end is left" in end
    assert fits_one_screen(page)
    page.get_by_role("slider").press("Home")
    settle(page)
    assert said(page).startswith("Before its training, ResNet-20 has a loss of")
    assert "epoch=0" in page.url
    assert arrives_again(page).startswith("Before its training")


@pytest.mark.parametrize(
    "lesson", ["paths", "receptive-field", "refinement", "shattered-gradients", "loss-landscape", "loss-landscape&see=training"]
)
def test_a_phone_shows_the_lesson(page: Page, lesson: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_app(page, f"learn?lesson={lesson}&image=cifar-cat")
    assert said(page)
    assert overflow(page) <= 0


def test_what_a_link_says_wrongly_is_the_usual(page: Page) -> None:
    open_app(page, "learn?lesson=loss-landscape&see=x&view=y&points=8&seed=-1&image=cifar-cat")
    assert said(page)
    open_app(page, "learn?lesson=refinement&target=99")
    assert said(page)


@pytest.mark.parametrize(
    "link",
    [
        "loss-landscape&see=live&image=cifar-cat&model=resnet56-cifar10&points=21&seed=7",
        "paths&see=sampled&image=cifar-cat&model=resnet56-cifar10&seed=7",
        "receptive-field&image=macaw-photo&model=resnet56-cifar10",
        "refinement&model=resnet18-imagenette&over=samples",
    ],
)
def test_a_long_experiment_can_be_stopped_and_started_again(page: Page, link: str) -> None:
    page.goto(f"/learn?lesson={link}")
    stop, again = page.locator("[class*='st-key-stop-'] button"), page.get_by_role("button", name="Start again")
    stop.click(timeout=60_000)
    expect(again).to_be_visible(timeout=10_000)
    settle(page)
    expect(page.get_by_text("Stopped", exact=False).first).to_be_visible()
    expect(page.locator("[data-testid='stException'], .st-key-script-error")).to_have_count(0)
    again.click()
    expect(stop).to_be_visible(timeout=60_000)
    expect(again).to_have_count(0)
