"""Sharing a view in a real browser: the link, the code to scan, the report that opens offline, the data, and the Python."""

import io
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import segno
from playwright.sync_api import Browser, Page, expect

import resnet_viz as rv
from tests.browser.screen import complaints, open_app, settle
from tests.servers import ROOT

SLOW = 120_000
VIEW = "?model=resnet20-cifar10&image=cat-photo&block=layer2.1&measure=cosine"


def opened(page: Page, query: str = VIEW) -> None:
    open_app(page, query)
    page.get_by_role("button", name="Share this view").click()
    expect(page.get_by_role("button", name="Download report")).to_be_visible(timeout=SLOW)
    settle(page)


def saved(page: Page, button: str, folder: Path) -> Path:
    with page.expect_download(timeout=SLOW) as download:
        page.get_by_role("button", name=button).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_the_link_is_copied_and_the_code_to_scan_is_of_the_same_view(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened(page)
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("status").filter(has_text="Link copied")).to_be_visible()
    assert page.evaluate("() => navigator.clipboard.readText()") == page.url
    assert "block=layer2.1" in page.url
    drawn = unquote(page.locator("img.qr-code").get_attribute("src") or "")
    code = segno.make(page.url, error="m", micro=False).svg_data_uri(scale=3, border=4, dark="#11161C", light="#FFFFFF")
    assert drawn == unquote(code)
    assert page.get_by_text("it opens here and on no other device").is_visible()
    assert complaints(page) == []


def test_where_the_browser_keeps_the_clipboard_the_address_is_selected(page: Page) -> None:
    page.add_init_script(
        "Object.defineProperty(navigator, 'clipboard', {value: undefined}); document.execCommand = () => false;"
    )
    opened(page)
    page.get_by_role("button", name="Copy link").click()
    field = page.get_by_label("Link to this view")
    expect(field).to_have_value(page.url)
    assert page.evaluate("() => document.activeElement.selectionEnd - document.activeElement.selectionStart") == len(page.url)


def test_the_report_opens_offline_in_light_and_dark_and_on_paper(page: Page, chromium: Browser, tmp_path: Path) -> None:
    opened(page)
    report = saved(page, "Download report", tmp_path)
    assert report.name == "resnet20-cifar10-cat.html"
    assert report.stat().st_size < 8e6
    with chromium.new_context(offline=True, color_scheme="light") as context:
        reading, asked = context.new_page(), []
        reading.on("request", lambda request: asked.append(request.url))
        reading.goto(report.as_uri())
        names = reading.locator("figure[data-name]").evaluate_all("all => all.map(each => each.dataset.name)")
        assert {f"equation-layer{stage}.{block}" for stage in (1, 2, 3) for block in range(3)} <= set(names)
        drawn = "() => [...document.querySelectorAll('figure[data-name]')].every(each => each.querySelector('.main-svg'))"
        reading.wait_for_function(drawn, timeout=SLOW)
        colour = "() => document.querySelector('figure .legendtext, figure .xtick text, figure .annotation-text').style.fill"
        assert reading.evaluate(colour) in ("rgb(29, 39, 51)", "rgb(90, 102, 115)")
        reading.emulate_media(color_scheme="dark")
        reading.wait_for_function(f"() => ['rgb(232, 237, 242)', 'rgb(163, 174, 186)'].includes(({colour})())", timeout=SLOW)
        assert reading.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(17, 22, 28)"
        assert reading.get_by_text("Python code of this view").is_visible()
        assert reading.get_by_role("link", name="Open this view").get_attribute("href") == page.url
        reading.pdf(path=tmp_path / "report.pdf")
        assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


def test_the_data_of_a_chart_is_that_of_the_page(page: Page, tmp_path: Path) -> None:
    opened(page)
    inspected = rv.inspect(rv.load("resnet20-cifar10"), rv.open_image(ROOT / "assets" / "samples" / "cat-photo.jpg"))
    table = pd.read_csv(saved(page, "Block map (CSV)", tmp_path), index_col="block")
    assert np.allclose(table["cosine"], inspected.table()["cosine"], atol=1e-5)
    with np.load(io.BytesIO(saved(page, "Equation of block 2.1 (NPZ)", tmp_path).read_bytes())) as arrays:
        assert np.allclose(arrays["sum"], inspected.block("layer2.1").sum.mean(0), atol=1e-4)


def test_the_code_that_is_shown_gives_the_finding_that_is_shown(page: Page, tmp_path: Path) -> None:
    opened(page)
    page.get_by_text("Show the code").click()
    code = page.locator("[data-testid=stPopoverBody] code").last
    expect(code).to_be_visible()
    made: dict[str, object] = {}
    text = code.inner_text().replace('"report.html"', repr(str(tmp_path / "report.html")))
    exec(text, made)  # noqa: S102 - this is what a person does with it
    finding = made["block_map"].layout.meta["finding"]  # type: ignore[attr-defined]  # a figure
    assert page.locator("h3", has_text=finding).is_visible()


def test_every_page_with_results_has_the_button_and_the_list_of_lessons_does_not(page: Page) -> None:
    for path in ("gradients", "attribution", "compare", "survey", "model", "learn"):
        parameters = "model=resnet20-cifar10&image=cat-photo&left=plain20-cifar10&right=resnet20-cifar10&method=saliency"
        page.goto(f"/{path}?{parameters}&lesson=cost")
        settle(page)
        page.get_by_role("button", name="Share this view").click()
        expect(page.get_by_role("button", name="Download report")).to_be_visible(timeout=SLOW)
        assert page.locator("[data-testid=stPopoverBody] .st-key-chart-data button").count() >= 1
        assert page.get_by_text("Show the code").is_visible()
    page.goto("/learn")
    settle(page)
    assert page.get_by_role("button", name="Share this view").count() == 0


def test_a_chart_that_is_pointed_at_offers_its_picture(page: Page, tmp_path: Path) -> None:
    open_app(page, VIEW)
    # Places that can be pressed lie over the block map, and its camera over them.
    for name in ("equation", "block-map", "predictions"):
        chart = page.locator(f".st-key-scroll-{name} > .st-key-{name} .js-plotly-plot")
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        with page.expect_download(timeout=SLOW) as download:
            chart.locator(".modebar-btn").click()
        assert download.value.suggested_filename == f"{name}.png"
        download.value.save_as(tmp_path / f"{name}.png")
        assert rv.open_image(tmp_path / f"{name}.png").width > 400
