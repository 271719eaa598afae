"""The lessons on one block, its code and order, and on the chain of blocks: the one thing to do changes what is said."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.lesson_page import arrives_again, fits_one_screen, said
from tests.browser.screen import click_point, headings, open_app, overflow, screenshot, settle


def check_kept(page: Page) -> None:
    """A reload of the link restores the sentence, without horizontal scrolling."""
    before = said(page)
    assert arrives_again(page) == before
    assert overflow(page) <= 0


def test_the_block_is_walked_forwards_and_backwards(page: Page) -> None:
    open_app(page, "learn?lesson=block")
    first = said(page)
    assert first.startswith("3×3 convolution, 16 → 16 channels")
    page.keyboard.press("ArrowDown")
    settle(page)
    assert said(page).startswith("Batch norm changes the standard deviation")
    page.get_by_role("button", name="Previous step").click()
    settle(page)
    assert said(page) == first
    click_point(page, "block-steps", 6)
    assert "step=sum" in page.url
    assert "added element by element" in said(page)
    check_kept(page)


def test_every_line_of_the_code_has_its_tensor(page: Page) -> None:
    open_app(page, "learn?lesson=code&model=resnet50&block=layer1.0")
    expect(page.get_by_text("torchvision.models.resnet.Bottleneck.forward as installed")).to_be_visible()
    page.get_by_role("button", name="identity = self.downsample(x)").click()
    settle(page)
    assert "identity = self.downsample(x): Shortcut B" in said(page)
    page.keyboard.press("ArrowDown")
    settle(page)
    assert "out += identity: Identity and residual are added" in said(page)
    check_kept(page)


def test_another_family_shows_the_code_of_its_own_block(page: Page) -> None:
    open_app(page, "learn?lesson=code&model=regnet_y_400mf&block=trunk_output.block1.block1-0")
    expect(page.get_by_text("torchvision.models.regnet.ResBottleneckBlock.forward as installed")).to_be_visible()
    page.get_by_role("button", name="x = self.proj(x) + self.f(x)").click()
    settle(page)
    # The line computes three tensors; the sum is shown first.
    assert "Identity and residual are added" in said(page)
    page.get_by_role("radio", name="Identity", exact=True).click()
    settle(page)
    assert "The shortcut: projection" in said(page)
    # The other case did not run.
    expect(page.get_by_role("button", name="x = x + self.f(x)")).to_be_disabled()
    page.keyboard.press("ArrowDown")
    settle(page)
    assert "return self.activation(x): The ReLU sets the negative entries" in said(page)
    screenshot(page, "code-of-regnet")
    check_kept(page)


def test_a_block_is_switched_off_and_faded(page: Page) -> None:
    open_app(page, "learn?lesson=fewer-blocks&image=cifar-cat")
    assert said(page).startswith("With every block, ResNet-20 gives cat")
    page.get_by_role("button", name="1.0", exact=True).click()
    settle(page)
    assert "scales=1.0" in page.url
    assert said(page).startswith("Without block 1.0 ResNet-20 still predicts cat")
    page.get_by_role("slider").press("ArrowLeft")
    settle(page)
    assert "block 3.2 at 95%" in said(page)
    page.get_by_text("Many images, many blocks").click()
    settle(page)
    assert any("with one block removed" in text for text in headings(page))
    check_kept(page)


ONE_SCREEN = ["block", "code", "order", "chain", "cost", "padding", "fewer-blocks", "one-residual"]


@pytest.mark.parametrize("lesson", [*ONE_SCREEN, "fewer-blocks&model=resnet56-cifar10"])
def test_a_lesson_fits_one_screen(page: Page, lesson: str) -> None:
    open_app(page, f"learn?lesson={lesson}")
    assert fits_one_screen(page)


def test_each_question_leads_to_its_lesson(page: Page) -> None:
    open_app(page, "questions")
    questions = [text for text in headings(page) if text.endswith(("?", "class."))]
    expect(page.get_by_role("link", name="Open the lesson:")).to_have_count(len(questions))
    page.get_by_role("link", name="Open the lesson: Using fewer blocks").click()
    settle(page)
    assert "lesson=fewer-blocks" in page.url
    assert said(page)
