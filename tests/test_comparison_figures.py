"""The figures of a comparison: one scale for both sides, lines that are the tables' numbers, and titles that count."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest

import resnet_viz as rv
from resnet_viz.figures.block.block_map import block_map
from resnet_viz.figures.block.comparison_by_depth import comparison_by_depth
from resnet_viz.figures.block.comparison_equation import comparison_equation
from resnet_viz.figures.block.map_measures import STYLES, arc_scale, measures_for, value_of
from resnet_viz.figures.theme import DARK, LIGHT, PLAIN, RESIDUAL, Theme


@pytest.fixture(scope="module")
def deep(inspect_noise: Callable[..., rv.Inspection]) -> rv.Inspection:
    return inspect_noise("resnet56-cifar10")


def strokes(figure: go.Figure, colour: str) -> list[float]:
    return [shape.line.width for shape in figure.layout.shapes if shape.type == "path" and shape.line.color == colour]


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_figures_carry_finding_reading_aid_and_alt(plain: rv.Inspection, residual: rv.Inspection, theme: Theme) -> None:
    block = residual.blocks[3]
    for figure in (
        comparison_by_depth(rv.compare(plain, residual), selected="layer2.0", theme=theme),
        comparison_equation(block, plain.blocks[3], theme),
    ):
        meta = figure.layout.meta
        assert figure.layout.title.text == meta["finding"]
        assert meta["finding"] in meta["alt"]
        assert len(meta["how_to_read"]) > 15
        assert figure.layout.font.color == theme.text


class TestArcScale:
    def test_only_what_both_sides_have_is_offered(self, plain: rv.Inspection, residual: rv.Inspection) -> None:
        assert measures_for(residual, plain) == measures_for(plain, residual) == ("response_std", "cam_mass")
        assert len(measures_for(residual, residual)) == 5

    def test_the_largest_of_both_sides_has_the_widest_arc(self, plain: rv.Inspection, residual: rv.Inspection) -> None:
        scale = arc_scale("response_std", plain, residual)
        values = [r.table()["response_std"].to_numpy() for r in (plain, residual)]
        assert scale.largest == max(column.max() for column in values)
        widths = [
            strokes(block_map(r, "response_std", scale=scale), colour) for r, colour in ((plain, PLAIN), (residual, RESIDUAL))
        ]
        for column, drawn in zip(values, widths, strict=True):
            np.testing.assert_allclose(drawn, 2.5 + scale.pixels * column / scale.largest)

    def test_networks_of_different_depth_share_the_stroke(self, residual: rv.Inspection, deep: rv.Inspection) -> None:
        scale = arc_scale("ratio", residual, deep)
        widest = max(*strokes(block_map(residual, scale=scale), RESIDUAL), *strokes(block_map(deep, scale=scale), RESIDUAL))
        assert widest == pytest.approx(2.5 + scale.pixels)
        assert scale == arc_scale("ratio", deep, residual)

    def test_a_map_alone_keeps_its_own_scale(self, residual: rv.Inspection) -> None:
        own = arc_scale("ratio", residual)
        assert block_map(residual).to_json() == block_map(residual, scale=own).to_json()

    def test_the_same_block_stands_above_its_partner(self, plain: rv.Inspection, residual: rv.Inspection) -> None:
        above, below = block_map(plain), block_map(residual)
        assert above.layout.width == below.layout.width
        assert above.data[-1].x == below.data[-1].x


class TestComparisonByDepth:
    def test_lines_are_the_tables_columns_on_one_axis(self, plain: rv.Inspection, residual: rv.Inspection) -> None:
        result = rv.compare(plain, residual)
        left, right = comparison_by_depth(result).data
        np.testing.assert_array_equal(left.y, result.table()["response_std_left"])
        np.testing.assert_array_equal(right.y, result.table()["response_std_right"])
        assert left.x == right.x == tuple(name.removeprefix("layer") for name in result.table().index)

    def test_plain_is_grey_and_residual_has_its_colour(self, plain: rv.Inspection, residual: rv.Inspection) -> None:
        left, right = comparison_by_depth(rv.compare(plain, residual)).data
        assert (left.line.color, right.line.color) == (PLAIN, RESIDUAL)
        assert left.line.dash == right.line.dash == "solid" or left.line.dash is None

    def test_two_of_a_kind_differ_by_dash_mark_and_label(self, residual: rv.Inspection, deep: rv.Inspection) -> None:
        figure = comparison_by_depth(rv.compare(residual, deep), "cam_mass")
        left, right = figure.data
        assert left.line.color == right.line.color == STYLES["cam_mass"].colour
        assert left.line.dash != right.line.dash
        assert left.marker.symbol != right.marker.symbol
        assert [label.text for label in figure.layout.annotations] == ["untrained ResNet-20", "untrained ResNet-56"]

    def test_different_depths_share_the_axis_of_relative_depth(self, residual: rv.Inspection, deep: rv.Inspection) -> None:
        left, right = comparison_by_depth(rv.compare(residual, deep)).data
        assert (len(left.x), len(right.x)) == (9, 27)
        assert (left.x[0], right.x[0]) == pytest.approx((0.5 / 9, 0.5 / 27))
        # The middle block of the first is as deep as the middle one of the second.
        assert left.x[4] == pytest.approx(right.x[13]) == pytest.approx(0.5)

    @pytest.mark.parametrize("measure", ["ratio", "cosine", "gradient", "cam_mass", "response_std"])
    def test_the_finding_counts(
        self, residual: rv.Inspection, measure: str, inspect_noise: Callable[..., rv.Inspection]
    ) -> None:
        result = rv.compare(residual, inspect_noise("resnet20-cifar10", seed=4))
        pairs = zip(result.left.blocks, result.right.blocks, strict=True)
        more = sum(value_of(left, measure) > value_of(right, measure) for left, right in pairs)  # type: ignore[arg-type]  # from the list above
        finding = comparison_by_depth(result, measure).layout.meta["finding"]  # type: ignore[arg-type]  # from the list above
        larger = "the left image than for the right" if more >= 5 else "the right image than for the left"
        assert finding.endswith(f"is larger for {larger} image in {max(more, 9 - more)} of 9 blocks")

    def test_the_same_twice_says_so(self, residual: rv.Inspection) -> None:
        finding = comparison_by_depth(rv.compare(residual, residual)).layout.meta["finding"]
        assert finding == "|F| / |x| is the same on both sides in all 9 blocks"

    def test_the_open_pair_is_ringed_on_both_lines(self, residual: rv.Inspection, deep: rv.Inspection) -> None:
        left, right, rings = comparison_by_depth(rv.compare(residual, deep), selected="layer2.4").data
        assert rings.x == (left.x[4], right.x[13])
        assert rings.y == (left.y[4], right.y[13])

    def test_labels_keep_apart_where_lines_end_together(self, residual: rv.Inspection) -> None:
        labels = comparison_by_depth(rv.compare(residual, residual)).layout.annotations
        assert labels[0].yshift - labels[1].yshift >= 18

    def test_a_gap_where_a_block_has_no_value(self, residual: rv.Inspection) -> None:
        last = residual.blocks[-1]
        silent = replace(last, measures=replace(last.measures, cosine=float("nan")))
        result = rv.compare(residual, replace(residual, blocks=(*residual.blocks[:-1], silent)))
        figure = comparison_by_depth(result, "cosine")
        assert all(np.isfinite(label.y) for label in figure.layout.annotations)
        assert np.isfinite(figure.layout.yaxis.range).all()

    def test_an_impossible_measure_is_refused(self, plain: rv.Inspection, residual: rv.Inspection) -> None:
        with pytest.raises(ValueError, match="response_std, cam_mass"):
            comparison_by_depth(rv.compare(residual, plain), "cosine")


class TestComparisonEquation:
    def test_both_sides_have_the_limits_of_the_larger(self, plain: rv.Inspection, residual: rv.Inspection) -> None:
        left, right = plain.blocks[5], residual.blocks[5]
        figures = comparison_equation(left, right), comparison_equation(right, left)
        largest = max(float(np.abs(trace.z).max()) for figure in figures for trace in figure.data)
        for figure in figures:
            axis = figure.layout.coloraxis
            assert -axis.cmin == axis.cmax == pytest.approx(largest)
            assert f"±{largest:.3g}" in figure.layout.meta["how_to_read"]
            assert figure.layout.coloraxis.showscale

    def test_pictures_are_those_of_the_block(self, residual: rv.Inspection) -> None:
        block = residual.blocks[2]
        figure = comparison_equation(block, residual.blocks[3])
        np.testing.assert_array_equal(figure.data[1].z, block.residual.mean(0))
