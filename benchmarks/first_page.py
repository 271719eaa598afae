"""Waiting times on the first page, compared with the smallest Streamlit page in the same browser: rows of `make screen`.

A wait ends when the result is visible; what the browser does afterwards does not count. CPU time is that of the server and all
its processes, without the browser.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count, cycle
from pathlib import Path

import psutil
from playwright.sync_api import Browser, CDPSession, Page

from benchmarks.deployments import processor_seconds
from tests.browser.screen import TIMEOUT, settle
from tests.servers import free_port, running

ROUNDS = 9
MEGABYTE = 1e6
# The budgets: multiples of the minimal page's response to a button and of its first chart, MB, and CPU seconds.
BLOCK, CHART, BYTES, BLOCK_CPU, IMAGE_CPU = 2.0, 1.15, 2.5, 0.05, 0.10
BLOCKS = ("layer1.0", "layer2.1", "layer3.0", "layer4.1", "layer2.0", "layer3.1", "layer1.1", "layer4.0")
IMAGES = ("kingfisher-photo", "macaw-photo", "tortoiseshell-cat-photo")
CHANGED = "([selector, before]) => (document.querySelector(selector)?.innerText ?? before) !== before"
CHART_DRAWN = ".js-plotly-plot .main-svg"
EQUATION, MAP, ANSWER = ".st-key-equation-head h3", ".st-key-block-map-head h3", "h5"


@dataclass(frozen=True)
class Row:
    """A measured quantity: its rounds, the unit, and the largest median that is allowed; None without a budget."""

    name: str
    values: list[float]
    unit: str
    limit: float | None = None

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.values)

    @property
    def met(self) -> bool:
        """Whether the median is within the budget."""
        return self.limit is None or self.median <= self.limit

    def __str__(self) -> str:
        limit = "–" if self.limit is None else f"{self.limit:g} {self.unit}"
        verdict = "–" if self.limit is None else "met" if self.met else "EXCEEDED"
        spread = f"{min(self.values):.3g} to {max(self.values):.3g}"
        return f"| {self.name} | {self.median:.3g} {self.unit} | {spread} | {limit} | {verdict} |"


@dataclass(frozen=True)
class Site:
    """A server's address and its process."""

    url: str
    process: psutil.Process


@contextmanager
def minimal_site() -> Iterator[Site]:
    """Start the smallest page by its real command."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    script = str(Path(__file__).with_name("minimal.py"))
    command = [str(Path(sys.executable).with_name("streamlit")), "run", script, "--server.headless", "true"]
    command += ["--server.address", "127.0.0.1", "--server.port", str(port), "--browser.gatherUsageStats", "false"]
    with running(command, f"{url}/_stcore/health", "screen-minimal") as process:
        yield Site(url, psutil.Process(process.pid))


def rows(chromium: Browser, app: Site, minimal: Site) -> list[Row]:
    """Measure all rows. Each round measures both pages in turn, so that other load on the machine affects both."""
    first, first_bytes = _first_visits(chromium, app, minimal)
    page, small = _tab(chromium, app.url), _tab(chromium, minimal.url)
    for each in (page, small):
        each.goto("/")
        settle(each)
    answers = [_seconds(small, small.get_by_role("button", name="Another").click, "h1") for _ in range(ROUNDS)]
    base = statistics.median(answers)
    found = [
        Row("first chart on a first visit, relative to the minimal page", first, "×", CHART),
        Row("bytes of a first visit, on the wire", first_bytes, "MB", BYTES),
        Row("response of the minimal page to a button", [1000 * value for value in answers], "ms"),
    ]
    asked: list[tuple[str, Iterator[Callable[[], None]], str, float | None, float | None]] = [
        ("another block, by a click on the map", _clicks(page), EQUATION, BLOCK, BLOCK_CPU),
        ("another block, by a key", _keys(page), EQUATION, BLOCK, BLOCK_CPU),
        ("another measure", _radios(page, ("cos(x, F)", "|F| / |x|")), MAP, None, None),
        ("another channel", _channels(page), EQUATION, None, None),
        ("another image, computed before", _images(page), ANSWER, None, IMAGE_CPU),
        ("another network", _networks(page), ANSWER, None, None),
    ]
    for name, actions, selector, limit, processor in asked:
        seconds, used = _measured(page, app, actions, selector)
        found.append(
            Row(f"{name}, relative to the response of the minimal page", [value / base for value in seconds], "×", limit)
        )
        found.append(Row(f"{name}, CPU time of the server", used, "s", processor))
    return found


def _measured(page: Page, app: Site, actions: Iterator[Callable[[], None]], selector: str) -> tuple[list[float], list[float]]:
    seconds, used = [], []
    for turn in range(ROUNDS + len(BLOCKS)):
        action = next(actions)
        before = processor_seconds((app.process,))
        taken = _seconds(page, action, selector)
        settle(page)
        # The first rounds compute what is stored afterwards, as the first visitor does for everybody.
        if turn >= len(BLOCKS):
            seconds.append(taken)
            used.append(processor_seconds((app.process,)) - before)
    return seconds, used


def _seconds(page: Page, action: Callable[[], None], selector: str) -> float:
    """Measure the time until the text of an element differs from the text before the action."""
    before = page.locator(selector).first.inner_text()
    started = time.perf_counter()
    action()
    page.wait_for_function(CHANGED, arg=[selector, before], timeout=TIMEOUT)
    return time.perf_counter() - started


def _first_visits(chromium: Browser, app: Site, minimal: Site) -> tuple[list[float], list[float]]:
    shares, sizes = [], []
    for _ in range(ROUNDS):
        theirs, _ = _first_visit(chromium, minimal)
        ours, size = _first_visit(chromium, app)
        shares.append(ours / theirs)
        sizes.append(size / MEGABYTE)
    return shares, sizes


def _first_visit(chromium: Browser, site: Site) -> tuple[float, int]:
    """Measure the seconds until the first chart is drawn in a browser without a cache, and the total bytes received."""
    with chromium.new_context(base_url=site.url, viewport={"width": 1440, "height": 900}) as context:
        page = context.new_page()
        received = _bytes_of(context.new_cdp_session(page))
        started = time.perf_counter()
        page.goto("/")
        page.wait_for_function("selector => !!document.querySelector(selector)", arg=CHART_DRAWN, timeout=TIMEOUT)
        taken = time.perf_counter() - started
        settle(page)
        return taken, sum(received)


def _bytes_of(session: CDPSession) -> list[int]:
    """Count the bytes of everything that arrives: files as they are encoded, and messages of the open connection."""
    sizes: list[int] = []
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda event: sizes.append(int(event["encodedDataLength"])))
    # Binary frames are reported as base64.
    session.on("Network.webSocketFrameReceived", lambda event: sizes.append(len(event["response"]["payloadData"]) * 3 // 4))
    return sizes


def _clicks(page: Page) -> Iterator[Callable[[], None]]:
    point = """name => {
        const plot = document.querySelector('.st-key-scroll-block-map .js-plotly-plot'), box = plot.getBoundingClientRect();
        const {x, y, customdata} = plot._fullData.at(-1), {xaxis, yaxis} = plot._fullLayout, at = customdata.indexOf(name) + 1;
        return [box.x + xaxis._offset + xaxis.l2p(x[at]), box.y + yaxis._offset + yaxis.l2p(y[at])];
    }"""
    page.locator(".st-key-scroll-block-map").scroll_into_view_if_needed()
    for name in cycle(BLOCKS):
        x, y = page.evaluate(point, name)
        page.mouse.move(x, y)
        yield partial(page.mouse.click, x, y)


def _keys(page: Page) -> Iterator[Callable[[], None]]:
    """Move back and forth between the first block, which the last click opened, and the next one."""
    for key in cycle(("ArrowRight", "ArrowLeft")):
        yield partial(page.keyboard.press, key)


def _radios(page: Page, names: tuple[str, ...]) -> Iterator[Callable[[], None]]:
    for name in cycle(names):
        yield page.get_by_role("radio", name=name, exact=True).click


def _channels(page: Page) -> Iterator[Callable[[], None]]:
    for channel in count(1):
        yield partial(page.locator(".st-key-over-mosaic .spot").nth(channel % 32).press, "Enter")


def _images(page: Page) -> Iterator[Callable[[], None]]:
    for image in cycle(IMAGES):
        yield page.locator(f"[class*='st-key-gallery-sample-{image}'] button").first.click


def _networks(page: Page) -> Iterator[Callable[[], None]]:
    def choose(name: str) -> None:
        page.get_by_role("combobox", name="Network").click()
        page.keyboard.type(name)
        page.keyboard.press("Enter")

    for name in cycle(("ResNet-20 ·", "ResNet-18 Imagenette")):
        yield partial(choose, name)


def _tab(chromium: Browser, url: str) -> Page:
    return chromium.new_context(base_url=url, viewport={"width": 1440, "height": 900}).new_page()
