"""Take the pictures of the documentation from the running app: `make screenshots`."""

import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import CHROMIUM, FLAGS, running_app
from tests.browser.screen import open_app
from tests.browser.test_lessons_track import TRACK

FOLDER = Path(__file__).parent
SHOTS = {
    "first-page": ("?block=layer1.1", 1440, 1150, "light"),
    "first-page-dark": ("?block=layer1.1", 1440, 1150, "dark"),
    "first-page-phone": ("?block=layer1.1", 390, 844, "light"),
    "channels": ("?block=layer2.1&detail=channels&channel=3&term=sum", 1440, 1900, "light"),
    "grad-cam": ("?block=layer3.1&detail=cam", 1440, 1900, "light"),
    "gradients": ("gradients?block=layer2.1", 1440, 1250, "light"),
    "attribution": ("attribution", 1440, 1150, "light"),
    "attribution-dark": ("attribution?view=gallery", 1440, 1150, "dark"),
    "conductance": ("attribution?view=conductance", 1440, 1150, "light"),
    "compare": ("compare", 1440, 1500, "light"),
    "model": ("model", 1440, 1500, "light"),
    "by-depth": ("?block=layer2.1&detail=depth", 1440, 1900, "light"),
} | {f"lessons/{number:02}-{slug}": (f"learn?lesson={slug}", 1440, 900, "light") for number, slug in enumerate(TRACK, 1)}

# The recording of Play: frames, milliseconds between them, and the width in pixels at which they are kept.
FRAMES, BETWEEN, KEPT_WIDTH = 60, 200, 960


def main() -> None:
    """Start the app, open each view, save its picture."""
    (FOLDER / "lessons").mkdir(exist_ok=True)
    if CHROMIUM is None:
        raise SystemExit("Chromium is not installed: install Debian's package chromium first")
    with running_app() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for name, (query, width, height, scheme) in SHOTS.items():
            dark = "dark" if scheme == "dark" else "light"
            context = browser.new_context(viewport={"width": width, "height": height}, base_url=url, color_scheme=dark)
            page = context.new_page()
            open_app(page, query, model="")
            page.wait_for_timeout(1000)
            page.screenshot(path=FOLDER / f"{name}.png")
            context.close()
        context = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=url)
        page = context.new_page()
        open_app(page, "?block=layer1.0", model="")
        _record_play(page, FOLDER / "play.webp")
        context.close()


def _record_play(page: Page, path: Path) -> None:
    """Save the signal's way through the network as an animated picture."""
    page.wait_for_timeout(1000)
    page.locator(".player-play").click()
    page.locator(".player-stage:not([hidden])").wait_for()
    frames = []
    for _ in range(FRAMES):
        frame = Image.open(io.BytesIO(page.screenshot(type="jpeg", quality=90)))
        frames.append(frame.resize((KEPT_WIDTH, KEPT_WIDTH * frame.height // frame.width), Image.Resampling.LANCZOS))
        page.wait_for_timeout(BETWEEN)
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=BETWEEN, loop=0, quality=70, method=4)


if __name__ == "__main__":
    main()
