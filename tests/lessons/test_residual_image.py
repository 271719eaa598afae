"""S2 and S20: the residual image and its sign, and one definition three times, against numpy by hand."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from resnet_viz.analyses.inspection import Inspection
from resnet_viz.engine import wire
from resnet_viz.engine.job_types import JOB_TYPES
from resnet_viz.figures.lessons.residual_image import residual_equation
from resnet_viz.figures.lessons.residual_meaning import residual_meaning
from resnet_viz.figures.theme import IDENTITY, RESIDUAL, SUM
from resnet_viz.lessons.residual_image import residual_image
from resnet_viz.lessons.residual_meaning import MOVED, line


def test_s02_target_minus_input_added_to_the_input_is_the_target(make_image: Callable[..., Image.Image]) -> None:
    found = residual_image(make_image(60, 48), 3)
    target, given = found.problem.target.astype(int), found.problem.upsampled.astype(int)
    assert np.array_equal(found.residual, target - given)
    assert np.array_equal(found.sum, target)
    assert found.error == 0
    assert np.array_equal(found.sum_picture, found.problem.target)
    assert np.array_equal(found.shown, np.rint((target - given) @ [0.299, 0.587, 0.114]))
    # Half a unit in the last place of numbers below 1, for the difference and for the sum.
    assert found.fraction_error <= 2**-23


def test_s02_with_the_other_sign_it_is_twice_the_input_less_the_target(make_image: Callable[..., Image.Image]) -> None:
    found = residual_image(make_image(60, 48), 3, flipped=True)
    target, given = found.problem.target.astype(int), found.problem.upsampled.astype(int)
    assert np.array_equal(found.sum, 2 * given - target)
    assert found.error == 2 * np.abs(target - given).max() > 20
    assert found.fraction_error == pytest.approx(found.error / 255, rel=1e-5)
    assert np.array_equal(found.sum_picture, np.clip(2 * given - target, 0, 255))


def test_s02_the_equation_says_whether_it_holds(make_image: Callable[..., Image.Image]) -> None:
    right, flipped = (residual_image(make_image(60, 48), 2, flipped=sign) for sign in (False, True))
    figure, wrong = residual_equation(right), residual_equation(flipped)
    assert "target − input: added to the input, it gives the target; largest error 0" in figure.layout.title.text
    assert "does not give the target" in wrong.layout.title.text
    assert f"largest error {flipped.error:.0f} of 255" in wrong.layout.title.text
    colours = [figure.layout[axis].linecolor for axis in ("xaxis", "xaxis2", "xaxis3", "xaxis4")]
    assert colours == [SUM, IDENTITY, RESIDUAL, SUM]
    heat = figure.data[2]
    assert heat.zmin == -heat.zmax
    assert np.array_equal(heat.z, right.shown)


def test_s02_it_travels_and_what_cannot_be_done_gets_a_sentence(make_image: Callable[..., Image.Image]) -> None:
    found = residual_image(make_image(60, 48), 2)
    answer = JOB_TYPES["residual image"].answer
    assert np.array_equal(wire.decode(wire.encode(found), answer, 2**22).sum, found.sum)
    with pytest.raises(ValueError, match="not one of 2, 3, 4"):
        residual_image(make_image(60, 48), 7)
    with pytest.raises(ValueError, match="at least 24"):
        residual_image(make_image(60, 12), 2)


@pytest.mark.parametrize("lift", [0.0, 3.5, -5.0])
def test_s20_a_line_s_residuals_are_actual_less_predicted(lift: float) -> None:
    found = line(lift)
    xs, ys = [Fraction(x) for x in found.x], [Fraction(y) for y in found.actual]
    n, sx, sy = len(xs), sum(xs), sum(ys)
    slope = (n * sum(x * y for x, y in zip(xs, ys, strict=True)) - sx * sy) / (n * sum(x * x for x in xs) - sx * sx)
    start = (sy - slope * sx) / n
    for x, y, predicted, residual in zip(xs, ys, found.predicted, found.residual, strict=True):
        assert predicted == pytest.approx(float(start + slope * x), abs=1e-9)
        assert residual == pytest.approx(float(y - start - slope * x), abs=1e-9)
    assert abs(found.residual.sum()) < 1e-9
    assert found.error < 1e-14


def test_s20_one_lifted_point_changes_every_residual() -> None:
    before, after = line(), line(4.0)
    assert np.flatnonzero(before.actual != after.actual).tolist() == [MOVED]
    assert (before.residual != after.residual).all()
    with pytest.raises(ValueError, match="choose a finite number"):
        line(float("nan"))


def test_s20_statistics_picture_and_network_are_one_sum(
    make_image: Callable[..., Image.Image], residual: Inspection, plain: Inspection
) -> None:
    block = residual.blocks[3]
    assert block.identity is not None
    assert block.maps is not None
    assert np.array_equal(block.identity + block.residual, block.sum)
    picture = residual_image(make_image(60, 48), 3)
    figure = residual_meaning(line(2.0), picture, block)
    assert "prediction + residual = actual" in figure.layout.title.text
    texts = " ".join(note.text for note in figure.layout.annotations)
    assert all(word in texts for word in ("In statistics", "In an image", "In a network"))
    assert texts.count("largest error") == 3
    # Each column has one colour in all three rows.
    for axes, colour in ((("", 4, 10), IDENTITY), ((2, 5, 11), RESIDUAL), ((3, 6, 12), SUM)):
        assert {figure.layout[f"xaxis{axis}"].linecolor for axis in axes} == {colour}
    with pytest.raises(ValueError, match="is plain"):
        residual_meaning(line(), picture, plain.blocks[3])
    unequal = replace(picture, error=0.25)
    assert "errors of at most 0.2" in residual_meaning(line(), unequal, block).layout.title.text
