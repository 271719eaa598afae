"""Reports of every result: their charts in both themes, their numbers as files, and the limit of 8 MB."""

import base64
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import resnet_viz as rv
from resnet_viz.analyses import trust
from resnet_viz.analyses.ablation import sweep
from resnet_viz.analyses.logit_lens import lens
from resnet_viz.figures.theme import DARK, LIGHT
from resnet_viz.report import contents_of
from resnet_viz.reporting.comparing import ComparisonView, of_comparison
from resnet_viz.reporting.explaining import of_attribution, of_gallery, of_gradients
from resnet_viz.reporting.inspecting import InspectionView, merged, of_inspection
from resnet_viz.reporting.page import MOST_BYTES, Origin, page, swapped
from resnet_viz.reporting.pieces import Contents, file_name

SAMPLES = Path(__file__).parents[1] / "assets" / "samples"
PHOTO = SAMPLES / "cat-photo.jpg"


@pytest.fixture(scope="module")
def net() -> rv.Net:
    return rv.load("resnet20-cifar10", device="cpu")


@pytest.fixture(scope="module")
def image() -> Image.Image:
    return rv.open_image(PHOTO)


@pytest.fixture(scope="module")
def inspection(net: rv.Net, image: Image.Image) -> rv.Inspection:
    return rv.inspect(net, image)


@pytest.fixture(scope="module")
def results(net: rv.Net, image: Image.Image, inspection: rv.Inspection) -> dict[str, Contents]:
    """A report of every kind of result, with everything that it can show."""
    plain = rv.load("plain20-cifar10", device="cpu")
    found, beside = rv.gradients(net, image), rv.gradients(plain, image)
    map_ = rv.attribute(net, image, "integrated_gradients", steps=8)
    cam = rv.attribute(net, image, "grad_cam", block="layer2.0", place="output")
    survey = rv.survey(net, [image, image.rotate(90)])
    view = InspectionView(
        measure="ablation",
        details=("channels", "cam", "depth"),
        channel=2,
        photo=net.preprocessing.sharp(image),
        sweep=sweep(net, image),
        lens=lens(net, image),
    )
    return {
        "inspection": of_inspection(inspection, view),
        "gradients": of_gradients(found, beside, "layer2.0"),
        "attribution": of_attribution(
            map_, perturbation=trust.perturbation(net, image, map_, 4), randomised=trust.randomisation(net, image, map_)
        ),
        "places": of_attribution(cam, places=[cam], photo=net.preprocessing.sharp(image)),
        "gallery": of_gallery([map_, cam]),
        "conductance": contents_of(rv.conductance(net, image, steps=4)),
        "comparison": of_comparison(rv.compare(rv.inspect(plain, image), inspection), ComparisonView(block="layer3.1")),
        "survey": contents_of(survey),
    }


def test_a_chart_changes_into_that_of_the_dark_theme_by_its_colours_alone(results: dict[str, Contents]) -> None:
    compared = 0
    for contents in results.values():
        for piece in contents.pieces:
            if piece.name.startswith("channels-"):
                # The gaps between the tiles of a mosaic are pixels.
                continue
            light, dark = (_themed(piece.figure, theme.name) for theme in (LIGHT, DARK))
            assert swapped(light) == dark, piece.name
            compared += 1
    assert compared > 20


def _themed(draw: Callable[[], object], name: str) -> str:
    theme = {"light": LIGHT, "dark": DARK}[name]
    return str(draw(theme=theme).to_json())  # type: ignore[call-arg,attr-defined]  # partials of functions of figures


def test_the_page_draws_every_chart_and_offers_its_numbers(results: dict[str, Contents]) -> None:
    for kind, contents in results.items():
        text = page(contents, Origin("http://127.0.0.1/?model=a&b=<c>", "import resnet_viz as rv\nprint('<b>')"))
        assert len(text.encode()) <= MOST_BYTES, kind
        assert text.count("<figure data-name") == len(contents.pieces), kind
        charts = re.findall(r'<script type="application/json">(.*?)</script></figure>', text, re.DOTALL)
        assert all(json.loads(chart)["data"] for chart in charts), kind
        assert text.count('class="data"') >= 1, kind
        assert "&lt;c&gt;" in text
        assert "print(&#x27;&lt;b&gt;&#x27;)" in text
        assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"']?https?:", text)


def test_the_numbers_in_the_page_are_those_of_the_result(results: dict[str, Contents], inspection: rv.Inspection) -> None:
    text = page(results["inspection"])
    table = pd.read_csv(io.BytesIO(_file(text, "block-map.csv")), index_col="block")
    assert np.array_equal(table["ratio"].to_numpy(), inspection.table()["ratio"].to_numpy())
    name = inspection.most_changed()
    with np.load(io.BytesIO(_file(text, f"equation-{name}.npz"))) as arrays:
        assert np.array_equal(arrays["residual"], inspection.block(name).residual[2])


def test_every_chart_says_which_kind_of_file_its_numbers_make(results: dict[str, Contents]) -> None:
    for contents in results.values():
        for piece in contents.pieces:
            assert (piece.kind == "CSV") == isinstance(piece.numbers(), pd.DataFrame), piece.name
            assert piece.data().startswith(b"PK") == (piece.kind == "NPZ"), piece.name


def test_the_numbers_of_an_attribution_are_its_arrays(net: rv.Net, image: Image.Image) -> None:
    found = rv.attribute(net, image, "grad_cam")
    with np.load(io.BytesIO(contents_of(found).pieces[0].data())) as arrays:
        assert np.array_equal(arrays["attributions"], found.attributions)
        assert found.cells is not None
        assert np.array_equal(arrays["cells"], found.cells)


def _file(text: str, name: str) -> bytes:
    found = re.search(rf'download="{re.escape(name)}" href="data:[^;]+;base64,([^"]+)"', text)
    assert found is not None, name
    return base64.b64decode(found[1])


def test_a_report_does_not_ask_for_clicks_that_only_the_app_answers(results: dict[str, Contents]) -> None:
    assert "Click a block to open it." in results["inspection"].pieces[1].figure().layout.meta["how_to_read"]
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", "".join(map(page, results.values())))
    assert len(captions) > 20
    assert not [caption for caption in captions if "Click" in caption]
    assert all(caption.endswith((".", "pixels")) for caption in captions)


def test_every_block_of_a_cifar_network_has_its_equation(inspection: rv.Inspection) -> None:
    names = [piece.name for piece in of_inspection(inspection).pieces]
    assert {f"equation-{block.name}" for block in inspection.blocks} <= set(names)


def test_a_report_that_would_be_too_large_leaves_equations_out_and_says_so(inspection: rv.Inspection) -> None:
    many = tuple(replace(block, name=f"{block.name}.{turn}") for turn in range(12) for block in inspection.blocks)
    big = tuple(replace(block, maps=replace(block.maps, **_large(block))) for block in many if block.maps is not None)
    contents = of_inspection(replace(inspection, blocks=big))
    text = page(contents)
    assert len(text.encode()) <= MOST_BYTES
    left = len(contents.pieces) - text.count("<figure data-name")
    assert left > 10
    assert f"{left} charts are left out, because this file would be larger than 8 MB" in text


def _large(block: rv.BlockInspection) -> dict[str, Any]:
    noise = np.random.default_rng(0).normal(size=(1, 96, 96)).astype(np.float32)
    return {term: noise for term in ("identity", "residual", "sum", "output") if getattr(block, term) is not None}


def test_maps_of_blocks_that_come_one_by_one_are_put_together(inspection: rv.Inspection) -> None:
    names = ("layer1.0", "layer3.2")
    together = merged(inspection.keeping("layer2.0"), {name: inspection.keeping(name) for name in names})
    assert [block.name for block in together.blocks if block.maps is not None] == ["layer1.0", "layer2.0", "layer3.2"]
    assert together.block("layer3.2").residual is inspection.block("layer3.2").residual


def test_a_result_without_a_report_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"a dict has no report: pass the result of rv\.inspect"):
        rv.report({}, tmp_path / "out.html")  # type: ignore[arg-type]  # that is the point


def test_file_names_hold_for_every_file_system() -> None:
    assert file_name("timm/resnet50d.ra2_in1k-tabby, cat.html") == "timm-resnet50d.ra2_in1k-tabby-cat.html"
    assert file_name("../../etc/passwd") == "etc-passwd"
