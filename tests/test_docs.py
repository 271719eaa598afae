"""The documentation as a site: it builds without a warning, describes the whole public API, and loads nothing from the web."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import resnet_viz as rv
from tests.servers import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it; in strict mode a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_public_name_is_described(site: Path) -> None:
    text = "".join(path.read_text() for path in (site / "reference").glob("*.html"))
    described = set(re.findall(r'id="resnet_viz\.(\w+)"', text))
    assert set(rv.__all__) - {"figures"} <= described
    assert set(rv.figures.__all__) <= set(re.findall(r'id="resnet_viz\.figures\.(\w+)"', text))


def test_every_page_is_reached_from_the_menu(site: Path) -> None:
    pages = {str(path.relative_to(ROOT / "docs").with_suffix(".html")) for path in (ROOT / "docs").rglob("*.md")}
    assert len(pages) > 10
    linked = set(re.findall(r'href="([\w/-]+\.html)"', (site / "index.html").read_text()))
    assert pages - {"index.html"} <= linked


def test_the_measured_results_stand_on_their_page(site: Path) -> None:
    page = (site / "results.html").read_text()
    assert page.count("<h1") == 1
    assert 'href="#what-looking-costs"' in page
    assert "torchcam" in page


def test_nothing_is_loaded_from_other_servers(site: Path) -> None:
    for path in site.rglob("*.html"):
        text = path.read_text()
        assert re.findall(r'<(?:script|img|iframe)[^>]*src="(https?:[^"]+)"', text) == [], path
        assert re.findall(r'<link[^>]*rel="stylesheet"[^>]*href="(https?:[^"]+)"', text) == [], path
