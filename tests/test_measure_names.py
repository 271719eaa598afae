"""A measure that is shown in two places has one value and one name there; blocks have one name on screen."""

import json
import math
import re
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

import resnet_viz as rv
from resnet_viz.analyses.ablation import AblationSweep, sweep
from resnet_viz.figures.block.block_equation import terms_of
from resnet_viz.figures.block.map_measures import STYLES, map_values, measures_for, name_of
from resnet_viz.figures.block.removal_words import which_matters_most
from resnet_viz.figures.log_axis import log_axis

MakeImage = Callable[..., Image.Image]
SIGNED_RED_OR_BLUE = re.compile(r"rgb\((\d+), (\d+), (\d+)\)")


@pytest.fixture(scope="module")
def net(make_cifar: Callable[..., rv.Net]) -> rv.Net:
    return make_cifar("A", depth=14)


@pytest.fixture(scope="module")
def swept(net: rv.Net, make_image: MakeImage) -> AblationSweep:
    return sweep(net, make_image())


@pytest.fixture(scope="module")
def inspected(net: rv.Net, make_image: MakeImage, swept: AblationSweep) -> rv.Inspection:
    return swept.added_to(rv.inspect(net, make_image()))


def test_the_map_the_table_the_file_and_the_comparison_agree(inspected: rv.Inspection) -> None:
    table, compared = inspected.table(), rv.compare(inspected, inspected).table()
    written = table.to_csv()
    for measure in measures_for(inspected):
        column = STYLES[measure].column
        np.testing.assert_array_equal(map_values(inspected, measure), table[column])
        np.testing.assert_array_equal(compared[f"{column}_left"], table[column])
        assert f",{column}" in written.splitlines()[0]
        figure = rv.figures.block_map(inspected, measure)
        shown = STYLES[measure].template.format(table[column].iloc[0])
        assert f"{name_of(measure)}: {shown}" in figure.data[-1].text[0]
        assert name_of(measure) == rv.MEANINGS[column].symbol


def test_the_two_parts_of_the_gradient_have_two_names_and_add_up(
    net: rv.Net, make_image: MakeImage, inspected: rv.Inspection
) -> None:
    table, gradients = inspected.table(), rv.gradients(net, make_image()).table()
    assert rv.MEANINGS["shortcut_share"].symbol == "gradient through the shortcut"
    assert rv.MEANINGS["residual_share"].symbol == name_of("gradient") == "gradient through F"
    np.testing.assert_allclose(table["shortcut_share"] + table["residual_share"], 1)
    both = [column for column in gradients.columns if column in table and column not in ("stage", "shortcut")]
    assert both == ["grad_identity_norm", "grad_residual_norm", "grad_input_norm", "shortcut_share", "residual_share"]
    for column in both:
        np.testing.assert_allclose(gradients[column], table[column], rtol=1e-5)


def test_what_is_lost_without_a_block_is_in_the_table_once_it_was_measured(
    net: rv.Net, make_image: MakeImage, swept: AblationSweep, inspected: rv.Inspection
) -> None:
    alone = rv.inspect(net, make_image())
    assert "ablation" not in measures_for(alone)
    assert alone.table()[["logit_drop", "probability_drop"]].isna().all(axis=None)
    for column in ("logit_drop", "probability_drop"):
        np.testing.assert_array_equal(inspected.table()[column], swept.table()[column])
    with pytest.raises(ValueError, match="Use the same network and class"):
        swept.added_to(rv.inspect(net, make_image(), (swept.target + 1) % 10))


def test_the_map_of_what_is_lost_names_the_class_and_shows_the_sign(
    net: rv.Net, make_image: MakeImage, inspected: rv.Inspection
) -> None:
    target = inspected.predictions[4]
    image = make_image()
    other = sweep(net, image, target.index).added_to(rv.inspect(net, image, target.index))
    figure = rv.figures.block_map(other, "ablation")
    assert target.label in figure.layout.meta["finding"]
    ends = [note.text for note in figure.layout.annotations if f"{target.probability:.0%}" in note.text]
    assert any(target.label in text for text in ends)
    drops = other.table()["logit_drop"].tolist()
    arcs = [shape.line.color for shape in figure.layout.shapes if (shape.path or "").count("C") == 1]
    for drop, colour in zip(drops, arcs, strict=True):
        red, _, blue = map(int, SIGNED_RED_OR_BLUE.match(colour).groups())  # type: ignore[union-attr]  # else it fails
        assert (red > blue) == (drop > 0)


def test_the_sentence_says_which_block_matters_most_by_both_measures(swept: AblationSweep) -> None:
    table = swept.table()
    by_logit, by_probability = (str(table[column].idxmax())[5:] for column in ("logit_drop", "probability_drop"))
    said = which_matters_most(swept)
    assert f"lock {by_logit} matters most to {swept.target_label}" in said
    assert f"{swept.probability:.1%} to {table['probability'].loc[f'layer{by_probability}']:.1%}" in said
    assert ("rankings differ because the softmax" in said) == (by_logit != by_probability)


def test_a_plain_block_has_no_residual(plain: rv.Inspection) -> None:
    drawn = [rv.figures.block_equation(plain.blocks[0]), rv.figures.channel_map(plain.blocks[0], "residual", 0)]
    drawn += [rv.figures.block_map(plain)]
    assert terms_of(plain.blocks[0])[0] == "residual"
    for figure in drawn:
        assert "layers' output F(x)" in figure.to_json().replace("\\u0027", "'")
        assert "residual F(x)" not in figure.to_json()


def test_blocks_have_one_name_in_every_figure(inspected: rv.Inspection, net: rv.Net, make_image: MakeImage) -> None:
    gradients = rv.gradients(net, make_image())
    figures = [
        *(rv.figures.block_map(inspected, measure, "layer2.0") for measure in measures_for(inspected)),
        rv.figures.measures_by_depth(inspected, "layer2.0"),
        rv.figures.block_equation(inspected.blocks[0]),
        rv.figures.cam_strip(inspected),
        rv.figures.gradient_flow(gradients, gradients, "layer2.0"),
        rv.figures.parameter_gradients(gradients),
        rv.figures.comparison_by_depth(rv.compare(inspected, inspected)),
    ]
    for figure in figures:
        tree = json.loads(figure.to_json())
        for trace in tree["data"]:
            # What a click answers with, which nobody reads unless a hover text shows it.
            if "customdata" not in trace.get("hovertemplate", ""):
                trace.pop("customdata", None)
        assert not re.search(r"layer\d", json.dumps(tree)), figure.layout.meta["finding"]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.02, 0.4], ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]),
        ([30, 4000], ["10", "20", "50", "100", "200", "500", "1,000", "2,000", "5,000", "10,000"]),
        ([1e-6, 1e-2], ["10<sup>-6</sup>", "10<sup>-5</sup>", "10<sup>-4</sup>", "0.001", "0.01"]),
    ],
)
def test_a_log_axis_has_whole_numbers_for_labels(values: list[float], labels: list[str]) -> None:
    axis = log_axis([*values, math.nan, 0.0])
    assert set(labels) <= set(axis["ticktext"])
    assert not {"2", "5"} & set(axis["ticktext"][:-2])
    assert axis["tickvals"][0] <= values[0]
    assert axis["tickvals"][-1] >= values[-1]


def test_an_axis_without_a_value_above_0_is_still_one() -> None:
    assert log_axis([0.0, math.nan]) == {"type": "log"}
