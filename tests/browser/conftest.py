"""The real app, started by its real command, and a real Chromium to drive it."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, sync_playwright

from tests.servers import app_command, free_port, running

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# The driver looks at stack traces, for which Chromium would read every script a second time: two seconds a page.
SCRIPTS = "--js-flags=--no-enable-lazy-source-positions"
# Chromium's own green image with a clock, in place of a camera, and nobody has to allow it.
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", SCRIPTS, *CAMERA]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder, so that `-m "not browser"` leaves it out."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        assert "RESNET_VIZ_REQUIRE_BROWSER" not in os.environ, "Chromium is required here and is not installed"
        pytest.skip("Chromium is not installed: install Debian's package chromium to run the browser tests")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def app_url() -> Iterator[str]:
    with running_app() as url:
        yield url


@pytest.fixture(scope="session")
def tab(chromium: Browser, app_url: str) -> Iterator[Page]:
    """One tab for all tests that need only one: it keeps the compiled scripts, half of the time to open a page."""
    with one_tab(chromium, app_url) as tab:
        yield tab


@pytest.fixture
def page(tab: Page) -> Iterator[Page]:
    """A page of a new person: no cookies, and no session shared with another test."""
    with cleared(tab):
        yield tab


@contextmanager
def one_tab(chromium: Browser, url: str) -> Iterator[Page]:
    """Open a tab of a new context at an address."""
    with chromium.new_context(base_url=url) as context:
        yield context.new_page()


@contextmanager
def cleared(tab: Page) -> Iterator[Page]:
    """A tab in its initial state, of the usual size; its page is left at the end, which ends the session."""
    tab.set_viewport_size({"width": 1440, "height": 900})
    tab.emulate_media(color_scheme="light")
    try:
        yield tab
        # Nobody should ever read that something went wrong.
        assert tab.locator(".st-key-script-error, [data-testid='stException']").count() == 0
    finally:
        with suppress(Error):
            tab.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
        tab.goto("about:blank")
        tab.context.clear_cookies()


@contextmanager
def running_app(environment: Mapping[str, str] | None = None, log_name: str = "app") -> Iterator[str]:
    """Start the app by its real command on a free port, with the given variables; returns its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running(app_command(port), f"{url}/ready", log_name, environment):
        yield url
