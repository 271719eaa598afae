"""Take the pictures of the documentation from the running app: `make screenshots`.

`python -m docs.screenshots model survey` takes some of them again; `play` is the recording.
"""

import io
import sys
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import CHROMIUM, FLAGS, running_app
from tests.browser.screen import open_app
from tests.browser.test_lessons_track import TRACK

FOLDER = Path(__file__).parent


class Shot(NamedTuple):
    """A view by its address, the size of the window in pixels, and its colour scheme."""

    query: str
    width: int
    height: int
    scheme: Literal["light", "dark"] = "light"


SHOTS: dict[str, Shot] = {
    "first-page": Shot("?block=layer1.1", 1440, 1520),
    "first-page-dark": Shot("?block=layer1.1", 1440, 1520, "dark"),
    "first-page-phone": Shot("?block=layer1.1", 390, 844),
    "channels": Shot("?block=layer2.1&detail=channels&channel=3&term=sum", 1440, 1900),
    "grad-cam": Shot("?block=layer3.1&detail=cam", 1440, 1900),
    "gradients": Shot("gradients?block=layer2.1", 1440, 1250),
    "attribution": Shot("attribution", 1440, 1150),
    "attribution-dark": Shot("attribution?view=gallery", 1440, 1150, "dark"),
    "conductance": Shot("attribution?view=conductance", 1440, 1150),
    "compare": Shot("compare", 1440, 1500),
    "model": Shot("model", 1440, 1500),
    "survey": Shot("survey?survey=resnet20-cifar10&group=right+or+wrong", 1440, 1320),
    "by-depth": Shot("?block=layer2.1&detail=depth", 1440, 1900),
} | {f"lessons/{number:02}-{slug}": Shot(f"learn?lesson={slug}", 1440, 900) for number, slug in enumerate(TRACK, 1)}

PLAY, PLAYED = "play", Shot("?block=layer1.0", 1440, 900)
# The recording of Play: frames, milliseconds between them, and the width in pixels at which they are kept.
FRAMES, BETWEEN, KEPT_WIDTH = 60, 200, 960


def main(names: list[str]) -> None:
    """Start the app, open each view of these names, or all, and save its picture."""
    wanted = names or [*SHOTS, PLAY]
    if unknown := set(wanted) - {*SHOTS, PLAY}:
        raise SystemExit(f"There is no picture called {', '.join(sorted(unknown))}. Choose from: {', '.join([*SHOTS, PLAY])}")
    (FOLDER / "lessons").mkdir(exist_ok=True)
    if CHROMIUM is None:
        raise SystemExit("Chromium is not installed: install Debian's package chromium first")
    with running_app() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        # One context, whose cache keeps the app's scripts; each page is a new session.
        context = browser.new_context(base_url=url)
        for name in wanted:
            query, width, height, scheme = SHOTS.get(name, PLAYED)
            page = context.new_page()
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": height})
            open_app(page, query, model="")
            page.wait_for_timeout(1000)
            if name == PLAY:
                _record_play(page, FOLDER / f"{PLAY}.webp")
            else:
                page.screenshot(path=FOLDER / f"{name}.png")
            page.close()


def _record_play(page: Page, path: Path) -> None:
    """Save the signal's way through the network as an animated picture."""
    page.locator(".player-play").click()
    page.locator(".player-stage:not([hidden])").wait_for()
    frames = []
    for _ in range(FRAMES):
        frame = Image.open(io.BytesIO(page.screenshot(type="jpeg", quality=90)))
        frames.append(frame.resize((KEPT_WIDTH, KEPT_WIDTH * frame.height // frame.width), Image.Resampling.LANCZOS))
        page.wait_for_timeout(BETWEEN)
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=BETWEEN, loop=0, quality=70, method=4)


if __name__ == "__main__":
    main(sys.argv[1:])
