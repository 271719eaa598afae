"""The photo on the page: its frame, crop or fit, uploads to come back to, maps over it, on a phone, and what it all weighs."""

import io
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from PIL import Image
from playwright.sync_api import Page, WebSocket, expect

from tests.browser.screen import headings, open_app, overflow, screenshot, settle

UPLOAD = "[data-testid='stFileUploaderDropzoneInput']"
RESNET18 = "?model=resnet18&weights=none"
MOST_BYTES = 0.6e6
SEEN = "Network input"


def panorama() -> bytes:
    """A chequerboard of 900 by 300 pixels, with a red left third and a blue right third."""
    rows, columns = np.indices((300, 900)) // 30
    pixels = np.repeat((255 * ((rows + columns) % 2)).astype(np.uint8)[..., None], 3, -1)
    pixels[:, :300, 1:], pixels[:, 600:, :2] = 0, 0
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def upload(page: Page, name: str, data: bytes) -> str:
    """Upload an image; returns its name in the link."""
    page.locator(UPLOAD).first.set_input_files({"name": name, "mimeType": "image/png", "buffer": data})
    page.wait_for_timeout(600)
    settle(page)
    return parse_qs(urlsplit(page.url).query)["image"][0]


def source(page: Page) -> str:
    return page.get_by_alt_text(SEEN).get_attribute("src") or ""


def hover(page: Page, chart: str, across: float, down: float) -> str:
    """What the mouse is told at a place of a chart's first map, given as shares of the map."""
    place: dict[str, float] = page.evaluate(
        """([chart, across, down]) => {
            const plot = document.querySelector(`.st-key-scroll-${chart} .js-plotly-plot`);
            plot.scrollIntoView({block: 'center'});
            const {xaxis, yaxis} = plot._fullLayout, box = plot.getBoundingClientRect();
            return {x: box.x + xaxis._offset + across * xaxis._length, y: box.y + yaxis._offset + down * yaxis._length};
        }""",
        [chart, across, down],
    )
    page.mouse.move(place["x"] - 3, place["y"])
    page.mouse.move(place["x"], place["y"])
    label = page.locator(f".st-key-scroll-{chart} .hoverlayer text").first
    label.wait_for()
    return label.text_content() or ""


def test_a_panorama_shows_what_the_network_sees_of_it_and_can_be_fitted_whole(page: Page) -> None:
    open_app(page)
    upload(page, "panorama.png", panorama())
    expect(page.get_by_text("900×300 pixels. The network receives the centre square in the frame.")).to_be_visible()
    frame = page.locator(".photos .frame").bounding_box()
    photo = page.get_by_alt_text("The original photo").bounding_box()
    assert frame is not None
    assert photo is not None
    # The frame is the middle third of the photo, and as high.
    assert abs((frame["x"] - photo["x"]) / photo["width"] - 1 / 3) < 0.02
    assert abs(frame["width"] / photo["width"] - 1 / 3) < 0.02
    assert abs(frame["height"] / photo["height"] - 1) < 0.02
    cropped = source(page)
    page.get_by_text("Whole photo", exact=True).click()
    settle(page)
    assert "framing=fit" in page.url
    expect(page.get_by_text("The network receives the whole photo.")).to_be_visible()
    assert source(page) != cropped
    screenshot(page, "panorama-fitted")


def test_an_upload_stays_in_the_gallery(page: Page) -> None:
    open_app(page)
    name = upload(page, "panorama.png", panorama())
    seen = source(page)
    page.locator(".st-key-gallery-sample-cifar-dog button").first.click()
    settle(page)
    assert source(page) != seen
    tile = page.locator(f".st-key-gallery-sample-{name} button").first
    assert "data:image/webp" in tile.evaluate("button => getComputedStyle(button).backgroundImage")
    tile.click()
    settle(page)
    assert source(page) == seen


def test_the_classes_are_said_and_a_hint_where_none_fits(page: Page) -> None:
    open_app(page, "?model=resnet20-cifar10&image=raccoon-photo")
    summary = page.get_by_text("10 classes: airplane, automobile, bird, …")
    expect(summary).to_be_visible()
    expect(page.locator("[data-testid='stAlert']")).to_contain_text("Perhaps none of the 10 classes fits")
    summary.click()
    expect(page.locator(".classes p")).to_contain_text("ship, truck")
    open_app(page, "?model=resnet20-cifar10&image=cifar-dog")
    expect(page.locator("[data-testid='stAlert']")).to_have_count(0)


def test_grad_cam_tells_the_cell_under_the_mouse_exact_or_smooth(page: Page) -> None:
    open_app(page, "?model=resnet20-cifar10&image=cat-photo&detail=cam&block=layer3.1")
    for query in ("", "&cells=exact"):
        if query:
            page.get_by_text("Exact cells").click()
            settle(page)
            assert "cells=exact" in page.url
        # Three quarters across and an eighth down 8 by 8 cells.
        told = hover(page, "cam", 0.78, 0.19)
        assert "row 1, column 6" in told
        values: list[list[float]] = json.loads(
            page.evaluate(
                "() => JSON.stringify(Array.from(document.querySelector('.st-key-scroll-cam .js-plotly-plot')._fullData[0].z,"
                " row => Array.from(row)))"
            )
        )
        assert f"{values[1][6]:.4g}" in told.replace("−", "-")


def test_on_a_phone_the_equation_stands_and_nothing_is_too_wide(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_app(page, "?model=resnet20-cifar10&block=layer2.1")
    page.wait_for_timeout(600)
    settle(page)
    tops = page.evaluate(
        "() => { const {_fullLayout: all} = document.querySelector('.st-key-scroll-equation .js-plotly-plot');"
        " return ['yaxis', 'yaxis2', 'yaxis3', 'yaxis4'].map(name => all[name]._offset); }"
    )
    assert tops == sorted(tops)
    assert len(set(tops)) == 4
    box: Any = page.evaluate(
        "() => { const box = document.querySelector('.st-key-scroll-equation'); return [box.scrollWidth, box.clientWidth]; }"
    )
    assert box[0] <= box[1]
    assert overflow(page) <= 0
    page.set_viewport_size({"width": 1440, "height": 900})
    page.wait_for_timeout(600)
    settle(page)
    tops = page.evaluate(
        "() => { const {_fullLayout: all} = document.querySelector('.st-key-scroll-equation .js-plotly-plot');"
        " return ['yaxis', 'yaxis2', 'yaxis3', 'yaxis4'].map(name => all[name]._offset); }"
    )
    assert max(tops) - min(tops) < 1


def test_a_first_page_of_a_photo_network_is_small(page: Page) -> None:
    """All that the browser is sent but Streamlit's own files: figures, images, texts."""
    sizes: list[int] = []

    def count(socket: WebSocket) -> None:
        socket.on("framereceived", lambda payload: sizes.append(len(payload)))

    page.on("websocket", count)
    open_app(page, RESNET18)
    assert any("Block" in text for text in headings(page))
    assert 50_000 < sum(sizes) < MOST_BYTES
