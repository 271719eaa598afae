"""What a page gives away: the code that it shows runs and gives the page's numbers, and the report has what was chosen."""

import base64
import io
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
import segno
from PIL import Image
from safetensors.torch import save
from streamlit.testing.v1 import AppTest
from torchvision.transforms import InterpolationMode

import resnet_viz as rv
from app import results, waiting
from app.catalogue import Subject
from app.checkpoints import Own
from app.views import share_section
from app.views.share_section import Shared
from app.views.shares.attribution import MEASURED
from app.views.view_code import Script, quoted
from resnet_viz.analyses.trust import robustness
from resnet_viz.assets import SAMPLES_FOLDER, SURVEYS_FOLDER
from resnet_viz.engine.jobs import EngineError, Ticket
from resnet_viz.nets.architecture import architecture
from resnet_viz.nets.checkpoints.loading import read_checkpoint
from resnet_viz.nets.zoo import read_card
from resnet_viz.reporting.page import MOST_BYTES, Origin, page
from tests.servers import ROOT

SAMPLE = ROOT / "assets" / "samples" / "cat-photo.jpg"
SMALL = {"model": "resnet20-cifar10", "image": "cat-photo"}
# A page with its parameters, and the names in its code of what gives the numbers of its charts.
VIEWS: dict[str, tuple[str, dict[str, str]]] = {
    "inspect": ("inspect", {"detail": "depth"}),
    "inspect a channel": (
        "inspect",
        {"block": "layer2.1", "channel": "3", "scale": "each", "detail": "channels", "term": "residual"},
    ),
    "inspect another class": ("inspect", {"target": "5", "measure": "ablation", "detail": "cam", "cells": "exact"}),
    "inspect random weights": ("inspect", {"weights": "none", "framing": "fit", "image": "rocket-photo"}),
    "inspect a larger network": ("inspect", {"model": "resnet18-imagenette", "block": "layer3.1", "detail": "numbers"}),
    "inspect what makes a channel fire": (
        "inspect",
        {"model": "resnet18-imagenette", "block": "layer4.1", "channel": "5", "detail": "fires"},
    ),
    "gradients": ("gradients", {}),
    "gradients of a difference": ("gradients", {"objective": "logit difference", "versus": "5", "beside": "plain"}),
    "attribution": ("attribution", {"method": "integrated_gradients", "steps": "16", "baseline": "blur"}),
    "grad-cam at its places": ("attribution", {"method": "grad_cam", "block": "layer2.1"}),
    "gallery": ("attribution", {"view": "gallery", "methods": "saliency,grad_cam"}),
    "strip": ("attribution", {"view": "strip", "block": "layer1.1"}),
    "conductance": ("attribution", {"view": "conductance", "steps": "16"}),
    "trust": ("attribution", {"view": "trust", "method": "saliency"}),
    "compare": ("compare", {"left": "plain20-cifar10", "right": "resnet20-cifar10"}),
    "compare images": ("compare", {"left": "resnet20-cifar10", "right": "resnet20-cifar10", "right_image": "cifar-dog"}),
    "survey": ("survey", {"quantity": "cosine", "group": "class"}),
    "model": ("model", {}),
    "lesson super-resolution": ("learn", {"lesson": "problem", "look": "detail"}),
    "lesson residual image": ("learn", {"lesson": "residual-image", "sign": "flipped"}),
    "lesson signal": ("learn", {"lesson": "signal", "see": "loss", "branch": "0.1"}),
    "lesson signal of an image": ("learn", {"lesson": "signal", "signal": "picture", "norm": "no", "depth": "20"}),
    "lesson super-resolution training": ("learn", {"lesson": "training-it"}),
    "lesson super-resolution of an image": ("learn", {"lesson": "training-it", "see": "picture"}),
    "lesson block": ("learn", {"lesson": "block", "channel": "2"}),
    "lesson code of another family": ("learn", {"lesson": "code", "model": "regnet_y_400mf"}),
    "lesson code": ("learn", {"lesson": "code"}),
    "lesson addition": ("learn", {"lesson": "adding", "left": "1, 2", "right": "3, 4, 5"}),
    "lesson order": ("learn", {"lesson": "order", "see": "correlation", "order": "before"}),
    "lesson chain": ("learn", {"lesson": "chain", "block": "layer2.1"}),
    "lesson cost": ("learn", {"lesson": "cost", "change": "double"}),
    "lesson matching": ("learn", {"lesson": "matching", "to_channels": "64"}),
    "lesson padding": ("learn", {"lesson": "padding", "source": "layer2.0"}),
    "lesson projection": ("learn", {"lesson": "projection"}),
    "lesson fewer blocks": ("learn", {"lesson": "fewer-blocks", "scales": "1.1:0,3.2:0.5"}),
    "lesson several fewer blocks": ("learn", {"lesson": "fewer-blocks", "see": "several"}),
    "lesson fewer blocks of many images": ("learn", {"lesson": "fewer-blocks", "see": "shuffled"}),
    "lesson fewer blocks of a larger network": (
        "learn",
        {"lesson": "fewer-blocks", "model": "resnet18-imagenette", "scales": "2.1:0.25"},
    ),
    "lesson block with random weights": ("learn", {"lesson": "block", "model": "resnet50", "block": "layer2.0"}),
    "lesson degradation on photos": ("learn", {"lesson": "degradation", "kind": "photos"}),
    "lesson degradation": ("learn", {"lesson": "degradation"}),
    "lesson degradation of gradients": ("learn", {"lesson": "degradation", "look": "gradients", "epoch": "3"}),
    "lesson one residual": ("learn", {"lesson": "one-residual", "lift": "1.5"}),
    "lesson toy": ("learn", {"lesson": "toy", "seed": "1"}),
    "lesson paths": ("learn", {"lesson": "paths"}),
    "lesson random paths": ("learn", {"lesson": "paths", "see": "sampled", "seed": "2"}),
    "lesson receptive field": ("learn", {"lesson": "receptive-field"}),
    "lesson refinement": ("learn", {"lesson": "refinement", "target": "5"}),
    "lesson refinement of many images": ("learn", {"lesson": "refinement", "over": "samples"}),
    "lesson shattered gradients": ("learn", {"lesson": "shattered-gradients"}),
    "lesson loss landscape": ("learn", {"lesson": "loss-landscape", "view": "surface"}),
    "lesson loss landscape of an image": ("learn", {"lesson": "loss-landscape", "see": "live"}),
    "lesson loss landscape of a training": ("learn", {"lesson": "loss-landscape", "see": "training", "epoch": "3"}),
}


def script(name: str) -> None:
    """The page of a view, inside the app's navigation."""
    import streamlit as st  # noqa: PLC0415 - AppTest runs the body of this function alone

    from app.views import attribution, compare, gradients, inspect, learn, model, questions, survey  # noqa: PLC0415

    modules = {
        each.__name__.rpartition(".")[2]: each
        for each in (attribution, compare, gradients, inspect, learn, model, questions, survey)
    }
    pages = [st.Page(module.page, title=title.capitalize(), url_path=title) for title, module in modules.items()]
    st.session_state["pages"] = {page.title: page for page in pages}
    st.navigation(pages, position="hidden")
    modules[name].page()


@pytest.fixture
def prepared() -> dict[str, dict[str, Callable[[], Ticket]]]:
    """The requests that a page has prepared for its report, by the names of views."""
    return {}


@pytest.fixture
def given_away(
    monkeypatch: pytest.MonkeyPatch, prepared: dict[str, dict[str, Callable[[], Ticket]]]
) -> Callable[[str], tuple[Shared, AppTest]]:
    """Open a view, and what stands behind its button."""

    def run(name: str) -> tuple[Shared, AppTest]:
        page, parameters = VIEWS[name]
        seen: list[Shared] = []
        content = share_section._content

        def watched(shared: Shared) -> None:
            seen.append(shared)
            content(shared)

        monkeypatch.setattr(share_section, "_content", watched)
        # On a busy machine, what the page has not yet shown takes longer than a person waits.
        monkeypatch.setattr(waiting, "AT_HAND", 60.0)
        prepare = share_section._asks
        monkeypatch.setattr(share_section, "_asks", lambda shared: prepared.setdefault(name, prepare(shared)))
        app = AppTest.from_function(script, default_timeout=120, args=(page,))
        for field, value in (SMALL | parameters).items():
            app.query_params[field] = value
        app.session_state["share"] = True
        app.run()
        assert not app.exception
        return seen[0], app

    return run


@pytest.mark.parametrize("name", VIEWS)
def test_the_code_gives_the_numbers_of_the_page(
    name: str, given_away: Callable[[str], tuple[Shared, AppTest]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, app = given_away(name)
    shown = [code.value for code in app.code]
    assert shared.code in shown
    monkeypatch.chdir(tmp_path)
    made: dict[str, Any] = {}
    exec(compile(shared.code, "view.py", "exec"), made)  # noqa: S102 - this is what a person does with it
    made_charts = {
        each.layout.meta["finding"]: json.loads(each.to_json())
        for value in made.values()
        for each in (value if isinstance(value, list) else [value])
        if isinstance(each, go.Figure)
    }
    charts = {chart["layout"]["meta"]["finding"]: chart for chart in map(_chart, app.get("plotly_chart"))}
    # The predictions stand at the top of every page, and in the code of those that are about them.
    about = {finding: chart for finding, chart in charts.items() if " predicts: " not in finding or finding in made_charts}
    assert about
    for finding, chart in about.items():
        assert finding in made_charts
        # The strip's marks are at pixels, which the width of the window decides.
        keys = ("z",) if name == "strip" else ("x", "y", "z", "customdata")
        mine, theirs = _numbers(made_charts[finding], keys), _numbers(chart, keys)
        assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-5, nan_ok=True), finding
    # The report and the files have the charts of the page too.
    assert {piece.figure().layout.meta["finding"] for piece in shared.contents.pieces} >= about.keys()
    assert all(piece.data() for piece in shared.contents.pieces)


def _chart(element: Any) -> dict[str, Any]:
    chart: dict[str, Any] = json.loads(element.proto.spec)
    return chart


def _numbers(chart: dict[str, Any], keys: tuple[str, ...]) -> list[float]:
    """Every number of a chart's data; how large its marks are depends on the window."""
    return [number for trace in chart["data"] for key in keys for number in _flat(trace.get(key))]


def _flat(value: Any) -> list[float]:
    if isinstance(value, dict):
        return _array(value)
    if isinstance(value, list):
        return [number for each in value for number in _flat(each)]
    return [float(value)] if isinstance(value, int | float) else []


def _array(packed: dict[str, str]) -> Any:
    return np.frombuffer(base64.b64decode(packed["bdata"]), packed["dtype"]).astype(float)


def test_the_report_has_what_makes_a_channel_fire(given_away: Callable[[str], tuple[Shared, AppTest]]) -> None:
    shared, _ = given_away("inspect what makes a channel fire")
    photos = [piece for piece in shared.contents.pieces if piece.name.startswith("fires-")]
    assert 1 < len(photos) <= 6
    strongest = rv.open_survey(SURVEYS_FOLDER / "resnet18-imagenette.parquet").strongest("layer4.1", 5)
    table = pd.read_csv(io.BytesIO(photos[0].data()), index_col="image")
    assert table.index[0] == strongest["image"].iloc[0]
    assert np.allclose(table["value"], strongest["value"][strongest["value"] > 0])
    text = page(shared.contents, Origin("http://viz/", shared.code))
    assert text.count('data-name="fires-') == len(photos)
    assert len(text.encode()) <= MOST_BYTES


def test_the_report_has_infidelity_and_sensitivity_once_the_page_has_measured_them(
    given_away: Callable[[str], tuple[Shared, AppTest]], monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, app = given_away("trust")
    assert not any("nfidelity" in note for note in shared.contents.notes)
    (toggle,) = (each for each in app.toggle if each.key == MEASURED)
    seen: list[Shared] = []
    content = share_section._content

    def watched(shared: Shared) -> None:
        seen.append(shared)
        content(shared)

    monkeypatch.setattr(share_section, "_content", watched)
    toggle.set_value(True).run()
    app.run()
    net, image = rv.load("resnet20-cifar10"), rv.open_image(SAMPLE)
    exact = robustness(net, image, rv.attribute(net, image, "saliency"))
    (note,) = (note for note in seen[-1].contents.notes if "nfidelity" in note)
    assert f"Infidelity: {exact.infidelity:.3g}; max-sensitivity: {exact.sensitivity:.3g}" in note
    assert "metrics = robustness(net, image, a)" in seen[-1].code


def test_the_report_has_the_maps_of_every_block_of_a_cifar_network(
    given_away: Callable[[str], tuple[Shared, AppTest]], prepared: dict[str, dict[str, Callable[[], Ticket]]]
) -> None:
    shared, _ = given_away("inspect")
    assert shared.small
    assert shared.ask is not None
    text = share_section._written(shared, prepared["inspect"], Origin("http://viz/?a=b", shared.code)).decode()
    inspected = rv.inspect(rv.load("resnet20-cifar10"), rv.open_image(SAMPLE))
    for block in inspected.blocks:
        assert f'data-name="equation-{block.name}"' in text
    assert "http://viz/?a=b" in text
    assert len(text.encode()) <= MOST_BYTES


def test_of_a_larger_network_the_report_has_the_blocks_that_are_chosen(
    given_away: Callable[[str], tuple[Shared, AppTest]], prepared: dict[str, dict[str, Callable[[], Ticket]]]
) -> None:
    shared, app = given_away("inspect a larger network")
    assert not shared.small
    assert prepared.pop("inspect a larger network") == {}
    (choice,) = app.multiselect
    assert choice.value == [shared.blocks[0]] == ["layer3.1"]
    choice.set_value(["layer3.1", "layer1.0"]).run()
    text = share_section._written(shared, prepared["inspect a larger network"], Origin()).decode()
    assert re.findall(r'data-name="equation-([^"]+)"', text) == ["layer3.1", "layer1.0"]
    assert len(text.encode()) <= MOST_BYTES


def test_maps_that_cannot_be_had_are_named_in_the_report(given_away: Callable[[str], tuple[Shared, AppTest]]) -> None:
    shared, _ = given_away("inspect")

    def away() -> Ticket:
        raise EngineError("The engine has gone. Try again later.")

    text = share_section._written(shared, {"layer1.0": away, "layer1.1": away}, Origin()).decode()
    assert "The maps of 2 blocks are missing. The engine has gone. Try again later." in text
    assert text.count('data-name="equation-') == 1


def test_the_data_of_a_chart_is_what_the_page_shows(given_away: Callable[[str], tuple[Shared, AppTest]]) -> None:
    shared, _ = given_away("inspect")
    pieces = {piece.name: piece for piece in shared.contents.pieces}
    inspected = rv.inspect(rv.load("resnet20-cifar10"), rv.open_image(SAMPLE))
    table = pd.read_csv(io.BytesIO(pieces["block-map"].data()), index_col="block")
    assert np.allclose(table["ratio"], inspected.table()["ratio"], rtol=1e-5)
    block = inspected.block(inspected.most_changed())
    with np.load(io.BytesIO(pieces[f"equation-{block.name}"].data())) as arrays:
        assert np.allclose(arrays["sum"], block.sum.mean(0), atol=1e-5)


def test_the_data_of_lessons_and_of_the_model_page_is_what_their_charts_show(
    given_away: Callable[[str], tuple[Shared, AppTest]],
) -> None:
    shared, app = given_away("lesson cost")
    bars, table = _drawn(app, "layer-costs")["data"], _table(shared, "layer-costs")
    for bar in bars[:2]:
        assert table.loc[bar["name"], "multiply-adds (millions)"].tolist() == pytest.approx(_flat(bar["y"]))
        assert table.loc[bar["name"], "block"].astype(str).tolist() == list(map(str, bar["x"]))
    shared, app = given_away("lesson toy")
    lines, table = _drawn(app, "toy")["data"], _table(shared, "toy")
    assert sorted(table["y"]) == pytest.approx(sorted(number for line in lines for number in _flat(line["y"])))
    assert sorted(set(table["panel"])) == list(range(1, 1 + len({line["xaxis"] for line in lines})))
    shared, app = given_away("lesson degradation")
    table = _table(shared, "degradation-errors")
    drawn = [list(_flat(line["y"])) for line in _drawn(app, "degradation-errors")["data"]]
    for _, curve in table.groupby("network"):
        assert curve["train_error"].tolist() in drawn
        assert curve["test_error"].tolist() in drawn
    shared, app = given_away("model")
    table = _table(shared, "confusion")
    by_class, (bars,) = _table(shared, "class-accuracy"), _drawn(app, "class-accuracy")["data"]
    assert dict(zip(bars["y"], _flat(bars["x"]), strict=True)) == pytest.approx(by_class["accuracy (%)"].to_dict())
    assert np.diag(table).sum() / table.to_numpy().sum() == pytest.approx(read_card("resnet20-cifar10")["test_accuracy"])
    parts = architecture(rv.load("resnet20-cifar10", weights=None, device="cpu"))
    assert shared.contents.table is not None
    assert shared.contents.table["multiply-adds"].tolist() == [part.multiply_adds for part in parts]


def _table(shared: Shared, name: str) -> pd.DataFrame:
    (piece,) = (piece for piece in shared.contents.pieces if piece.name == name)
    return pd.read_csv(io.BytesIO(piece.data()), index_col=0)


def _drawn(app: AppTest, key: str) -> dict[str, Any]:
    (found,) = (each for each in app.get("plotly_chart") if each.proto.id.endswith(f"-{key}"))
    return _chart(found)


def test_the_report_of_a_lesson_and_of_the_model_page_says_what_was_found(
    given_away: Callable[[str], tuple[Shared, AppTest]],
) -> None:
    for name, said in (("lesson order", "Must the second ReLU come after the addition?"), ("model", "3×3 64 stride 2")):
        shared, _ = given_away(name)
        text = page(shared.contents, Origin("http://viz/", shared.code))
        assert said in text
        assert all(f'data-name="{piece.name}"' in text for piece in shared.contents.pieces)


@pytest.mark.parametrize("parameters", [{"model": "resnet50"}, {"weights": "none"}])
def test_the_model_page_without_trained_weights_gives_the_architecture_away(
    parameters: dict[str, str], given_away: Callable[[str], tuple[Shared, AppTest]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(VIEWS, "without weights", ("model", parameters))
    shared, _ = given_away("without weights")
    made: dict[str, Any] = {}
    exec(compile(shared.code, "view.py", "exec"), made)  # noqa: S102 - as above
    assert "weights=None" in shared.code
    assert shared.contents.pieces == ()
    assert shared.contents.table is not None
    for column in ("parameters", "multiply-adds"):
        assert made["parts"][column.replace("-", "_")].tolist() == shared.contents.table[column].tolist()


def test_while_a_lesson_has_found_nothing_there_is_nothing_to_take_away(
    given_away: Callable[[str], tuple[Shared, AppTest]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(VIEWS, "before the training", ("learn", {"lesson": "training-it", "see": "live"}))
    _, app = given_away("before the training")
    assert any("There is nothing to download yet" in caption.value for caption in app.caption)


def test_nothing_is_made_while_the_button_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share_section, "_content", lambda _: pytest.fail("nobody has asked"))
    app = AppTest.from_function(script, default_timeout=120, args=("inspect",))
    for field, value in SMALL.items():
        app.query_params[field] = value
    app.run()
    assert not app.exception
    assert not app.code


def test_the_code_of_an_upload_opens_a_file_that_the_person_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(results, "samples", dict)
    written = Script()
    written.image("0" * 64)
    shutil.copy(SAMPLE, tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    made: dict[str, Any] = {}
    exec(written.text(), made)  # noqa: S102 - as above
    assert isinstance(made["image"], Image.Image)


def test_the_code_finds_every_sample() -> None:
    assert len(results.samples()) > 20
    assert all((SAMPLES_FOLDER / f"{name}.jpg").is_file() for name in results.samples())


def test_the_code_of_a_checkpoint_gives_the_same_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = rv.load("resnet20-cifar10", device="cpu")
    data = save({name: tensor.contiguous() for name, tensor in trained.module.state_dict().items()})
    (tmp_path / "it's mine.safetensors").write_bytes(data)
    checkpoint = read_checkpoint(data)
    architecture = checkpoint.layout.name(checkpoint.decide().chosen)
    preprocessing = rv.Preprocessing(40, 36, (0.4, 0.5, 0.6), (0.2, 0.3, 0.2), InterpolationMode.BICUBIC)
    labels = [f'class "{number}"' for number in range(10)]
    opened = replace(checkpoint.net(labels, preprocessing=preprocessing, architecture=architecture), head="sigmoid")
    own = Own(checkpoint, "it's mine.safetensors", architecture, opened, "r")
    written = Script()
    fit = replace(preprocessing, framing="fit")
    written.net(Subject(opened.name, opened.title, opened.labels, trained=True, preprocessing=fit, own=own))
    monkeypatch.chdir(tmp_path)
    made: dict[str, Any] = {}
    exec(written.text(), made)  # noqa: S102 - as above
    net, image = made["net"], rv.open_image(SAMPLE)
    assert (net.labels, net.head, net.preprocessing) == (opened.labels, "sigmoid", fit)
    theirs = rv.inspect(replace(opened, preprocessing=fit), image)
    assert [p.logit for p in rv.inspect(net, image).predictions] == pytest.approx([p.logit for p in theirs.predictions])


def test_a_text_from_outside_stays_a_text() -> None:
    for text in ("plain", "it's", 'a "quote"', "both ' and \"", "back\\slash", "line\nbreak"):
        assert eval(quoted(text)) == text  # noqa: S307 - that is the point


def test_the_code_to_scan_is_that_of_the_link() -> None:
    link = "http://viz.example/gradients?model=resnet20-cifar10&image=cat-photo"
    url = share_section.qr_code(link)
    assert url.startswith("data:image/svg+xml")
    code = segno.make(link, error="m", micro=False)
    assert url == code.svg_data_uri(scale=3, border=4, dark="#11161C", light="#FFFFFF")


def test_a_network_of_a_python_program_is_opened_by_the_module() -> None:
    written = Script()
    preprocessing = rv.Preprocessing(32, 32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), framing="fit")
    written.net(Subject("shown/a", "A", ("x",), trained=True, preprocessing=preprocessing, shown="a"))
    text = written.text()
    assert "rv.from_module(my_module)" in text
    assert 'framing="fit"' in text
