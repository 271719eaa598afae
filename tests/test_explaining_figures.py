"""The figures of gradients and attributions: they draw the result, and their titles agree with the numbers."""

import base64
import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

import resnet_viz as rv
from resnet_viz import figures
from resnet_viz.analyses.methods import UNITS
from resnet_viz.analyses.trust import Perturbation, PerturbationCurve, Randomised, perturbation
from resnet_viz.figures.attribution.attribution_map import attribution_so_far, cam_places, drawn, scale_of
from resnet_viz.figures.attribution.backdrop import greyed
from resnet_viz.figures.attribution.cam_strip import DENSITY
from resnet_viz.figures.attribution.overlay import MOST, Cells, tint
from resnet_viz.figures.block.block_equation import Scale
from resnet_viz.figures.theme import DARK, GRADIENT, IDENTITY, LIGHT, RESIDUAL, Theme

MakeImage = Callable[..., Image.Image]
METHODS = ("saliency", "grad_cam")


@pytest.fixture(scope="module")
def net(make_cifar: Callable[..., rv.Net]) -> rv.Net:
    return make_cifar("A", depth=14)


@pytest.fixture(scope="module")
def twin(make_cifar: Callable[..., rv.Net]) -> rv.Net:
    return make_cifar("plain", depth=14)


def places(net: rv.Net, image: Image.Image, block: str = "layer2.0") -> list[rv.Attribution]:
    """Grad-CAM at every place of a block."""
    names = ("residual", "output") if net.blocks[block].shortcut_kind == "none" else ("shortcut", "residual", "output")
    return [rv.attribute(net, image, "grad_cam", 1, block=block, place=place) for place in names]


def decoded(source: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))).convert("RGB")


def strength(picture: Image.Image) -> np.ndarray:
    """How much tint there is in each pixel, 0 to 1: grey has as much red as blue, vermillion #D55E00 has 213 and 0."""
    pixels = np.asarray(picture, np.float32)
    found: np.ndarray = (pixels[..., 0] - pixels[..., 2]) / 213
    return found


# JPEG is not exact: it may be so far off in single pixels.
LOSS = 0.2


def tiles(inspected: rv.Inspection, scale: Scale, cells: Cells = "smooth") -> list[np.ndarray]:
    """The strength of each block's tile."""
    layers = figures.cam_strip(inspected, scale=scale, cells=cells).layout.images
    return [strength(decoded(layer.source)) for layer in layers]


def large(cam: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(cam).resize((side, side), Image.Resampling.BILINEAR))


def every_figure(net: rv.Net, image: Image.Image, theme: Theme) -> dict[str, go.Figure]:
    attribution = rv.attribute(net, image, steps=4)
    gradients = rv.gradients(net, image)
    return {
        "attribution map": figures.attribution_map(attribution, theme=theme),
        "gallery": figures.attribution_gallery([attribution, rv.attribute(net, image, "saliency")], theme),
        "gallery of one": figures.attribution_gallery([attribution], theme),
        "places": cam_places(places(net, image), theme),
        "strip on many scales": figures.cam_strip(rv.inspect(net, image), "layer2.0", theme, scale="each"),
        "strip": figures.cam_strip(rv.inspect(net, image), "layer2.0", theme),
        "gradient flow": figures.gradient_flow(gradients, gradients, "layer1.1", theme),
        "parameter gradients": figures.parameter_gradients(gradients, theme),
        "conductance": figures.conductance_bars(rv.conductance(net, image, steps=4), theme),
        "perturbation": figures.perturbation_curves(perturbation(net, image, attribution, steps=4), "cat", theme),
        "randomisation": figures.randomisation_steps(Randomised(("head", "layer1.0"), (0.5, 0.1), constant=False), theme),
    }


def draws_something(figure: go.Figure) -> bool:
    """Whether there is an image, or a trace with numbers that are not all the same; a figure without traces has neither."""
    pictures = [trace.source for trace in figure.data if trace.type == "image"] + [each.source for each in figure.layout.images]
    if any(np.asarray(decoded(source)).std() > 0 for source in pictures):
        return True
    values = [trace.z if trace.type == "heatmap" else trace.y for trace in figure.data if trace.type != "image"]
    return any(np.nanstd(np.asarray(each, float)) > 0 for each in values if each is not None and len(each))


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
        assert draws_something(figure), name


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


def test_the_overlay_is_the_map_from_0_up(net: rv.Net, make_image: MakeImage) -> None:
    attribution = rv.attribute(net, make_image(), "input_x_gradient")
    over, signed = figures.attribution_map(attribution).data
    assert np.array_equal(over.z, signed.z)
    assert over.zmin == 0
    # No colour at 0 and below, and the photo is seen through the strongest one.
    assert [stop[1].rsplit(",", 1)[1] for stop in over.colorscale] == ["0)", "0.9)"]


def test_the_map_so_far_colours_what_is_positive_alone(net: rv.Net, make_image: MakeImage) -> None:
    attribution = rv.attribute(net, make_image(), "input_x_gradient")
    pixels = np.asarray(attribution_so_far(attribution.seen, attribution.map)).astype(int)
    grey = pixels.max(-1) - pixels.min(-1) <= 1
    np.testing.assert_array_equal(grey[attribution.map <= 0], True)  # noqa: FBT003 - compared with every entry
    assert not grey[attribution.map > scale_of(attribution) / 4].any()


def test_photo_and_cells_have_the_same_edges_in_both_pictures(net: rv.Net, make_image: MakeImage) -> None:
    layout = figures.attribution_map(rv.attribute(net, make_image(), "saliency")).layout
    (image,) = layout.images
    assert (image.x, image.x + image.sizex) == tuple(layout.xaxis.range) == (-0.5, 31.5)
    assert (image.y + image.sizey, image.y) == tuple(layout.yaxis.range) == (31.5, -0.5)
    assert (image.xref, image.yref) == ("x", "y")


def test_grad_cam_is_drawn_in_its_blocks_cells(net: rv.Net, make_image: MakeImage) -> None:
    image = make_image()
    cam = rv.attribute(net, image, "grad_cam", 1, block="layer2.0")
    expected = rv.block_cams(net, image, 1)["layer2.0"]
    assert expected.shape == (16, 16)
    np.testing.assert_allclose(figures.attribution_map(cam).data[0].z, expected, rtol=1e-4, atol=1e-7)
    # The map on the pixels is the same one, enlarged.
    np.testing.assert_allclose(large(drawn(cam), 32), cam.map, rtol=1e-3, atol=1e-6)


def test_on_a_phone_the_pictures_stand_one_under_the_other(net: rv.Net, make_image: MakeImage) -> None:
    layout = figures.attribution_map(rv.attribute(net, make_image(), "saliency"), width=350).layout
    assert layout.xaxis.domain == layout.xaxis2.domain == (0, 1)
    assert layout.yaxis.domain[0] > layout.yaxis2.domain[1]
    assert layout.width == 350
    assert layout.meta["how_to_read"].index("Top:") < layout.meta["how_to_read"].index("Bottom:")


def test_half_of_the_evidence_is_counted(net: rv.Net, make_image: MakeImage) -> None:
    attribution = rv.attribute(net, make_image(), "saliency")
    positive = np.sort(np.clip(attribution.map, 0, None).ravel())[::-1]
    count = next(n for n in range(1, positive.size) if positive[:n].sum() >= positive.sum() / 2)
    found = figures.attribution_map(attribution).layout.meta["finding"]
    # A gradient's sign is no evidence for a class.
    label = attribution.target_label
    assert f'{100 * count / positive.size:.1f}% of the pixels hold half of the positive gradient for "{label}"' in found


@pytest.mark.parametrize("method", rv.METHODS)
def test_every_unit_is_explained_beside_the_map(net: rv.Net, make_image: MakeImage, method: str) -> None:
    attribution = replace(rv.attribute(net, make_image(), "saliency"), method=method)
    unit = rv.METHODS[method].unit
    figure = figures.attribution_map(attribution)
    assert figure.data[1].colorbar.title.text == unit
    assert f"Unit: {unit}, {UNITS[unit]}." in figure.layout.meta["how_to_read"]


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
    bars = figures.parameter_gradients(gradients).data
    assert len({bar.marker.pattern.shape for bar in bars}) == 3
    drawn = {name: y for bar in bars for name, y in zip(bar.text, bar.y, strict=True)}
    assert len(drawn) == len(gradients.parameters)
    row = gradients.parameters.query("block == 'layer2.0' and parameter == 'conv1.weight'").iloc[0]
    assert drawn["2.0 conv1.weight"] == pytest.approx(row["norm"] / row["size"] ** 0.5)


def test_a_stack_is_the_total_at_the_output(net: rv.Net, make_image: MakeImage) -> None:
    conductance = rv.conductance(net, make_image(), steps=4)
    *stacks, rings = figures.conductance_bars(conductance).data
    assert [stack.marker.color for stack in stacks[:2]] == [IDENTITY, RESIDUAL]
    np.testing.assert_allclose(np.sum([stack.y for stack in stacks], 0), rings.y, atol=1e-5)
    np.testing.assert_allclose(rings.y, [block.total.sum() for block in conductance.blocks], atol=1e-4)


def test_one_scale_tints_all_tiles_in_proportion_to_the_largest_evidence_per_area(net: rv.Net, make_image: MakeImage) -> None:
    inspected = rv.inspect(net, make_image())
    densities = [block.cam * block.cam.size for block in inspected.blocks]
    largest = max(density.max() for density in densities)
    for tile, density in zip(tiles(inspected, "shared"), densities, strict=True):
        np.testing.assert_allclose(tile, MOST * large(density / largest, len(tile)), atol=LOSS)
        assert abs(tile.mean() - MOST * large(density / largest, len(tile)).mean()) < 0.01


def test_on_one_scale_a_tiles_tint_adds_up_to_its_blocks_grad_cam(net: rv.Net, make_image: MakeImage) -> None:
    inspected = rv.inspect(net, make_image())
    tints = np.array([tile.mean() for tile in tiles(inspected, "shared")])
    masses = np.array([block.measures.cam_mass for block in inspected.blocks])
    np.testing.assert_allclose(tints / tints.max(), masses / masses.max(), atol=0.02)


def test_each_on_its_own_scale_every_tile_has_the_full_tint(net: rv.Net, make_image: MakeImage) -> None:
    inspected = rv.inspect(net, make_image())
    for tile, block in zip(tiles(inspected, "each"), inspected.blocks, strict=True):
        np.testing.assert_allclose(tile, MOST * large(block.cam / block.cam.max(), len(tile)), atol=LOSS)
        assert abs(tile.mean() - MOST * large(block.cam / block.cam.max(), len(tile)).mean()) < 0.01


def test_exact_cells_of_a_tile_are_where_the_network_computed_them(net: rv.Net, make_image: MakeImage) -> None:
    inspected = rv.inspect(net, make_image())
    block = inspected.blocks[-1]
    cam = np.zeros_like(block.cam)
    cam[2, 5] = 1
    (tile,) = tiles(replace(inspected, blocks=(replace(block, cam=cam),)), "each", "exact")
    rows, columns = np.nonzero(tile > 0.4)
    # The cell's share of the map is its share of the photo, to JPEG's two pixels.
    assert np.array([rows.min(), rows.max() + 1]) / len(tile) == pytest.approx([2 / 8, 3 / 8], abs=2 / len(tile))
    assert np.array([columns.min(), columns.max() + 1]) / len(tile) == pytest.approx([5 / 8, 6 / 8], abs=2 / len(tile))


def test_the_strip_says_on_which_scale_it_is(net: rv.Net, make_image: MakeImage) -> None:
    inspected = rv.inspect(net, make_image())
    shared, each = (figures.cam_strip(inspected, scale=scale).layout for scale in ("shared", "each"))
    assert "on one scale" in shared.meta["how_to_read"]
    assert "on its own scale" in each.meta["how_to_read"]
    block = inspected.blocks[-1]
    assert shared.annotations[-1].text == f"<b>{block.name[5:]}</b> sum {block.cam.sum():.2g}"
    assert each.annotations[-1].text == f"<b>{block.name[5:]}</b> peak {block.cam.max():.2g}"


def test_the_places_of_a_block_share_one_scale(net: rv.Net, make_image: MakeImage) -> None:
    cams = places(net, make_image(), "layer1.1")
    assert all(cam.map.any() for cam in cams)
    figure = cam_places(cams)
    cells = [cam.cells for cam in cams if cam.cells is not None]
    assert all(panel.zmax == max(np.percentile(each, 99.5) for each in cells) for panel in figure.data)
    for panel, each in zip(figure.data, cells, strict=True):
        assert np.array_equal(panel.z, each)
    assert [(image.xref, image.yref) for image in figure.layout.images] == [("x", "y"), ("x2", "y2"), ("x3", "y3")]
    shortcut, residual, _ = (cam.map.sum() for cam in cams)
    assert f"the shortcut carries {shortcut / (shortcut + residual):.0%}" in figure.layout.meta["finding"]


def test_an_empty_map_does_not_decide_the_scale_of_the_others(net: rv.Net, make_image: MakeImage) -> None:
    full = rv.attribute(net, make_image(), "saliency")
    empty = replace(full, attributions=np.zeros_like(full.attributions))
    small = replace(full, attributions=full.attributions / full.attributions.max() / 100)
    assert scale_of(empty, small) == scale_of(small) < 1
    assert scale_of(empty) == 1


def test_a_plain_blocks_places_are_two(twin: rv.Net, make_image: MakeImage) -> None:
    figure = cam_places(places(twin, make_image()))
    assert len(figure.data) == 2
    assert "has no shortcut" in figure.layout.meta["finding"]


def test_maps_of_different_blocks_or_methods_are_not_put_on_one_scale(net: rv.Net, make_image: MakeImage) -> None:
    image = make_image()
    with pytest.raises(ValueError, match="at one block"):
        cam_places([*places(net, image), *places(net, image, "layer1.0")])
    with pytest.raises(ValueError, match="compared by Grad-CAM"):
        cam_places([rv.attribute(net, image, "saliency")])


def test_the_tint_of_half_the_limit_is_half_the_tint() -> None:
    crop = greyed(Image.new("RGB", (4, 2), (30, 30, 30)))
    values = np.array([[-1, 0, 1, 2], [4, 9, 0, 0]], np.float32)
    expected = MOST * np.array([[0, 0, 0.25, 0.5], [1, 1, 0, 0]])
    np.testing.assert_allclose(strength(tint(crop, values, 4.0)), expected, atol=1.5 / 213)


def test_the_gallery_names_each_methods_unit(net: rv.Net, make_image: MakeImage) -> None:
    image = make_image()
    figure = figures.attribution_gallery([rv.attribute(net, image, method) for method in METHODS])
    for trace, attribution in zip(figure.data, (rv.attribute(net, image, method) for method in METHODS), strict=True):
        percent = 100 * drawn(attribution) / scale_of(attribution)
        np.testing.assert_allclose(trace.z, percent.clip(-100, 100), atol=0.51)
        assert f"of {scale_of(attribution):.3g}" in trace.hovertemplate
    assert ["logit / unit" in figure.layout.annotations[0].text, "logit / cell" in figure.layout.annotations[1].text] == [
        True
    ] * 2
    assert "its own unit and scale" in figure.layout.meta["how_to_read"]


def test_the_strip_has_a_tile_a_block_to_click(net: rv.Net, make_image: MakeImage) -> None:
    inspected = rv.inspect(net, make_image())
    figure = figures.cam_strip(inspected)
    assert list(figure.data[0].customdata) == [block.name for block in inspected.blocks]
    for layer, x, y in zip(figure.layout.images, figure.data[0].x, figure.data[0].y, strict=True):
        assert (layer.x + layer.sizex / 2, layer.y + layer.sizey / 2) == (x, y)
        assert decoded(layer.source).size == (DENSITY * layer.sizex, DENSITY * layer.sizey)


@pytest.mark.parametrize(("width", "columns", "side"), [(1340, 6, 215), (350, 3, 108), (900, 6, 142)])
def test_tiles_take_the_room_there_is_in_full_rows(
    net: rv.Net, make_image: MakeImage, width: int, columns: int, side: int
) -> None:
    layers = figures.cam_strip(rv.inspect(net, make_image()), width=width).layout.images
    assert len(layers) == 6
    assert len({layer.x for layer in layers}) == columns
    assert layers[0].sizex == side
    assert max(layer.x + layer.sizex for layer in layers) <= width


def test_the_area_is_the_mean_of_a_straight_line() -> None:
    shares = np.linspace(0, 1, 5).astype(np.float32)
    assert PerturbationCurve(shares, 1 - shares).area == pytest.approx(0.5)


class TestVerdicts:
    """The headings of the trust checks agree with the numbers, in words."""

    @pytest.mark.parametrize(
        ("last", "words"),
        [
            (0.9, "The map hardly depends on the trained weights. Rank correlation with the original map: 0.90"),
            (0.46, "The map depends only partly on the trained weights. Rank correlation with the original map: 0.46"),
            (-0.1, "The map depends on the trained weights. Rank correlation with the original map: −0.10"),
            (None, "With random weights, the map has the same value at every pixel: it depends on the trained weights"),
        ],
    )
    def test_random_weights(self, last: float | None, words: str) -> None:
        figure = figures.randomisation_steps(Randomised(("head", "layer1.0"), (0.5, last), constant=False))
        assert figure.layout.meta["finding"] == words
        assert list(figure.data[0].y) == [0.5, last]

    def test_a_constant_map_has_no_ranks(self) -> None:
        figure = figures.randomisation_steps(Randomised(("head", "layer1.0"), (None, None), constant=True))
        assert figure.layout.meta["finding"] == "The map has the same value at every pixel, so there are no ranks to compare"
        assert "nan" not in figure.to_json().lower()
        assert "1.0 not defined" in figure.layout.meta["alt"]

    @pytest.mark.parametrize("last", [0.4, -0.2, -0.6, -1.0])
    def test_every_correlation_is_on_the_chart(self, last: float) -> None:
        figure = figures.randomisation_steps(Randomised(("head", "layer1.0"), (0.9, last), constant=False))
        low, high = figure.layout.yaxis.range
        assert low < last < high

    def test_areas_that_are_written_alike_are_no_better_than_each_other(self) -> None:
        shares = np.linspace(0, 1, 3).astype(np.float32)
        by_map, by_chance = (PerturbationCurve(shares, np.full(3, area, np.float32)) for area in (0.50004, 0.5))
        figure = figures.perturbation_curves(Perturbation(by_chance, by_map, by_map, by_chance, "blur", constant=False), "cat")
        assert figure.layout.meta["finding"].endswith("no better than a random order, neither for deletion nor for insertion")

    def curves(self, deletion: float, insertion: float, *, constant: bool = False) -> Perturbation:
        shares = np.linspace(0, 1, 3).astype(np.float32)
        flat = {area: PerturbationCurve(shares, np.full(3, area, np.float32)) for area in (deletion, insertion, 0.5)}
        return Perturbation(flat[deletion], flat[insertion], flat[0.5], flat[0.5], "blur", constant)

    @pytest.mark.parametrize(
        ("deletion", "insertion", "words"),
        [
            (0.2, 0.8, "The order of the map is better than a random order, both for deletion and for insertion"),
            (0.2, 0.3, "The order of the map is better than a random order for deletion, but not for insertion"),
            (0.7, 0.8, "The order of the map is better than a random order for insertion, but not for deletion"),
            (0.7, 0.3, "The order of the map is no better than a random order, neither for deletion nor for insertion"),
        ],
    )
    def test_deletion_and_insertion(self, deletion: float, insertion: float, words: str) -> None:
        figure = figures.perturbation_curves(self.curves(deletion, insertion), "cat")
        assert figure.layout.meta["finding"] == words
        assert "a strongly blurred copy of the image" in figure.layout.meta["how_to_read"]
        assert [round(float(line.y[0]), 6) for line in figure.data] == [deletion, insertion, 0.5, 0.5]

    def test_a_constant_map_has_no_order(self) -> None:
        figure = figures.perturbation_curves(self.curves(0.2, 0.8, constant=True), "cat")
        assert "same value at every pixel, so it gives no order" in figure.layout.meta["finding"]
