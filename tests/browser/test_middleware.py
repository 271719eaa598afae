"""Access control in a browser: the code of a class, a real sign-in, and text from outside that stays text."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.screen import give, headings, open_app, overflow, screenshot, settle
from tests.middleware_server import Server, running
from tests.oidc_provider import Provider, running_provider, secrets
from tests.servers import free_port

ASSETS = Path(__file__).parents[2] / "assets"
UPLOAD = "[data-testid='stFileUploaderDropzoneInput']"
SIZES = ({"width": 1440, "height": 900}, {"width": 390, "height": 844})
EVIL = "<b>bold</b><script>window.hurt=1</script><img src=x onerror=window.hurt=1>"


@pytest.fixture(scope="module")
def classroom() -> Iterator[Server]:
    with running({"RESNET_VIZ_CLASS_CODE": "blue whale"}, name="class-in-browser") as server:
        yield server


def enter(page: Page, code: str) -> None:
    page.get_by_label("Code of your class").fill(code)
    page.get_by_role("button", name="Come in").click()


def test_a_link_opens_after_the_code_and_carries_nothing_secret(chromium: Browser, classroom: Server) -> None:
    with chromium.new_context(base_url=classroom.url) as context:
        page = context.new_page()
        page.goto("/?model=resnet20-cifar10&block=layer2.1&measure=cosine")
        enter(page, "red whale")
        expect(page.get_by_role("alert")).to_contain_text("This code is not correct")
        enter(page, "Blue Whale")
        settle(page)
        assert "Block 2.1" in " ".join(headings(page))
        found = parse_qs(urlsplit(page.url).query)
        assert (found["block"], found["measure"]) == (["layer2.1"], ["cosine"])
        assert "whale" not in page.url.lower()
        page.reload()
        settle(page)
        assert "Block 2.1" in " ".join(headings(page))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_for_the_code_fits_every_window(chromium: Browser, classroom: Server, scheme: str) -> None:
    for size in SIZES:
        with chromium.new_context(base_url=classroom.url, viewport=size, color_scheme=scheme) as context:  # type: ignore[arg-type]
            page = context.new_page()
            page.goto("/")
            enter(page, "red whale")
            expect(page.get_by_role("alert")).to_be_visible()
            assert overflow(page) <= 0
            page.screenshot(path=f"artifacts/class-code-{scheme}-{size['width']}.png")


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with running_provider() as found:
        yield found


@pytest.fixture(scope="module")
def school(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port = free_port()
    file = tmp_path_factory.mktemp("secrets") / "secrets.toml"
    file.write_text(secrets(provider, port))
    emails = {"RESNET_VIZ_SIGN_IN_EMAILS": "@school.example"}
    with running(emails, "--secrets.files", str(file), port=port, name="sign-in") as server:
        yield server


@pytest.fixture
def person(chromium: Browser, school: Server) -> Iterator[BrowserContext]:
    with chromium.new_context(base_url=school.url, viewport=SIZES[0]) as context:  # type: ignore[arg-type]
        yield context


def sign_in(page: Page) -> None:
    with page.expect_navigation():
        page.get_by_role("button", name="Sign in").click()
    settle(page)


def test_a_link_opens_after_signing_in(person: BrowserContext, provider: Provider) -> None:
    provider.email, provider.tampered = "anna@school.example", False
    page = person.new_page()
    open_app(page, "gradients?block=layer2.1")
    expect(page.locator(".js-plotly-plot")).to_have_count(0)
    expect(page.get_by_role("link", name="Gradients")).to_have_count(0)
    sign_in(page)
    expect(page.locator(".js-plotly-plot").first).to_be_visible(timeout=60_000)
    settle(page)
    assert urlsplit(page.url).path == "/gradients"
    assert parse_qs(urlsplit(page.url).query)["block"] == ["layer2.1"]
    expect(page.get_by_text("Signed in as anna@school.example")).to_be_visible()
    with page.expect_navigation():
        page.get_by_role("button", name="Sign out").click()
    settle(page)
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_who_is_not_invited_reads_why(person: BrowserContext, provider: Provider) -> None:
    provider.email, provider.tampered = "<b>eve</b>@evil.example", False
    page = person.new_page()
    open_app(page)
    sign_in(page)
    expect(page.locator("[data-testid='stAlert']")).to_contain_text(
        "<b>eve</b>@evil.example does not have access to this server"
    )
    expect(page.locator(".js-plotly-plot")).to_have_count(0)


def test_a_token_with_a_wrong_signature_opens_nothing(person: BrowserContext, provider: Provider) -> None:
    provider.email, provider.tampered = "anna@school.example", True
    page = person.new_page()
    open_app(page)
    sign_in(page)
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    expect(page.locator(".js-plotly-plot")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_to_sign_in_fits_every_window(chromium: Browser, school: Server, scheme: str) -> None:
    for size in SIZES:
        with chromium.new_context(base_url=school.url, viewport=size, color_scheme=scheme) as context:  # type: ignore[arg-type]
            page = context.new_page()
            open_app(page)
            expect(page.get_by_role("button", name="Sign in")).to_be_visible()
            assert overflow(page) <= 0
            page.screenshot(path=f"artifacts/sign-in-{scheme}-{size['width']}.png")


def assert_harmless(page: Page) -> None:
    """Nothing in the label or the file name became an element, in the page or in a chart, and nothing was executed."""
    assert page.evaluate("() => window.hurt") is None
    assert page.locator("img[src='x'], img[onerror], svg a").count() == 0
    assert (
        page.evaluate("() => [...document.querySelectorAll('b, strong, tspan')].some(e => e.textContent === 'bold')") is False
    )


def test_markup_in_file_names_and_labels_stays_text(page: Page, tmp_path: Path) -> None:
    open_app(page, "model")
    page.get_by_text("Open your own checkpoint").click()
    file = tmp_path / f"{EVIL.replace('/', '')}.safetensors"
    file.write_bytes((ASSETS / "weights" / "resnet20-cifar10.safetensors").read_bytes())
    give(page, page.locator(UPLOAD).first, file)
    expect(page.get_by_text("onerror=").first).to_be_visible()
    assert_harmless(page)
    labels = "\n".join(f"{EVIL}{number}<a href='//evil.example'>x</a>" for number in range(10))
    form = page.locator("[data-testid='stForm']").filter(has_text="Names from a file")
    give(page, form.locator(UPLOAD), {"name": EVIL + ".txt", "mimeType": "text/plain", "buffer": labels.encode()})
    page.get_by_role("button", name="Apply").click()
    settle(page)
    for link in ("Inspect an image with it", "Gradients", "Attribution", "Compare"):
        page.get_by_role("link", name=link).first.click()
        settle(page)
        expect(page.locator("body")).to_contain_text("onerror" if link != "Compare" else "Compare")
        for chart in page.locator(".js-plotly-plot").all()[:6]:
            chart.hover(force=True)
            assert_harmless(page)
    screenshot(page, "markup-stays-text")


def test_a_picture_with_a_hostile_name_is_a_picture(page: Page) -> None:
    sample = ASSETS / "samples" / "cifar-dog.jpg"
    open_app(page)
    given = {"name": EVIL + ".jpg", "mimeType": "image/jpeg", "buffer": sample.read_bytes()}
    give(page, page.locator(UPLOAD).first, given)
    assert "image=" in page.url
    assert_harmless(page)
