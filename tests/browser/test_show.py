"""rv.show in a real browser: a script's network with its blocks, its place in the list, and the lines on the Model page."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import one_tab
from tests.browser.lesson_page import said
from tests.browser.screen import TIMEOUT, alerts, click_block, equation_heading, screenshot, settle
from tests.servers import ROOT

SCRIPT = """
import resnet_viz as rv
from tests.own_networks import Blocks, Down, Functional, Shared

module = Blocks(Shared(), Functional("torch.add"), Down("projection"), channels=16)
net = rv.from_module(module, preprocessing=rv.Preprocessing(32, 32, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)), name="Mine")
print(rv.show(net), flush=True)
input()
"""
NAMES_ON_THE_MAP = """() => {
    const map = document.querySelector('.st-key-scroll-block-map .js-plotly-plot');
    return [...new Set(map.data.at(-1).customdata)];
}"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address that rv.show returns in a script, which runs until it is told to end."""
    script = tmp_path_factory.mktemp("script") / "script.py"
    script.write_text(SCRIPT)
    with subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, str(script)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        yield program.stdout.readline().strip()
        program.communicate("\n", timeout=120)


@pytest.fixture(scope="module")
def tab(chromium: Browser, address: str) -> Iterator[Page]:
    """One tab of the app that the script started."""
    with one_tab(chromium, address.partition("?")[0]) as tab:
        yield tab


def open_page(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator(".model")).to_contain_text("Mine · 5 classes", timeout=2 * TIMEOUT)
    settle(page)


def test_the_address_shows_the_networks_blocks(page: Page, address: str) -> None:
    open_page(page, address)
    assert page.evaluate(NAMES_ON_THE_MAP) == ["blocks.0", "blocks.1", "blocks.2"]
    assert alerts(page).count() == 0
    click_block(page, "blocks.1")
    assert equation_heading(page).startswith("Block blocks.1 ")
    assert "model=shown%2FMine" in page.url
    assert "block=blocks.1" in page.url
    screenshot(page, "shown-from-python")


def test_a_link_works_for_another_session(page: Page, address: str) -> None:
    open_page(page, f"{address}&block=blocks.2")
    assert equation_heading(page).startswith("Block blocks.2 ")


def test_it_is_first_in_the_list(page: Page, address: str) -> None:
    page.goto(address.partition("?")[0])
    expect(page.locator(".model")).to_contain_text("Imagenette", timeout=2 * TIMEOUT)
    settle(page)
    page.get_by_role("combobox", name="Network").click()
    options = page.get_by_role("option")
    expect(options.first).to_contain_text("Mine", timeout=TIMEOUT)
    options.first.click()
    expect(page.locator(".model")).to_contain_text("Mine · 5 classes", timeout=TIMEOUT)


def test_the_lesson_on_code_shows_the_modules_own(page: Page, address: str) -> None:
    base, _, query = address.partition("/?")
    page.goto(f"{base}/learn?lesson=code&{query}&block=blocks.0")
    expect(page.get_by_text("Shared.forward")).to_be_visible(timeout=2 * TIMEOUT)
    settle(page)
    page.get_by_role("button", name="out += x").click()
    settle(page)
    assert "out += x: Identity and residual are added" in said(page)


def test_the_model_page_says_what_was_assumed_and_has_lines_to_copy(page: Page, address: str) -> None:
    base, _, query = address.partition("/?")
    open_page(page, f"{base}/model?{query}")
    expect(page.get_by_text("classes are numbered, because no labels were given").first).to_be_visible()
    expect(page.get_by_text("Each of the 3 blocks costs").first).to_be_visible()
    page.get_by_text("Open your own network from Python").click()
    expect(page.get_by_text("rv.show(my_network)").first).to_be_visible()
    screenshot(page, "model-page-of-a-shown-network")
