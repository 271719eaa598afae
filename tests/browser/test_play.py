"""Play in a real browser: everything moves together, fast enough, without the server, and shows the page's own numbers."""

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

import resnet_viz as rv
from app.results import samples
from resnet_viz.analyses.logit_lens import lens
from resnet_viz.figures.theme import short
from tests.browser.screen import (
    SMALL,
    TIMEOUT,
    click_block,
    complaints,
    equation_heading,
    open_app,
    overflow,
    screenshot,
    settle,
)

LEAST_FRAMES = 24
SAMPLE = "cifar-cat"
STAGE = ".player-stage:not([hidden])"
# Frames while the signal moves, and what could be seen at each of them.
FRAMES = """seconds => new Promise(done => {
    const times = [], seen = [];
    const look = now => {
        times.push(now);
        const frame = document.querySelector('.spots-frame'), hidden = [...document.querySelectorAll('.player-term')];
        seen.push({
            where: document.querySelector('.player-where').textContent,
            frame: frame.style.left,
            terms: hidden.map(term => term.style.getPropertyValue('--hidden')).join(),
        });
        if (now - times[0] > 1000 * seconds) done({rate: (times.length - 1) / (now - times[0]) * 1000, seen});
        else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
})"""
# A canvas as numbers, and what the film holds of the open block.
CANVASES = (
    """() => [...document.querySelectorAll('.player-term canvas')].map(canvas => canvas.toDataURL('image/png').split(',')[1])"""
)
FILM = """number => window.vizFilm.scenes[number].pictures.map(values => [...new Float32Array(values)])"""


def play(page: Page) -> None:
    page.locator(".player-play").click()
    page.locator(STAGE).wait_for(timeout=TIMEOUT)


def sockets(page: Page) -> list[int]:
    """The sizes of what is sent to the server from now on."""
    sent: list[int] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda data: sent.append(len(data))))
    return sent


def test_the_signal_walks_through_the_network_at_24_frames_a_second_without_the_server(page: Page) -> None:
    sent = sockets(page)
    open_app(page, f"?image={SAMPLE}&block=layer1.0")
    play(page)
    settle_film = len(sent)
    found: dict[str, Any] = page.evaluate(FRAMES, 3)
    assert found["rate"] >= LEAST_FRAMES
    assert len(sent) == settle_film
    blocks = list(dict.fromkeys(each["where"] for each in found["seen"]))
    assert len(blocks) >= 2
    # The frame on the map is at the block that is named, at every single frame.
    pairs = {(each["where"], each["frame"]) for each in found["seen"]}
    assert len(pairs) == len(blocks)
    # The pictures come one after the other, and not all at once.
    assert len({each["terms"] for each in found["seen"]}) > 10
    screenshot(page, "play")


def test_when_it_stops_the_page_and_its_address_are_where_the_signal_is(page: Page) -> None:
    open_app(page, f"?image={SAMPLE}&block=layer1.0")
    play(page)
    page.wait_for_function("() => document.querySelector('.player-where').textContent.startsWith('Block 1.2')", timeout=TIMEOUT)
    page.keyboard.press("Escape")
    expect(page.locator(STAGE)).to_have_count(0)
    where = page.locator(".player-where").inner_text()
    block = where.split(",")[0].removeprefix("Block ")
    page.wait_for_url(f"**block=layer{block}**", timeout=TIMEOUT)
    settle(page)
    assert equation_heading(page).startswith(f"Block {block}")


def test_the_space_bar_plays_and_pauses_but_not_where_somebody_types(page: Page) -> None:
    open_app(page, f"?image={SAMPLE}&block=layer1.0")
    page.keyboard.press("Space")
    page.locator(STAGE).wait_for(timeout=TIMEOUT)
    expect(page.locator(".player-play")).to_have_attribute("data-state", "playing")
    page.keyboard.press("Space")
    expect(page.locator(".player-play")).to_have_attribute("data-state", "still")
    settle(page)
    page.locator("[data-testid='stChatInputTextArea']").focus()
    page.keyboard.press("Space")
    expect(page.locator(".player-play")).to_have_attribute("data-state", "still")


def test_with_reduced_motion_nothing_glides(page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")
    open_app(page, f"?image={SAMPLE}&block=layer1.0")
    play(page)
    found = page.evaluate(FRAMES, 4)
    assert {each["terms"] for each in found["seen"]} == {",".join(["0.00%"] * 4)}
    assert len({each["where"] for each in found["seen"]}) >= 2
    assert page.locator(".spots-dot:visible").count() == 0
    page.emulate_media(reduced_motion="no-preference")


def test_the_slider_goes_to_a_block_with_the_mouse_and_with_keys(page: Page) -> None:
    open_app(page, f"?image={SAMPLE}&block=layer1.0")
    page.locator(".player-depth").focus()
    page.keyboard.press("ArrowRight")
    page.locator(STAGE).wait_for(timeout=TIMEOUT)
    expect(page.locator(".player-where")).to_have_text("Block 1.1, 2 of 9")
    page.keyboard.press("End")
    expect(page.locator(".player-where")).to_have_text("Block 3.2, 9 of 9")
    expect(page.locator(".player-depth")).to_have_attribute("aria-valuetext", "Block 3.2, 9 of 9")
    page.wait_for_url("**block=layer3.2**", timeout=TIMEOUT)
    settle(page)
    box = page.locator(".player-depth").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator(".player-where")).to_have_text("Block 2.1, 5 of 9")


def test_pictures_numbers_and_classes_are_those_of_an_inspection_of_its_own(page: Page) -> None:
    open_app(page, f"?image={SAMPLE}&block=layer1.0")
    page.locator(".player-depth").focus()
    page.keyboard.press("End")
    page.locator(STAGE).wait_for(timeout=TIMEOUT)
    net = rv.load(SMALL)
    image = rv.open_image(samples()[SAMPLE].data)
    inspected, decoded = rv.inspect(net, image), lens(net, image)
    for number in (0, 4, 8):
        block = inspected.blocks[number]
        pictures = [block.identity.mean(0), block.residual.mean(0), block.sum.mean(0), block.output.mean(0)]  # type: ignore[union-attr]  # it has a shortcut
        shown = page.evaluate(FILM, number)
        for values, picture in zip(shown, pictures, strict=True):
            np.testing.assert_allclose(np.array(values, np.float32), picture.ravel(), atol=1e-6)
    said = page.locator(".player-numbers").inner_text()
    last = inspected.blocks[-1].measures
    for shown_number in (f"{last.identity_norm:.4g}", f"{last.residual_norm:.4g}", f"{last.ratio:.3f}"):
        assert shown_number in said
    best = int(decoded.probabilities[-1].argmax())
    share = f"{100 * float(decoded.probabilities[-1, best]):.1f}%"
    expect(page.locator(".player-class").first).to_contain_text(decoded.labels[best])
    expect(page.locator(".player-class").first).to_contain_text(share)
    # What is painted has the sign of what it stands for: red above 0, blue below.
    for data, picture in zip(page.evaluate(CANVASES), pictures, strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"), int)
        assert pixels.shape[:2] == picture.shape
        large = np.abs(picture) > 0.25 * max(np.abs(each).max() for each in pictures)
        assert ((pixels[..., 0] > pixels[..., 2]) == (picture > 0))[large].all()


def test_another_picture_ends_it_and_its_film_is_not_shown(page: Page) -> None:
    open_app(page, f"?image={SAMPLE}&block=layer1.0")
    play(page)
    page.locator("[class*='st-key-gallery-sample-cifar-dog'] button").first.click()
    settle(page)
    expect(page.locator(STAGE)).to_have_count(0)
    first = page.evaluate("() => window.vizFilm.identity")
    play(page)
    assert page.evaluate("() => window.vizFilm.identity") != first


def test_a_click_on_the_map_leads_the_signal_there(page: Page) -> None:
    open_app(page, f"?image={SAMPLE}&block=layer1.0")
    play(page)
    click_block(page, "layer3.1")
    expect(page.locator(".player-where")).to_have_text("Block 3.1, 8 of 9")
    expect(page.locator(".player-play")).to_have_attribute("data-state", "still")
    assert "block=layer3.1" in page.url


def test_a_plain_network_plays_without_an_identity(page: Page) -> None:
    open_app(page, "?model=plain20-cifar10&block=layer1.0")
    play(page)
    assert page.locator(".player-term figcaption").all_inner_texts() == ["layers' output F(x)", "output"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_the_pictures_stand_one_under_the_other(page: Page, scheme: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme=scheme)
    open_app(page, f"?image={SAMPLE}&block=layer2.1")
    play(page)
    page.locator(".player-play").click()
    settle(page)
    boxes = [term.bounding_box() for term in page.locator(".player-term").all()]
    tops = [box["y"] for box in boxes if box]
    assert tops == sorted(tops)
    assert len(set(tops)) == 4
    assert overflow(page) == 0
    assert complaints(page) == []
    screenshot(page, f"play-phone-{scheme}")


def test_in_a_lesson_for_a_class(page: Page) -> None:
    open_app(page, f"learn?lesson=chain&present=1&model={SMALL}&image={SAMPLE}")
    page.keyboard.press("Space")
    page.locator(STAGE).wait_for(timeout=TIMEOUT)
    found = page.evaluate(FRAMES, 2)
    assert found["rate"] >= LEAST_FRAMES
    page.keyboard.press("Escape")
    expect(page.locator(STAGE)).to_have_count(0)
    # Escape closed the player and not the presentation.
    assert "present=1" in page.url


def test_blocks_and_tiles_are_opened_with_the_keyboard_alone(page: Page) -> None:
    open_app(page, f"?image={SAMPLE}&block=layer1.0")
    blocks = page.locator(".st-key-over-block-map .spot")
    assert blocks.count() == 9
    expect(blocks.first).to_have_attribute("tabindex", "0")
    blocks.first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    settle(page)
    assert equation_heading(page).startswith("Block 1.2")
    assert page.evaluate("() => document.activeElement.dataset.name") == "layer1.2"
    tiles = page.locator(".st-key-over-mosaic .spot")
    assert tiles.count() == 16
    tiles.first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    settle(page)
    assert "channel=8" in page.url
    assert f"Block {short('layer1.2')}, channel 8" in equation_heading(page)


def test_the_skip_link_comes_first_and_leads_to_the_map(page: Page) -> None:
    open_app(page, f"?image={SAMPLE}")
    skip = page.get_by_role("link", name="Skip to the block map")
    skip.focus()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "to-block-map"
