"""The content security policy: everything on the pages still works, and other sites can embed them only if allowed."""

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, expect

from tests.browser.conftest import running_app
from tests.browser.screen import open_app, screenshot, settle

UPLOAD = "[data-testid='stFileUploaderDropzoneInput']"
SAMPLE = Path(__file__).parents[2] / "assets" / "samples" / "cifar-dog.jpg"
PAGES = ("", "gradients", "attribution", "compare", "model", "learn", "questions", "learn?lesson=signal")


@pytest.fixture
def refused(page: Page) -> Iterator[list[str]]:
    """What the browser blocks because of the policy, and errors of scripts."""
    said: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text or "Refused to" in message.text:
            said.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: said.append(str(error)))
    yield said
    page.remove_listener("console", hear)


@pytest.mark.parametrize("address", PAGES)
def test_every_page_works_with_the_policy(page: Page, refused: list[str], address: str) -> None:
    open_app(page, address)
    if not address.startswith(("questions", "learn", "model")):
        expect(page.locator(".js-plotly-plot").first).to_be_visible()
    assert refused == []


def test_uploads_and_the_camera_work_with_the_policy(page: Page, refused: list[str]) -> None:
    open_app(page)
    with page.expect_response(_an_upload):
        page.locator(UPLOAD).first.set_input_files(SAMPLE)
    page.wait_for_url("**image=**")
    settle(page)
    page.get_by_text("Camera", exact=True).click()
    # Before the first frame there is nothing to take.
    page.wait_for_function(
        "() => document.querySelector('video')?.videoWidth > 0 && document.querySelector('video').currentTime > 0"
    )
    with page.expect_response(_an_upload):
        page.get_by_role("button", name="Take Photo").click(timeout=30_000)
    settle(page)
    expect(page.get_by_text("An unexpected error occurred")).to_have_count(0)
    assert refused == []


def _an_upload(answer: Response) -> bool:
    return answer.request.method == "PUT" and answer.ok


def test_a_file_that_was_removed_is_gone(page: Page, refused: list[str]) -> None:
    answers: list[int] = []
    page.on("response", lambda answer: answers.append(answer.status) if answer.request.method == "DELETE" else None)
    open_app(page, "model")
    page.get_by_text("Open your own checkpoint").click()
    page.locator(UPLOAD).first.set_input_files({"name": "a.pth", "mimeType": "application/x", "buffer": b"no checkpoint"})
    settle(page)
    assert refused == []
    assert set(answers) <= {204}


@pytest.fixture(scope="module")
def other_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Another site, and the folder that it serves."""
    folder = tmp_path_factory.mktemp("site")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}", folder
    server.shutdown()


def test_other_sites_do_not_show_the_app_inside_their_pages(
    chromium: Browser, app_url: str, other_site: tuple[str, Path]
) -> None:
    site, folder = other_site
    (folder / "index.html").write_text(f"<iframe src='{app_url}' width=1200 height=900></iframe>")
    with chromium.new_context() as context:
        page, said = context.new_page(), []
        page.on("console", lambda message: said.append(message.text))
        page.goto(site)
        page.wait_for_timeout(3000)
        assert any("frame-ancestors" in text for text in said)
        assert page.frame_locator("iframe").locator("[data-testid='stApp']").count() == 0


def test_a_frame_that_may_show_the_app_says_where_uploads_work(chromium: Browser, other_site: tuple[str, Path]) -> None:
    site, folder = other_site
    with running_app({"RESNET_VIZ_FRAME_SITES": site}, "framed") as url, chromium.new_context() as context:
        (folder / "index.html").write_text(f"<iframe src='{url}' width=1200 height=900 allow='camera'></iframe>")
        page = context.new_page()
        page.goto(site)
        frame = page.frame_locator("iframe")
        expect(frame.locator(".js-plotly-plot").first).to_be_visible(timeout=60_000)
        expect(frame.get_by_text("Files cannot be uploaded here").first).to_be_visible()
        expect(frame.locator(UPLOAD)).to_have_count(0)
        way_out = frame.get_by_role("link", name="Open the app in a new tab").first
        with context.expect_page() as opened:
            way_out.click()
        tab = opened.value
        expect(tab.locator(UPLOAD).first).to_be_attached(timeout=60_000)
        screenshot(page, "inside-another-site")
