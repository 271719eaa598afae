"""All lessons as a teacher shows them to a class: presenting, by keyboard alone, from the first lesson to the last."""

from playwright.sync_api import Page, expect

from tests.browser.lesson_page import fits_one_screen, said
from tests.browser.screen import complaints, headings, open_app, overflow, settle

# For each lesson in its order: what is reached by the tabulator, nothing where a key works from everywhere, and the keys.
DOING = ".st-key-lesson-doing"
CHOICE, SLIDER, INPUT = (f"{DOING} {control}" for control in ("[role=radio]", "input[type=range]", "input"))
TARGET = f"{DOING} .st-key-lesson_target input"
SWITCH = f"{DOING} .st-key-lesson_switches button"
TRACK: dict[str, tuple[str, tuple[str, ...]]] = {
    "problem": (CHOICE, ("Space",)),
    "residual-image": (CHOICE, ("Space",)),
    "signal": (SLIDER, ("ArrowRight",)),
    "training-it": (CHOICE, ("ArrowRight", "Space")),
    "block": ("", ("ArrowDown",)),
    "code": ("", ("ArrowDown",)),
    "adding": (INPUT, ("End", "7", "Enter")),
    "order": (CHOICE, ("ArrowRight", "Space")),
    "chain": ("", ("ArrowDown",)),
    "cost": (CHOICE, ("ArrowRight", "Space")),
    "matching": (INPUT, ("ArrowDown", "Enter")),
    "padding": (CHOICE, ("ArrowRight", "Space")),
    "projection": (CHOICE, ("ArrowRight", "Space")),
    "fewer-blocks": (SWITCH, ("Enter",)),
    "degradation": (CHOICE, ("ArrowRight", "Space")),
    "one-residual": (SLIDER, ("ArrowRight",)),
    "toy": (SLIDER, ("ArrowLeft",)),
    "paths": (CHOICE, ("ArrowRight", "Space")),
    "receptive-field": ("", ("ArrowDown",)),
    "refinement": (TARGET, ("ArrowDown", "ArrowDown", "Enter")),
    "shattered-gradients": (CHOICE, ("ArrowRight", "Space")),
    "loss-landscape": (CHOICE, ("ArrowRight", "Space")),
}


def reach(page: Page, selector: str, key: str = "Tab") -> None:
    """Press a key until the intended element has the focus."""
    for _ in range(60):
        page.keyboard.press(key)
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"the keyboard does not lead to {selector}")


def test_the_track_is_walked_by_keyboard_while_presenting(page: Page) -> None:
    open_app(page, "learn?lesson=problem&present=1")
    for number, (lesson, (selector, keys)) in enumerate(TRACK.items(), 1):
        assert f"lesson={lesson}" in page.url
        expect(page.get_by_text(f"Lesson {number} of {len(TRACK)}")).to_be_visible()
        before = said(page)
        if selector:
            reach(page, selector)
        for key in keys:
            page.keyboard.press(key)
        settle(page)
        assert said(page) != before, lesson
        assert fits_one_screen(page), lesson
        assert overflow(page) <= 0, lesson
        assert complaints(page) == [], lesson
        if number < len(TRACK):
            reach(page, ".st-key-lesson-next button", "Shift+Tab")
            page.keyboard.press("Enter")
            settle(page)
    expect(page.locator(".st-key-lesson-next button")).to_be_disabled()
    reach(page, ".st-key-lesson-all button", "Shift+Tab")
    page.keyboard.press("Enter")
    settle(page)
    assert headings(page)


def test_the_browser_remembers_the_lessons_of_all_tabs(page: Page) -> None:
    """A tab that was opened earlier, or shows a part of the lessons to a class, does not remove those of another one."""
    open_app(page, "learn?lesson=degradation&route=class")
    with page.context.new_page() as other:
        open_app(other, "learn?lesson=receptive-field")
        other.get_by_role("button", name="Next block").click()
        settle(other)
    page.bring_to_front()
    page.locator(f"{CHOICE}").last.click(force=True)
    settle(page)
    open_app(page, "learn")
    expect(page.get_by_text(f"2 of {len(TRACK)} lessons done")).to_be_visible()


def test_arrow_keys_turn_the_pages(page: Page) -> None:
    open_app(page, "learn?lesson=cost&present=1")
    for key, lesson in (("ArrowRight", "matching"), ("ArrowLeft", "cost"), ("ArrowLeft", "chain")):
        page.keyboard.press(key)
        settle(page)
        said(page)
        assert f"lesson={lesson}" in page.url
