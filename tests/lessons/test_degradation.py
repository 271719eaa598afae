"""S15: what the curves say of depth and of gradients, on known curves and on the shipped ones by the csv module."""

import csv
import json

import numpy as np
import pandas as pd
import pytest

from app.views.lessons import degradation as view
from resnet_viz import assets
from resnet_viz.figures.gradients.gradients_by_block import gradients_by_block
from resnet_viz.figures.theme import IDENTITY, PLAIN
from resnet_viz.lessons import degradation
from resnet_viz.nets.curves import curve_file, read_curves


def curve(training: list[float], test: list[float], norms: dict[str, list[float]] | None = None) -> pd.DataFrame:
    columns = {"epoch": range(1, len(training) + 1), "train_error": training, "test_error": test}
    return pd.DataFrame(columns | {f"gradient_norm:{block}": values for block, values in (norms or {}).items()})


@pytest.fixture
def curves() -> dict[str, pd.DataFrame]:
    fair = {"layer1.0": [0.5, 0.4], "layer2.0": [1.0, 0.8]}
    gone = {"layer1.0": [0.5, 1e-5], "layer2.0": [1.0, 0.8]}
    return {
        "plain20-cifar10": curve([0.5, 0.12], [0.5, 0.16], fair),
        "plain56-cifar10": curve([0.6, 0.20], [0.6, 0.21], gone),
        "resnet20-cifar10": curve([0.5, 0.09], [0.5, 0.13], fair),
        "resnet56-cifar10": curve([0.5, 0.06], [0.5, 0.11], fair),
    }


def test_s15_depth_is_compared_within_a_kind(curves: dict[str, pd.DataFrame]) -> None:
    plain = degradation.depths(curves, plain=True)
    residual = degradation.depths(curves, plain=False)
    assert plain is not None
    assert residual is not None
    assert (plain.deep.title, plain.shallow.title) == ("Plain-56", "Plain-20")
    assert plain.more_training == pytest.approx(0.08)
    assert residual.more_training == pytest.approx(-0.03)
    assert residual.more_test == pytest.approx(-0.02)


def test_s15_nothing_is_said_of_networks_that_are_not_trained(curves: dict[str, pd.DataFrame]) -> None:
    del curves["plain56-cifar10"]
    assert degradation.depths(curves, plain=True) is None
    assert degradation.depths(curves, plain=False) is not None
    assert degradation.missing(curves) == ("Plain-56",)
    assert [run.title for run in degradation.there(curves)] == ["Plain-20", "ResNet-20", "ResNet-56"]


def test_s15_a_gradient_has_vanished_where_it_is_a_thousandth_and_only_there(curves: dict[str, pd.DataFrame]) -> None:
    deep = degradation.norms("plain56-cifar10", curves["plain56-cifar10"], 1)
    shallow = degradation.norms("plain20-cifar10", curves["plain20-cifar10"], 2)
    assert deep is not None
    assert shallow is not None
    assert deep.smallest_share == pytest.approx(0.5)
    assert deep.least_share == pytest.approx(1e-5 / 0.8)
    assert deep.vanished
    assert not shallow.vanished
    assert np.allclose(shallow.lowest, [0.4, 0.8])
    assert np.allclose(shallow.highest, [0.5, 1.0])
    assert degradation.norms("plain20-cifar10", curve([0.1], [0.1]), 1) is None


def test_s15_the_shipped_curves_are_read_as_the_files_say() -> None:
    shipped = read_curves(degradation.WANTED)
    assert set(shipped) == set(degradation.WANTED)
    for run in degradation.there(shipped):
        with curve_file(run.name).open() as file:
            rows = list(csv.DictReader(file))
        assert run.training == float(rows[-1]["train_error"])
        assert run.test == float(rows[-1]["test_error"])
        columns = [name for name in rows[0] if name.startswith("gradient_norm:")]
        shares = [min(float(row[c]) for c in columns) / max(float(row[c]) for c in columns) for row in rows]
        found = degradation.norms(run.name, shipped[run.name], run.epochs)
        assert found is not None
        assert found.least_share == pytest.approx(min(shares), rel=1e-5)
        assert found.smallest_share == pytest.approx(shares[-1], rel=1e-5)


def test_s15_the_shipped_networks_show_degradation_and_that_gradients_are_not_why() -> None:
    ends = {}
    for name in degradation.WANTED:
        with curve_file(name).open() as file:
            ends[name] = list(csv.DictReader(file))[-1]
    plain, residual = (
        [float(ends[f"{kind}{depth}-cifar10"]["train_error"]) for depth in (20, 56)] for kind in ("plain", "resnet")
    )
    assert plain[1] > plain[0] > residual[0] > residual[1]
    assert float(ends["resnet56-cifar10"]["test_error"]) < float(ends["resnet20-cifar10"]["test_error"])
    norms = degradation.norms("plain56-cifar10", read_curves(["plain56-cifar10"])["plain56-cifar10"], 24)
    assert norms is not None
    assert not norms.vanished


def test_s15_the_sentence_says_what_the_curves_show_and_no_more(curves: dict[str, pd.DataFrame]) -> None:
    whole = view.about_errors(curves)
    assert "With 56 layers instead of 20, the plain network trains worse: 20.0% training error compared with 12.0%" in whole
    assert "the residual network trains better: 6.0% training error compared with 9.0%" in whole
    assert "not trained yet" not in whole
    shallow = {name: curve for name, curve in curves.items() if "20" in name}
    assert "learns" not in view.about_errors(shallow)
    assert "Plain-56 and ResNet-56 are not trained yet" in view.about_errors(shallow)


def test_s15_gradients_are_no_reason_where_they_have_not_vanished(curves: dict[str, pd.DataFrame]) -> None:
    def found(depth: int) -> list[degradation.Norms]:
        names = (f"plain{depth}-cifar10", f"resnet{depth}-cifar10")
        return [each for name in names if (each := degradation.norms(name, curves[name], 2)) is not None]

    assert (
        "did not vanish, so vanishing gradients do not explain its training error of 12.0%, compared with 9.0%"
        in view.about_gradients(found(20))
    )
    assert "there the gradient did vanish" in view.about_gradients(found(56))


def test_a_network_of_another_catalogue_gets_a_sentence() -> None:
    with pytest.raises(ValueError, match="no network 'vgg'"):
        degradation.run_of("vgg", curve([0.1], [0.1]))


def test_the_figure_draws_each_network_in_its_colour_and_says_its_smallest_share(curves: dict[str, pd.DataFrame]) -> None:
    names = ("plain20-cifar10", "resnet20-cifar10")
    found = [each for name in names if (each := degradation.norms(name, curves[name], 2)) is not None]
    fig = gradients_by_block(found)
    lines = {trace.name: trace for trace in fig.data if trace.mode == "lines+markers"}
    assert lines["Plain-20"].line.color == PLAIN
    assert lines["ResNet-20"].line.color == IDENTITY
    assert np.allclose(lines["Plain-20"].y, [0.4, 0.8])
    assert fig.layout.meta["finding"].startswith("Plain-20's smallest gradient is 0.5 of its largest")
    with pytest.raises(ValueError, match="no network"):
        gradients_by_block([])


def test_s15_shortcuts_on_photos_are_compared_at_one_depth(
    curves: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert degradation.on_photos(curves) is None
    assert "not trained yet" in view.about_photos(curves)
    cards = {
        "plain18-imagenette": {"train_accuracy": 0.90, "test_accuracy": 0.85},
        "resnet18-imagenette": {"train_accuracy": 0.95, "test_accuracy": 0.875},
    }
    monkeypatch.setattr(degradation, "read_card", cards.__getitem__)
    said = view.about_photos(curves | dict.fromkeys(cards, curve([0.6, 0.4], [0.5, 0.2])))
    assert "classifies 10.0% of the training images and 15.0% of the test images wrong" in said
    assert "the test error is 2.5 points higher" in said


def test_s15_the_shipped_networks_for_photos_are_compared() -> None:
    pair = degradation.on_photos(read_curves(degradation.PHOTOS))
    assert pair is not None
    for run in pair:
        card = json.loads((assets.WEIGHTS_FOLDER / f"{run.name}.json").read_text())
        assert (run.depth, run.epochs) == (18, card["recipe"]["epochs"])
        assert (run.training, run.test) == (1 - card["train_accuracy"], 1 - card["test_accuracy"])
