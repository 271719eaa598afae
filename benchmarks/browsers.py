"""Real browsers that open one view after the other: `python benchmarks/browsers.py URL BROWSERS SECONDS`, answers in JSON.

A separate process, so that its resources are not counted with the server's.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path

import psutil
from playwright.sync_api import Error, Page, sync_playwright

# A script imports from its own folder: the repository's own modules are one folder above.
sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.browser.conftest import CHROMIUM
from tests.browser.screen import TIMEOUT, headings, settle

CLASSES = 10
# The message when the browsers are open.
READY = "ready"
# The text in the heading above the most probable classes. The niceness of browsers, from 0 to 19: at 10 they get a tenth of a
# contested CPU.
PATIENCE = 10


@dataclass
class Seen:
    """What one browser saw: seconds per view, the text of each view (its address and its headings), and sentences of errors."""

    seconds: list[float] = field(default_factory=list)
    views: list[tuple[str, str]] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)


def look(url: str, browsers: int, seconds: float) -> list[Seen]:
    """Open views in turn in each browser, samples and classes in different orders, and record their text."""
    found = [Seen() for _ in range(browsers)]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        pages = [chromium.new_context(viewport={"width": 1440, "height": 900}).new_page() for _ in found]
        _take_little()
        print(READY, flush=True)
        deadline = time.monotonic() + seconds
        for turn in count():
            for number, (page, seen) in enumerate(zip(pages, found, strict=True)):
                if time.monotonic() > deadline:
                    chromium.close()
                    return found
                _view(page, f"{url}/?target={(turn * browsers + number) % CLASSES}", seen)
    return found


def _take_little() -> None:
    """Yield the CPU to other processes: browsers represent other people's machines."""
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        process.nice(PATIENCE)
        # Linux shares the CPU between sessions first, and the driver gives Chromium its own session.
        session = Path(f"/proc/{process.pid}/autogroup")
        if session.exists():
            session.write_text(str(PATIENCE))


def _view(page: Page, address: str, seen: Seen) -> None:
    started = time.perf_counter()
    try:
        page.goto(address, timeout=TIMEOUT)
        page.locator("h5", has_text=" predicts: ").first.wait_for(timeout=TIMEOUT)
        settle(page)
        said = next(text for text in headings(page) if " predicts: " in text)
    except Error as error:
        seen.sentences.append(str(error).splitlines()[0])
        return
    seen.seconds.append(time.perf_counter() - started)
    seen.views.append((address, said))
    seen.sentences += page.locator("[data-testid='stAlertContentError'], [data-testid='stException']").all_inner_texts()


if __name__ == "__main__":
    print(json.dumps([asdict(seen) for seen in look(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))]))
