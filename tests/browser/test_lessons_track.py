"""The whole track as a teacher walks it in front of a class: presenting, by keyboard alone, the first lesson to the last."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.lesson_page import fits_one_screen, said
from tests.browser.screen import open_app, overflow, settle

# What is pressed in each lesson, in the order of the track, and on what: a part of the page and the keys.
DOING = ".st-key-lesson-doing"
FACTOR, SLIDER, CHOICE = (f"{DOING} {control}" for control in ("[role=radio]", "[role=slider]", "[role=radio]"))
TRACK: dict[str, tuple[str, tuple[str, ...]]] = {
    "problem": (CHOICE, ("ArrowRight",)),
    "residual-image": (CHOICE, ("ArrowRight",)),
    "signal": (SLIDER, ("ArrowRight",)),
    "training-it": (CHOICE, ("ArrowRight",)),
    "block": ("body", ("ArrowDown",)),
    "code": ("body", ("ArrowDown",)),
    "adding": (f"{DOING} input", ("End", ",", "5", "Enter")),
    "order": (CHOICE, ("ArrowRight",)),
    "chain": ("body", ("ArrowDown",)),
    "cost": (CHOICE, ("ArrowRight",)),
    "matching": (f"{DOING} input", ("ArrowDown", "Enter")),
    "padding": (CHOICE, ("ArrowRight",)),
    "projection": (CHOICE, ("ArrowRight",)),
    "fewer-blocks": (f"{DOING} button", ("Enter",)),
    "degradation": (CHOICE, ("ArrowRight",)),
    "one-residual": (SLIDER, ("ArrowRight",)),
    "toy": (SLIDER, ("ArrowLeft",)),
}
