"""The report is one self-contained file, and the command line explains errors in sentences."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

import resnet_viz as rv
from resnet_viz.cli import app

SAMPLE = Path(__file__).parents[1] / "assets" / "samples" / "cat-photo.jpg"


@pytest.fixture(scope="module")
def inspection() -> rv.Inspection:
    return rv.inspect(rv.load("resnet20-cifar10", weights=None, device="cpu"), Image.new("RGB", (32, 32), "orange"))


def test_the_report_is_one_file_without_addresses_to_load(inspection: rv.Inspection, tmp_path: Path) -> None:
    path = rv.report(inspection.keeping("layer2.1"), tmp_path / "out.html")
    page = path.read_text()
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"']?https?:", page)
    assert page.count("<figure data-name") == 5
    assert '"showSendToCloud": false' in page
    assert "untrained: random weights" in page


def test_the_report_explains_the_measures_that_it_shows(inspection: rv.Inspection, tmp_path: Path) -> None:
    page = rv.report(inspection.keeping(), tmp_path / "out.html").read_text()
    assert f"<dt><b>{rv.MEANINGS['ratio'].symbol}</b>" in page
    # What takes passes of its own was not measured.
    assert rv.MEANINGS["logit_drop"].symbol not in page


def test_labels_cannot_bring_markup_into_the_report(inspection: rv.Inspection, tmp_path: Path) -> None:
    hostile = tuple(p._replace(label="<script>alert(1)</script>") for p in inspection.predictions)
    page = rv.report(replace(inspection, predictions=hostile).keeping(), tmp_path / "out.html").read_text()
    assert "<script>alert(1)" not in page


def test_the_command_prints_and_writes(tmp_path: Path) -> None:
    csv, html = tmp_path / "table.csv", tmp_path / "out.html"
    result = CliRunner().invoke(
        app,
        ["inspect", str(SAMPLE), "--csv", str(csv), "--report", str(html), "--target", "dog", "--model", "resnet20-cifar10"],
    )
    assert result.exit_code == 0, result.output
    assert len(csv.read_text().splitlines()) == 10
    assert html.stat().st_size > 1e6


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["missing.jpg"], "There is no file"),
        ([str(SAMPLE), "--model", "resnet9"], "There is no file resnet9, and no network of that name"),
        ([str(SAMPLE), "--model", "plain110-cifar10"], "does not include trained weights"),
        ([str(SAMPLE), "--target", "unicorn"], "no class 'unicorn'"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(arguments: list[str], sentence: str) -> None:
    result = CliRunner().invoke(app, ["inspect", *arguments])
    assert result.exit_code == 1
    assert sentence in result.output


def test_models_lists_all() -> None:
    lines = CliRunner().invoke(app, ["models"]).output.splitlines()
    assert len(lines) == len(rv.list_models())
