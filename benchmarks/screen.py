"""Waiting times of a person, as a real browser sees them: `make screen`.

The app runs by its real command with its engine on the CPU, and one tab of Chromium runs on the same machine. Measured are the
actions on the first page (`first_page.py`), the time until a lesson opens, until a live fit shows its first point, and until a
long method shows its first map, and the load of an open page that nobody touches. Times are given as shares of their limits.
Exits with status 1 if a limit is exceeded.
"""

import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Page, expect, sync_playwright

# A script imports from its own folder: the repository's own modules are one folder above.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import first_page
from benchmarks.deployments import NO_LIMIT, processor_seconds, running_app
from benchmarks.document import write_part
from resnet_viz.analyses.methods import METHODS
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.browser.screen import QUIET, TIMEOUT, open_app, settle

ROUNDS = 3
LESSON_SECONDS, POINT_SECONDS, MAP_SHARE, IDLE_SHARE = 2.0, 1.0, 0.1, 0.02
IDLE_FOR = 30.0
LONG = ("integrated_gradients", "smoothgrad", "gradient_shap", "occlusion")
MODEL, SO_FAR = "resnet50", "[class*='st-key-so-far'] img"
# The address of each live fit, the control that starts it, and the value that makes a new fit in each round.
FITS = {"toy": ("8", "seed={}", (1, 2, 3)), "training-it": ("Train now", "steps=100&depth={}", (6, 12, 20))}

# The finding of a lesson's chart, "" without a chart; and whether a chart with another finding is drawn.
HEADING = "() => document.querySelector('.stMain h3')?.innerText ?? ''"
POINT_DRAWN = f"""before => {{
    const chart = document.querySelector('.stMain .js-plotly-plot .main-svg');
    return !!chart && chart.getClientRects().length > 0 && !['', before].includes(({HEADING})());
}}"""


@dataclass(frozen=True)
class Wait:
    """A waiting time: its rounds as shares of the limit (or of a total time), and the largest share that is allowed."""

    name: str
    shares: list[float]
    limit: float

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.shares)

    def __str__(self) -> str:
        verdict = "met" if self.median <= self.limit else "EXCEEDED"
        spread = f"{min(self.shares):.1%} to {max(self.shares):.1%}"
        return f"| {self.name} | {self.median:.1%} | {spread} | {self.limit:.0%} | {verdict} |"


def main() -> int:
    """Measure, print and write everything; return the exit status."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with running_app(environment=NO_LIMIT) as (url, server), first_page.minimal_site() as minimal:
            first = first_page.rows(chromium, first_page.Site(url, psutil.Process(server.pid)), minimal)
        # It is written before the slower rest begins.
        write_part("first page", _first_text(first))
        with running_app() as (url, server):
            page = _tab(chromium, url)
            parts = {
                f"Time until a lesson has opened, relative to {LESSON_SECONDS:.0f} s, without stored results": lessons(page),
                f"Time until live training shows its first point, relative to {POINT_SECONDS:.0f} s": [
                    fit(page, slug) for slug in FITS
                ],
                "Share of one core that an open page uses": [idle(page, psutil.Process(server.pid))],
            }
        # A user has the browser on another machine: here, it gets the other core.
        with running_app(environment=NO_LIMIT | {"OMP_NUM_THREADS": "1"}) as (url, _):
            page = _tab(chromium, url)
            parts["Time until a long method shows its first map, relative to its whole time, with one thread"] = [
                first_map(page, method) for method in LONG
            ]
    text = _text(parts)
    print(_first_text(first), text, sep="\n\n")
    write_part("screen", text)
    quick = all(wait.median <= wait.limit for waits in parts.values() for wait in waits)
    return 0 if quick and all(row.met for row in first) else 1


def lessons(page: Page) -> list[Wait]:
    """Go through the track by its buttons. The first round prepares everything and does not count."""
    times: dict[str, list[float]] = {}
    title = page.locator(".st-key-lesson-head").get_by_text(" of ")
    for turn in range(ROUNDS + 1):
        open_app(page, "learn")
        button, before = page.locator(".st-key-lesson-list button").first, ""
        while button.is_enabled():
            started = time.perf_counter()
            button.click()
            expect(title).not_to_have_text(before, use_inner_text=True, timeout=TIMEOUT)
            settle(page)
            taken = time.perf_counter() - started - QUIET / 1000
            button, before = page.get_by_role("button", name="Next", exact=True), title.inner_text()
            times.setdefault(before, []).extend([taken / LESSON_SECONDS] if turn else [])
    return [Wait(name, shares, 1.0) for name, shares in times.items()]


def fit(page: Page, slug: str) -> Wait:
    """Start a fit by its control and wait for the first chart: below its progress, or the last one if the fit is that quick."""
    control, rest, values = FITS[slug]
    shares = []
    for value in values:
        open_app(page, f"learn?lesson={slug}&{rest.format(value)}")
        before = page.evaluate(f"({HEADING})()")
        started = time.perf_counter()
        page.locator(".st-key-lesson-doing").get_by_role("radio", name=control, exact=True).click()
        if slug == "training-it":
            start = page.get_by_role("button", name="Start the training")
            start.wait_for()
            started = time.perf_counter()
            start.click()
        page.wait_for_function(POINT_DRAWN, arg=before, timeout=TIMEOUT)
        shares.append((time.perf_counter() - started) / POINT_SECONDS)
        settle(page)
    return Wait(slug, shares, 1.0)


def first_map(page: Page, method: str) -> Wait:
    """Choose a method on an open page by keyboard, and measure from the last key to its first map and to its last one."""
    title = METHODS[method].title
    shares = []
    for target in range(ROUNDS):
        open_app(page, f"attribution?method=saliency&model={MODEL}&weights=none&target={target}")
        page.get_by_role("combobox", name="Method").click()
        page.keyboard.type(title)
        page.get_by_role("option", name=title, exact=True).wait_for()
        # Playwright delays a click until the list stands still, which is not the app's time.
        started = time.perf_counter()
        page.keyboard.press("Enter")
        _wait_for(page, SO_FAR)
        first = time.perf_counter() - started
        _wait_for(page, SO_FAR, gone=True)
        settle(page)
        shares.append(first / (time.perf_counter() - started - QUIET / 1000))
    return Wait(title, shares, MAP_SHARE)


def idle(page: Page, server: psutil.Process) -> Wait:
    """The CPU time of the server processes while the first page is open and nobody touches it."""
    open_app(page, "")
    time.sleep(2)
    before, started = processor_seconds((server,)), time.perf_counter()
    time.sleep(IDLE_FOR)
    return Wait("the first page", [(processor_seconds((server,)) - before) / (time.perf_counter() - started)], IDLE_SHARE)


def _wait_for(page: Page, selector: str, *, gone: bool = False) -> None:
    """Wait until an element appears or disappears, checked in every frame; a locator checks only every half second."""
    drawn = (
        "selector => { const found = document.querySelector(selector); return !!found && found.getClientRects().length > 0; }"
    )
    page.wait_for_function(f"selector => !({drawn})(selector)" if gone else drawn, arg=selector, timeout=TIMEOUT)


def _tab(chromium: Browser, url: str) -> Page:
    return chromium.new_context(base_url=url, viewport={"width": 1440, "height": 900}).new_page()


def _first_text(first: list[first_page.Row]) -> str:
    setting = (
        "Compared with the smallest Streamlit page in the same browser, on one machine without a GPU, with"
        f" {psutil.cpu_count()} cores; {first_page.ROUNDS} rounds."
    )
    lines = [
        "# The first page in a real browser",
        "",
        setting,
        "",
        "| measured | median | minimum to maximum | budget | result |",
        "|---|---|---|---|---|",
        *map(str, first),
    ]
    return "\n".join(lines)


def _text(parts: dict[str, list[Wait]]) -> str:
    setting = (
        f"A real browser and the app run on one machine without a GPU, with {psutil.cpu_count()} cores; {ROUNDS} rounds."
        f" The long methods use {MODEL} with random weights at 3x224x224."
    )
    lines = ["# Waiting times in a real browser", "", setting]
    for title, waits in parts.items():
        lines += [
            "",
            f"## {title}",
            "",
            "| measured | median | minimum to maximum | limit | result |",
            "|---|---|---|---|---|",
            *map(str, waits),
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
