"""Results at the end of a notebook's cell, and the example notebook, which runs from its first cell to its last."""

import html
import os
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import nbformat
import pytest
from nbclient import NotebookClient
from PIL import Image

import resnet_viz as rv
from resnet_viz.display import InNotebooks
from resnet_viz.figures.block.map_measures import measures_for, value_of
from resnet_viz.figures.vector import stacks_svg
from tests.servers import ROOT

EXAMPLES = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def image() -> Image.Image:
    return rv.open_image(ROOT / "assets" / "samples" / "cat-photo.jpg")


@pytest.fixture(scope="module")
def inspection(image: Image.Image) -> rv.Inspection:
    return rv.inspect(rv.load("resnet20-cifar10", device="cpu"), image)


@pytest.fixture(scope="module")
def results(image: Image.Image, inspection: rv.Inspection) -> list[InNotebooks]:
    net = rv.load("resnet20-cifar10", device="cpu")
    plain = rv.load("plain20-cifar10", device="cpu")
    return [
        inspection,
        rv.inspect(plain, image),
        rv.attribute(net, image, "integrated_gradients", steps=4),
        rv.attribute(net, image, "grad_cam"),
        rv.gradients(net, image),
        rv.gradients(plain, image),
        rv.conductance(net, image, steps=4),
        rv.conductance(plain, image, steps=4),
        rv.compare(rv.inspect(plain, image), inspection),
    ]


def test_every_result_is_html_that_loads_nothing_and_runs_nothing(results: list[InNotebooks]) -> None:
    for result in results:
        text = result._repr_html_()
        assert text is not None
        assert "<table" in text
        assert "<svg" in text or "<img" in text or "plain network has no shortcut" in text
        assert not re.search(r"<(script|link|style|iframe)", text)
        assert not re.search(r"(src|href)=[\"'](?!data:)", text)
        assert "url(" not in text
        # Texts have the colour of the page, so that they can be read in a dark notebook.
        assert "#1D2733" not in text
        assert len(text) < 300_000


def test_the_pictures_are_well_formed(results: list[InNotebooks]) -> None:
    pictures = [each for result in results for each in re.findall(r"<svg.*?</svg>", str(result._repr_html_()), re.DOTALL)]
    assert len(pictures) >= 7
    for picture in pictures:
        ET.fromstring(picture)  # noqa: S314 - our own


def test_the_block_map_says_what_the_table_says(inspection: rv.Inspection) -> None:
    text = str(inspection._repr_html_())
    svg = re.findall(r"<svg.*?</svg>", text, re.DOTALL)[0]
    written = re.findall(r'font-weight="700">([^<]+)<', svg)
    measure = measures_for(inspection)[0]
    assert [f"{value_of(block, measure):.2f}" for block in inspection.blocks] == written[: len(inspection.blocks)]
    assert all(f">{block.name}<" in text for block in inspection.blocks)


def test_arcs_lie_above_the_line_as_on_the_chart(inspection: rv.Inspection) -> None:
    svg = re.findall(r"<svg.*?</svg>", str(inspection._repr_html_()), re.DOTALL)[0]
    line = next(float(y) for y in re.findall(r'<line [^>]*y1="([\d.]+)"[^>]*stroke="#0072B2"', svg))
    arcs = re.findall(r'd="M[\d.]+,([\d.]+) C[\d.]+,([\d.]+)', svg)
    assert len(arcs) == len(inspection.blocks)
    assert all(float(start) == line and float(control) < line for start, control in arcs)


def test_bars_have_the_lengths_of_their_values() -> None:
    svg = stacks_svg(["1.0"], {"a": ("#111111", [3.0]), "b": ("#222222", [-1.0])}, "alt")
    bars = {
        fill: (float(y), float(high))
        for y, high, fill in re.findall(r'y="([\d.]+)" width="34" height="([\d.]+)" fill="(#\d+)"', svg)
    }
    assert bars["#111111"][1] == pytest.approx(3 * bars["#222222"][1], rel=0.01)
    # The negative one begins where the positive one ends.
    assert bars["#111111"][0] + bars["#111111"][1] == pytest.approx(bars["#222222"][0], abs=0.2)


def test_labels_from_outside_are_never_markup(inspection: rv.Inspection) -> None:
    hostile = tuple(each._replace(label="<img src=x onerror=alert(1)>") for each in inspection.predictions)
    text = str(replace(inspection, predictions=hostile)._repr_html_())
    assert "<img src=x" not in text
    assert html.escape("<img src=x onerror=alert(1)>") in text


def test_the_text_of_every_result_fits_a_screen(results: list[InNotebooks]) -> None:
    for result in results:
        assert repr(result).startswith(f"{type(result).__name__}(")
        assert len(repr(result)) < 1_000


def test_a_result_that_nothing_was_registered_for_is_left_to_its_text() -> None:
    assert InNotebooks()._repr_html_() is None


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in notebook.cells)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    assert not [out for out in shown if out.output_type == "error"]
    assert sum("<svg" in str(out.get("data", {}).get("text/html", "")) for out in shown) >= 4
    error = next(cell for cell in notebook.cells if "abs(block.identity" in cell.source).outputs[0]["data"]["text/plain"]
    assert "float32(0.0)" in error
    assert (tmp_path / "report.html").stat().st_size < 8e6
