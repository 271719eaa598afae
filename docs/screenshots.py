"""Take the pictures of the documentation from the running app: `make screenshots`."""

from pathlib import Path

from playwright.sync_api import sync_playwright

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


if __name__ == "__main__":
    main()
