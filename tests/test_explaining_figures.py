"""The figures of gradients and attributions: what they draw is the result, and their titles say what the numbers say."""

import base64
import io
from collections.abc import Callable

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

import resnet_viz as rv
from resnet_viz import figures
from resnet_viz.analyses.trust import PerturbationCurve, Randomised, perturbation
from resnet_viz.figures.attribution_map import overlay, scale_of
from resnet_viz.figures.theme import DARK, GRADIENT, IDENTITY, LIGHT, RESIDUAL, Theme

MakeImage = Callable[..., Image.Image]


@pytest.fixture(scope="module")
def net(make_cifar: Callable[..., rv.Net]) -> rv.Net:
    return make_cifar("A", depth=14)


@pytest.fixture(scope="module")
def twin(make_cifar: Callable[..., rv.Net]) -> rv.Net:
    return make_cifar("plain", depth=14)


def every_figure(net: rv.Net, image: Image.Image, theme: Theme) -> dict[str, go.Figure]:
    attribution = rv.attribute(net, image, steps=4)
    gradients = rv.gradients(net, image)
    return {
        "attribution map": figures.attribution_map(attribution, theme=theme),
        "gallery": figures.attribution_gallery([attribution, rv.attribute(net, image, "saliency")], theme),
        "gallery of one": figures.attribution_gallery([attribution], theme),
        "strip": figures.cam_strip(rv.inspect(net, image), "layer2.0", theme),
        "gradient flow": figures.gradient_flow(gradients, gradients, "layer1.1", theme),
        "parameter gradients": figures.parameter_gradients(gradients, theme),
        "conductance": figures.conductance_bars(rv.conductance(net, image, steps=4), theme),
        "perturbation": figures.perturbation_curves(perturbation(net, image, attribution, steps=4), "cat", theme),
        "randomisation": figures.randomisation_steps(Randomised(("head", "layer1.0"), (0.5, 0.1)), theme),
    }


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize("kind", ["residual", "plain"])
def test_every_figure_carries_finding_reading_aid_and_alt(
    net: rv.Net, twin: rv.Net, make_image: MakeImage, kind: str, theme: Theme
) -> None:
    for name, figure in every_figure(net if kind == "residual" else twin, make_image(), theme).items():
        meta = figure.layout.meta
        assert len(meta["finding"]) > 10, name
        assert len(meta["how_to_read"]) > 10, name
        assert meta["finding"] in meta["alt"], name
        assert figure.layout.title.text == meta["finding"], name
        assert "nan" not in meta["alt"].lower(), name


def test_the_heatmap_is_the_map_on_limits_around_zero(net: rv.Net, make_image: MakeImage) -> None:
    attribution = rv.attribute(net, make_image(), steps=4)
    heatmap = figures.attribution_map(attribution).data[1]
    np.testing.assert_array_equal(np.asarray(heatmap.z), attribution.map)
    assert heatmap.zmin == -heatmap.zmax
    assert heatmap.zmax == pytest.approx(np.percentile(np.abs(attribution.map), 99.5))
    assert figures.attribution_map(attribution, 7.0).data[1].zmax == 7.0


def test_compared_maps_share_the_larger_scale(net: rv.Net, make_image: MakeImage) -> None:
    one, other = (rv.attribute(net, make_image(), "saliency", target) for target in (1, 2))
    assert scale_of(one, other) == max(scale_of(one), scale_of(other))


def test_the_overlay_colours_what_speaks_for_the_class_alone(net: rv.Net, make_image: MakeImage) -> None:
    attribution = rv.attribute(net, make_image(), "input_x_gradient")
    pixels = np.asarray(overlay(attribution, scale_of(attribution))).astype(int)
    grey = pixels.max(-1) - pixels.min(-1) <= 1
    np.testing.assert_array_equal(grey[attribution.map <= 0], True)  # noqa: FBT003 - compared with every entry
    assert not grey[attribution.map > scale_of(attribution) / 4].any()


def test_half_of_the_evidence_is_counted(net: rv.Net, make_image: MakeImage) -> None:
    attribution = rv.attribute(net, make_image(), "saliency")
    positive = np.sort(np.clip(attribution.map, 0, None).ravel())[::-1]
    count = next(n for n in range(1, positive.size) if positive[:n].sum() >= positive.sum() / 2)
    assert f"in {count / positive.size:.1%} of the pixels" in figures.attribution_map(attribution).layout.meta["finding"]


def test_the_flow_draws_the_three_norms_in_their_colours(net: rv.Net, make_image: MakeImage) -> None:
    gradients = rv.gradients(net, make_image())
    lines = {line.line.color: list(line.y) for line in figures.gradient_flow(gradients).data}
    assert lines[GRADIENT] == [block.total for block in gradients.blocks]
    assert lines[IDENTITY] == [block.shortcut for block in gradients.blocks]
    assert lines[RESIDUAL] == [block.branch for block in gradients.blocks]


def test_random_weights_are_named_where_they_stand_beside(net: rv.Net, twin: rv.Net, make_image: MakeImage) -> None:
    image = make_image()
    figure = figures.gradient_flow(rv.gradients(net, image), rv.gradients(twin, image))
    assert "(random weights)" in figure.layout.meta["finding"]


def test_parameter_bars_are_root_mean_squares(net: rv.Net, make_image: MakeImage) -> None:
    gradients = rv.gradients(net, make_image())
    drawn = {name: y for bar in figures.parameter_gradients(gradients).data for name, y in zip(bar.text, bar.y, strict=True)}
    assert len(drawn) == len(gradients.parameters)
    row = gradients.parameters.query("block == 'layer2.0' and parameter == 'conv1.weight'").iloc[0]
    assert drawn["2.0 conv1.weight"] == pytest.approx(row["norm"] / row["size"] ** 0.5)


def test_a_stack_is_the_total_at_the_output(net: rv.Net, make_image: MakeImage) -> None:
    conductance = rv.conductance(net, make_image(), steps=4)
    *stacks, rings = figures.conductance_bars(conductance).data
    assert [stack.marker.color for stack in stacks[:2]] == [IDENTITY, RESIDUAL]
    np.testing.assert_allclose(np.sum([stack.y for stack in stacks], 0), rings.y, atol=1e-5)
    np.testing.assert_allclose(rings.y, [block.total.sum() for block in conductance.blocks], atol=1e-4)


def test_the_strip_has_a_tile_a_block_to_click(net: rv.Net, make_image: MakeImage) -> None:
    inspected = rv.inspect(net, make_image())
    figure = figures.cam_strip(inspected)
    assert list(figure.data[0].customdata) == [block.name for block in inspected.blocks]
    sheet = Image.open(io.BytesIO(base64.b64decode(figure.layout.images[0].source.split(",")[1])))
    assert sheet.size == (figure.layout.width, figure.layout.height - 44)


def test_the_area_is_the_mean_of_a_straight_line() -> None:
    shares = np.linspace(0, 1, 5).astype(np.float32)
    assert PerturbationCurve(shares, 1 - shares).area == pytest.approx(0.5)
