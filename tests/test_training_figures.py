"""Figures of the training and its results: values, order, colours and findings compared with the numbers drawn."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from resnet_viz.figures.gradients.gradient_norms import gradient_norms
from resnet_viz.figures.theme import DARK, IDENTITY, LIGHT, PLAIN, Theme
from resnet_viz.figures.training.confusion import class_accuracy, confusion
from resnet_viz.figures.training.training_curves import LABEL_PIXELS, training_curves
from resnet_viz.nets.curves import read_curve
from resnet_viz.training.trainer import Epoch, write_curve

# Last errors on training and on test images.
ENDS = {
    "resnet20-cifar10": (0.091, 0.134),
    "resnet20b-cifar10": (0.090, 0.130),
    "resnet56-cifar10": (0.041, 0.110),
    "plain20-cifar10": (0.105, 0.142),
    "plain56-cifar10": (0.140, 0.165),
}
COUNTS = np.array([[8, 1, 1], [4, 5, 1], [0, 0, 20]])
LABELS = ["cat", "dog", "ship"]


def made(name: str, folder: Path, norms: tuple[float, ...] = (0.5, 0.25, 0.75)) -> pd.DataFrame:
    """A curve of three epochs, through the file that the trainer writes."""
    train, test = ENDS[name]
    by_block = dict(zip(("layer1.0", "layer2.0", "layer3.0"), norms, strict=True))
    rows = [
        Epoch(n, 1.0, train * 4 / n, 1.0, test * 4 / n, 0.1, 9.0, {b: v / n for b, v in by_block.items()}) for n in (1, 2, 4)
    ]
    write_curve(rows, folder / f"{name}.csv")
    return read_curve(name)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("resnet_viz.assets.CURVES_FOLDER", tmp_path)
    return tmp_path


@pytest.fixture
def family(folder: Path) -> dict[str, pd.DataFrame]:
    return {name: made(name, folder) for name in ENDS}


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_every_figure_carries_finding_reading_aid_and_alt(theme: Theme, family: dict[str, pd.DataFrame]) -> None:
    name = "plain56-cifar10"
    drawn = [
        training_curves(family, name, theme),
        training_curves({name: family[name]}, name, theme),
        gradient_norms(family[name], "Plain-56", theme),
        class_accuracy(COUNTS, LABELS, theme),
        confusion(COUNTS, LABELS, theme),
    ]
    for figure in drawn:
        meta = figure.layout.meta
        assert figure.layout.title.text == meta["finding"]
        assert len(meta["how_to_read"]) > 15
        assert meta["finding"] in meta["alt"]
        assert figure.layout.font.color == theme.text


def line(figure: go.Figure, title: str, dash: str) -> Any:
    return next(trace for trace in figure.data if trace.name == title and trace.line.dash == dash)


class TestTrainingCurves:
    def test_draws_training_dashed_and_test_solid_in_a_panel_each(self, family: dict[str, pd.DataFrame]) -> None:
        figure = training_curves(family, "plain56-cifar10")
        assert len(figure.data) == 2 * len(ENDS)
        for dash, column, axis in (("dash", "train_error", "x"), ("solid", "test_error", "x2")):
            trace = line(figure, "ResNet-56", dash)
            assert trace.xaxis == axis
            assert list(trace.x) == [1, 2, 4]
            assert list(trace.y) == family["resnet56-cifar10"][column].tolist()
        assert figure.layout.yaxis.type == figure.layout.yaxis2.type == "log"
        assert figure.layout.yaxis2.matches == "y"

    def test_colour_says_plain_width_says_deep_and_strength_says_chosen(self, family: dict[str, pd.DataFrame]) -> None:
        figure = training_curves(family, "resnet20-cifar10")
        for trace in figure.data:
            assert trace.line.color == (PLAIN if "Plain" in trace.name else IDENTITY)
            assert (trace.line.width > 3) == ("56" in trace.name)
            assert (trace.opacity == 1) == (trace.name == "ResNet-20")
        assert [trace.name for trace in figure.data][len(ENDS) - 1 :: len(ENDS)] == ["ResNet-20", "ResNet-20"]

    def test_every_line_is_named_at_its_end_and_no_name_covers_another(self, family: dict[str, pd.DataFrame]) -> None:
        figure = training_curves(family, "plain56-cifar10")
        height = figure.layout.height - figure.layout.margin.t - figure.layout.margin.b
        low, high = figure.layout.yaxis.range
        for axis, end in (("x", 0), ("x2", 1)):
            labels = [a for a in figure.layout.annotations if a.showarrow and a.xref == axis]
            assert len(labels) == len(ENDS)
            for label, errors in zip(labels, sorted(ENDS.values(), key=lambda errors: errors[end]), strict=True):
                assert label.x == 4
                assert 10**label.y == pytest.approx(errors[end], rel=1e-4)
                assert f"{errors[end]:.1%}" in label.text
            places = [(label.y - low) / (high - low) * height - label.ay for label in labels]
            assert all(upper - lower > LABEL_PIXELS - 1e-6 for lower, upper in pairwise(places))
        bold = {a.text for a in figure.layout.annotations if a.showarrow and "<b>" in a.text}
        assert bold == {"<b>Plain-56 14.0%</b>", "<b>Plain-56 16.5%</b>"}

    @pytest.mark.parametrize(
        ("chosen", "others", "finding"),
        [
            ("plain56", "plain20 resnet56", "Plain-56 ends with more training error than Plain-20: 14.0% compared with 10.5%"),
            ("plain20", "plain56 resnet20", "Plain-56 ends with more training error than Plain-20: 14.0% compared with 10.5%"),
            ("resnet20", "resnet56 plain20", "ResNet-56 ends with less training error than ResNet-20: 4.1% compared with 9.1%"),
            ("resnet20", "resnet20b plain20", "ResNet-20 ends with less test error than Plain-20: 13.4% compared with 14.2%"),
            ("resnet20b", "resnet20", "ResNet-20 B ends with less test error than ResNet-20: 13.0% compared with 13.4%"),
            ("resnet56", "plain20", "ResNet-56 ends with an error of 4.1% on training images and 11.0% on test images"),
            ("resnet20", "", "ResNet-20 ends with an error of 9.1% on training images and 13.4% on test images"),
        ],
    )
    def test_finding(self, chosen: str, others: str, finding: str, family: dict[str, pd.DataFrame]) -> None:
        some = {f"{name}-cifar10": family[f"{name}-cifar10"] for name in (*others.split(), chosen)}
        assert training_curves(some, f"{chosen}-cifar10").layout.meta["finding"] == finding

    def test_finding_of_a_tie(self, family: dict[str, pd.DataFrame]) -> None:
        same = dict.fromkeys(("plain20-cifar10", "plain56-cifar10"), family["plain20-cifar10"])
        finding = training_curves(same, "plain20-cifar10").layout.meta["finding"]
        assert finding == "Plain-56 ends with as much training error as Plain-20: 10.5% compared with 10.5%"

    def test_networks_of_other_data_are_not_compared(self, family: dict[str, pd.DataFrame]) -> None:
        photos = {"resnet18-imagenette": family["plain20-cifar10"]}
        figure = training_curves(family | photos, "resnet18-imagenette")
        assert {trace.name for trace in figure.data} == {"ResNet-18 Imagenette"}
        assert "ends with an error of 10.5%" in figure.layout.meta["finding"]
        # The card of the same network states another accuracy, at another size.
        assert "measured at 192×192 pixels" in figure.layout.meta["how_to_read"]
        assert "ResNet-18" not in training_curves(family | photos, "plain20-cifar10").to_json()

    def test_an_error_of_zero_stays_on_the_chart(self, family: dict[str, pd.DataFrame]) -> None:
        curve = family["resnet20-cifar10"].assign(train_error=[0.5, 0.1, 0.0])
        figure = training_curves({"resnet20-cifar10": curve}, "resnet20-cifar10")
        low, _ = figure.layout.yaxis.range
        assert low > -5
        assert all(np.isfinite(a.y) for a in figure.layout.annotations)

    def test_without_a_curve_of_the_chosen_network(self, family: dict[str, pd.DataFrame]) -> None:
        with pytest.raises(ValueError, match=r"no curve of 'resnet110-cifar10': there are resnet20-cifar10, "):
            training_curves(family, "resnet110-cifar10")


class TestGradientNorms:
    def test_shows_every_block_and_epoch_on_a_log_scale(self, folder: Path) -> None:
        figure = gradient_norms(made("resnet20-cifar10", folder, (0.5, 0.25, 0.75)), "ResNet-20")
        (heatmap,) = figure.data
        assert list(heatmap.y) == ["1.0", "2.0", "3.0"]
        assert figure.layout.yaxis.autorange == "reversed"
        assert list(heatmap.x) == [1, 2, 4]
        expected = np.array([[0.5], [0.25], [0.75]]) / [1, 2, 4]
        np.testing.assert_allclose(heatmap.z, np.log10(expected), rtol=1e-4)
        np.testing.assert_allclose(heatmap.customdata, expected, rtol=1e-4)
        np.testing.assert_allclose(
            [float(text) for text in heatmap.colorbar.ticktext], 10**heatmap.colorbar.tickvals, rtol=0.06
        )
        assert figure.layout.meta["finding"] == "No block's gradient vanishes: at the end block 1.0 has 0.12 and block 3.0 0.19"

    @pytest.mark.parametrize(
        ("smallest", "finding"),
        [
            (0.001, "No block's gradient vanishes: at the end block 1.0 has 0.00025 and block 3.0 0.19"),
            (0.0007, "The gradient of block 1.0 vanishes in epoch 1: 7.0e-04"),
            (0.0, "The gradient of block 1.0 vanishes in epoch 1: 0.0e+00"),
        ],
    )
    def test_says_when_a_gradient_vanishes(self, smallest: float, finding: str, folder: Path) -> None:
        figure = gradient_norms(made("plain56-cifar10", folder, (smallest, 0.25, 0.75)), "Plain-56")
        assert figure.layout.meta["finding"] == finding
        assert np.isfinite(figure.data[0].z).all()

    def test_without_norms(self, family: dict[str, pd.DataFrame]) -> None:
        bare = family["plain20-cifar10"][["epoch", "train_error", "test_error"]]
        with pytest.raises(ValueError, match="the curve of Plain-20 has no gradient norms"):
            gradient_norms(bare, "Plain-20")


class TestConfusion:
    def test_class_accuracy_by_hand(self) -> None:
        figure = class_accuracy(COUNTS, LABELS)
        assert list(figure.data[0].y) == ["ship", "cat", "dog"]
        assert list(figure.data[0].x) == pytest.approx([100, 80, 50])
        assert list(figure.data[0].text) == ["100.0%", "80.0%", "50.0%"]
        assert figure.layout.meta["finding"] == "dog has the lowest accuracy: 50.0%"

    def test_mistakes_are_coloured_and_what_is_right_is_not(self) -> None:
        figure = confusion(COUNTS, LABELS)
        np.testing.assert_array_equal(figure.data[0].z, [[np.nan, 1, 1], [4, np.nan, 1], [0, 0, np.nan]])
        assert figure.layout.yaxis.autorange == "reversed"
        numbers = figure.data[1]
        texts = {(y, x): text for y, x, text in zip(numbers.y, numbers.x, numbers.text, strict=True)}
        assert texts["dog", "cat"] == "4"
        assert texts["ship", "cat"] == ""
        assert texts["ship", "ship"] == "<b>20</b>"
        assert figure.layout.meta["finding"] == "The most frequent mistake is dog predicted as cat: 4 of 10 images"
