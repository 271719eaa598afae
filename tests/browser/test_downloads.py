"""Official weights in a real browser: the offer, the wait, every way to end it, and the network that opens automatically."""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from resnet_viz.nets import imagenet
from tests.browser.conftest import cleared, one_tab, running_app
from tests.browser.screen import alerts, click_block, equation_heading, headings, open_app, overflow, screenshot, settle
from tests.weights_server import Reply, WeightsServer, saved, weights_server

ARRIVAL = 30_000

# Nobody can make a file with the hash that a real name has: in the app's process torchvision's ResNet-18 gets another name.
RENAMED = """
import torchvision.models as models
from torchvision.models._api import Weights

real, found = models.ResNet18_Weights.DEFAULT, models.get_model_weights
weights = Weights("https://download.pytorch.org/models/resnet18-{digits}.pth", real.transforms, real.meta)
members = models.WeightsEnum("Renamed", {{"IMAGENET1K_V1": weights, "DEFAULT": weights}})
models.get_model_weights = lambda name: members if name == "resnet18" else found(name)
"""


@dataclass(frozen=True)
class School:
    """An app that downloads from our own mirror into an empty folder; `content` are weights of a ResNet-18."""

    url: str
    mirror: WeightsServer
    folder: Path
    content: bytes

    def left(self) -> list[str]:
        return [path.name for path in self.folder.iterdir()]


@pytest.fixture(scope="module")
def content() -> bytes:
    return saved(imagenet.build("resnet18", seed=1).state_dict())


@pytest.fixture(scope="module")
def environment(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The settings of the app, except for its mirror."""
    code, folder = tmp_path_factory.mktemp("code"), tmp_path_factory.mktemp("weights")
    (code / "sitecustomize.py").write_text(RENAMED.format(digits=hashlib.sha256(content).hexdigest()[:8]))
    return {"PYTHONPATH": str(code), "RESNET_VIZ_WEIGHTS_DIR": str(folder)}


@pytest.fixture(scope="module")
def started(content: bytes, environment: dict[str, str]) -> Iterator[School]:
    with (
        weights_server() as mirror,
        running_app(environment | {"RESNET_VIZ_WEIGHTS_URL": mirror.url}, "app-of-a-school") as url,
    ):
        yield School(url, mirror, Path(environment["RESNET_VIZ_WEIGHTS_DIR"]), content)


@pytest.fixture
def school(started: School) -> School:
    """The same app for every test, with no weights and a mirror that takes two minutes unless it is released."""
    for path in started.folder.iterdir():
        path.unlink()
    started.mirror.asked.clear()
    started.mirror.released.clear()
    started.mirror.reply = Reply(started.content, pause=0.2)
    return started


@pytest.fixture(scope="module")
def tab(chromium: Browser, started: School) -> Iterator[Page]:
    with one_tab(chromium, started.url) as tab:
        yield tab


@pytest.fixture
def page(tab: Page, school: School) -> Iterator[Page]:  # noqa: ARG001 - its weights are away
    with cleared(tab):
        yield tab


def progress(page: Page) -> Locator:
    return page.locator("[data-testid='stProgress']")


def press(page: Page, label: str) -> None:
    page.get_by_role("button", name=label).click()
    settle(page)


def wait_until(done: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


def test_weights_that_are_away_are_offered_and_never_fetched_unasked(page: Page, school: School) -> None:
    open_app(page, "?model=resnet50")
    expect(page.locator("[data-testid='stAlert']")).to_contain_text("The weights of ResNet-50 are not on this machine yet.")
    expect(page.get_by_role("button", name="Download 103 MB")).to_be_visible()
    expect(page.get_by_role("button", name="Open ResNet-50 with random weights")).to_be_visible()
    assert equation_heading(page)
    assert overflow(page) <= 0
    screenshot(page, "download-offered")
    assert not school.mirror.asked


def test_the_network_opens_by_itself_and_work_goes_on_meanwhile(page: Page, school: School) -> None:
    open_app(page, "?model=resnet18&image=coffee-photo&block=layer2.1")
    press(page, "Download 47 MB")
    expect(progress(page)).to_contain_text("of 47 MB", timeout=ARRIVAL)
    assert any("Imagenette" in text for text in page.locator(".model").all_inner_texts())
    click_block(page, "layer3.1")
    assert equation_heading(page).startswith("Block 3.1")
    expect(progress(page)).to_be_visible()
    screenshot(page, "download-running")
    school.mirror.released.set()
    expect(page.locator(".model")).to_contain_text("ResNet-18 · ImageNet", timeout=ARRIVAL)
    settle(page)
    expect(progress(page)).to_have_count(0)
    expect(alerts(page)).to_have_count(0)
    assert equation_heading(page).startswith("Block 2.1")
    assert all(part in page.url for part in ("model=resnet18", "image=coffee-photo", "block=layer2.1"))
    assert len(school.mirror.asked) == len(school.left()) == 1


def test_cancel_leaves_nothing(page: Page, school: School) -> None:
    open_app(page, model="")
    before = headings(page)
    open_app(page, "?model=resnet50")
    press(page, "Download 103 MB")
    expect(progress(page)).to_be_visible(timeout=ARRIVAL)
    wait_until(lambda: bool(school.left()))
    press(page, "Cancel")
    expect(progress(page)).to_have_count(0)
    wait_until(lambda: not school.left())
    settle(page)
    assert headings(page) == before


def test_a_cut_connection_and_a_lie_about_the_content(page: Page, school: School) -> None:
    school.mirror.reply = Reply(school.content, stop_after=5_000_000)
    open_app(page, "?model=resnet50")
    press(page, "Download 103 MB")
    alert = page.locator("[data-testid='stAlert']")
    expect(alert).to_contain_text("the connection was interrupted after 5 of 47 MB. Try again.", timeout=ARRIVAL)
    assert not school.left()
    screenshot(page, "download-cut")
    school.mirror.reply = Reply(school.content)
    press(page, "Try again")
    expect(alert).to_contain_text("not 11ad3fa6", timeout=ARRIVAL)
    assert not school.left()
    assert equation_heading(page)
    press(page, "Close")
    expect(alert).to_have_count(0)


def test_a_second_person_sees_the_first_ones_download(page: Page, school: School, chromium: Browser) -> None:
    open_app(page, "?model=resnet18")
    press(page, "Download 47 MB")
    with chromium.new_context(viewport={"width": 1440, "height": 900}, base_url=school.url) as context:
        other = context.new_page()
        open_app(other, "?model=resnet18")
        expect(progress(other)).to_contain_text("of 47 MB", timeout=ARRIVAL)
        press(page, "Cancel")
        school.mirror.released.set()
        expect(other.locator(".model")).to_contain_text("ResNet-18 · ImageNet", timeout=ARRIVAL)
    assert len(school.mirror.asked) == len(school.left()) == 1
    assert any("Imagenette" in text for text in page.locator(".model").all_inner_texts())


def test_an_app_that_is_stopped_leaves_no_half_file(chromium: Browser, environment: dict[str, str], content: bytes) -> None:
    folder = Path(environment["RESNET_VIZ_WEIGHTS_DIR"])
    for path in folder.iterdir():
        path.unlink()
    with weights_server() as mirror:
        mirror.reply = Reply(content, pause=0.2)
        with (
            running_app(environment | {"RESNET_VIZ_WEIGHTS_URL": mirror.url}, "app-that-is-stopped") as url,
            chromium.new_context(base_url=url) as context,
        ):
            page = context.new_page()
            open_app(page, "?model=resnet50")
            press(page, "Download 103 MB")
            expect(progress(page)).to_contain_text("of 47 MB", timeout=ARRIVAL)
            assert list(folder.iterdir())
        assert not list(folder.iterdir())
