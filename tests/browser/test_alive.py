"""Another block leaves the page around it as it is, and a place that is pointed at is marked everywhere."""

from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.screen import click_block, equation_heading, open_app, settle

SAMPLE = "cifar-cat"
MARKS = """() => [...document.querySelectorAll('.links-cell:not([hidden]), .links-ring:not([hidden])')].map(mark => {
    const box = mark.getBoundingClientRect();
    return {ring: mark.className === 'links-ring', row: Number(mark.dataset.row), column: Number(mark.dataset.column),
            x: box.x + box.width / 2, y: box.y + box.height / 2};
})"""
# The middle of a cell of a chart's numbered picture, on the screen.
CELL = """([chart, number, row, column]) => {
    const plot = document.querySelector(`.st-key-scroll-${chart} .js-plotly-plot`);
    plot.scrollIntoView({block: 'center'});
    const {xaxis, yaxis} = Object.values(plot._fullLayout._plots)[number], box = plot.getBoundingClientRect();
    return {x: box.x + xaxis._offset + xaxis.l2p(column), y: box.y + yaxis._offset + yaxis.l2p(row)};
}"""


def frames(page: Page) -> list[bytes]:
    """What the server sends from now on."""
    received: list[bytes] = []
    page.on(
        "websocket",
        lambda socket: socket.on("framereceived", lambda data: received.append(data if isinstance(data, bytes) else b"")),
    )
    return received


def test_another_block_leaves_the_map_and_the_top_of_the_page_as_they_are(page: Page) -> None:
    received = frames(page)
    open_app(page, f"?image={SAMPLE}&block=layer1.0")
    page.evaluate(
        """() => {
            window.before = ['.photos', '.st-key-scroll-block-map .main-svg', '.st-key-scroll-predictions .main-svg']
                .map(selector => document.querySelector(selector));
        }"""
    )
    received.clear()
    click_block(page, "layer3.1")
    assert equation_heading(page).startswith("Block 3.1")
    assert "block=layer3.1" in page.url
    assert page.evaluate("() => window.before.every(each => each.isConnected)")
    # Neither the photo nor the samples are sent again.
    assert not any(b"class='photos'" in frame or b"-sample-" in frame for frame in received)
    page.go_back()
    settle(page)
    page.reload()
    settle(page)
    assert equation_heading(page)


def test_the_same_block_can_be_opened_twice_from_the_map(page: Page) -> None:
    open_app(page, f"?image={SAMPLE}&block=layer1.0")
    click_block(page, "layer2.1")
    page.get_by_role("button", name="Next").click()
    settle(page)
    assert equation_heading(page).startswith("Block 2.2")
    click_block(page, "layer2.1")
    assert equation_heading(page).startswith("Block 2.1")


def test_a_cell_is_marked_in_every_map_and_in_the_photo(page: Page) -> None:
    open_app(page, f"?image={SAMPLE}&block=layer3.1&detail=cam")
    place: dict[str, float] = page.evaluate(CELL, ["equation", 1, 2, 5])
    page.mouse.move(place["x"], place["y"])
    page.wait_for_function("() => document.querySelectorAll('.links-cell:not([hidden])').length >= 5")
    marks: list[dict[str, Any]] = page.evaluate(MARKS)
    assert {(mark["row"], mark["column"]) for mark in marks} == {(2, 5)}
    for number in range(4):
        expected = page.evaluate(CELL, ["equation", number, 2, 5])
        assert any(
            not mark["ring"] and abs(mark["x"] - expected["x"]) < 1.5 and abs(mark["y"] - expected["y"]) < 1.5 for mark in marks
        )
    # 8 by 8 cells of 32 by 32 pixels: the network's two 3x3 convolutions of stride 2 put cell j on pixel 4 j.
    photo = page.get_by_alt_text("Network input").bounding_box()
    assert photo is not None
    x, y = photo["x"] + (4 * 5 + 0.5) / 32 * photo["width"], photo["y"] + (4 * 2 + 0.5) / 32 * photo["height"]
    assert any(mark["ring"] and abs(mark["x"] - x) < 1.5 and abs(mark["y"] - y) < 1.5 for mark in marks)


def test_a_place_of_the_photo_is_marked_in_the_maps(page: Page) -> None:
    open_app(page, f"?image={SAMPLE}&block=layer3.1")
    photo = page.get_by_alt_text("Network input").bounding_box()
    assert photo is not None
    page.mouse.move(photo["x"] + 12.4 / 32 * photo["width"], photo["y"] + 21 / 32 * photo["height"])
    page.wait_for_function("() => document.querySelectorAll('.links-cell:not([hidden])').length >= 4")
    assert {(mark["row"], mark["column"]) for mark in page.evaluate(MARKS)} == {(5, 3)}
    page.mouse.move(5, 5)
    page.wait_for_function("() => document.querySelectorAll('.links-cell:not([hidden])').length === 0")


def test_pointing_at_a_tile_shows_its_channel_in_large(page: Page) -> None:
    open_app(page, f"?image={SAMPLE}&block=layer2.1")
    target: dict[str, float] = page.evaluate(
        """() => {
            const plot = document.querySelector('.st-key-scroll-mosaic .js-plotly-plot');
            plot.scrollIntoView({block: 'center'});
            const {x, y} = plot._fullData.at(-1), {xaxis, yaxis} = plot._fullLayout, box = plot.getBoundingClientRect();
            return {x: box.x + xaxis._offset + xaxis.l2p(x[13]), y: box.y + yaxis._offset + yaxis.l2p(y[13])};
        }"""
    )
    page.mouse.move(target["x"], target["y"])
    expect(page.locator(".links-preview")).to_be_visible()
    expect(page.locator(".links-preview")).to_have_attribute("data-channel", "13")
    assert "channel=" not in page.url
    page.mouse.click(target["x"], target["y"])
    settle(page)
    assert "channel=13" in page.url


def test_the_lens_stands_under_the_map(page: Page) -> None:
    open_app(page, f"?image={SAMPLE}")
    chart = page.locator(".st-key-scroll-block-map .st-key-lens-by-block")
    expect(chart).to_be_visible()
    label = chart.locator("[aria-label]").first.get_attribute("aria-label")
    assert label is not None
    assert label.startswith("If the network stopped here: cat leads from")


def test_a_first_visitor_gets_four_steps_and_the_way_to_learn(page: Page) -> None:
    open_app(page, f"?image={SAMPLE}")
    page.get_by_role("button", name="What am I looking at?").click()
    steps = page.locator("[data-testid='stPopoverBody'] ol > li")
    assert steps.count() == 4
    page.get_by_role("link", name="Learn it step by step").click()
    settle(page)
    assert "/learn" in page.url


def test_a_clicker_turns_the_pages_of_a_class_and_escape_leaves(page: Page) -> None:
    open_app(page, "learn?lesson=adding&route=class")
    expect(page.get_by_text("Speaker's notes")).to_be_visible()
    page.get_by_role("button", name="Present").click()
    settle(page)
    expect(page.get_by_text("Speaker's notes")).to_have_count(0)
    page.keyboard.press("Space")
    settle(page)
    assert "present=1" in page.url
    page.keyboard.press("PageDown")
    settle(page)
    assert "lesson=residual-image" in page.url
    page.keyboard.press("PageUp")
    settle(page)
    assert "lesson=adding" in page.url
    page.keyboard.press("Escape")
    settle(page)
    assert "present=1" not in page.url
    assert "route=class" in page.url
