"""Figures agree with the result: values, limits, identities and texts are compared with the arrays."""

import base64
import io
import math
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

import resnet_viz as rv
from resnet_viz.analyses.ablation import is_removable, sweep
from resnet_viz.figures.attribution.cam_overlay import cam_overlay
from resnet_viz.figures.block.block_equation import block_equation, terms_of
from resnet_viz.figures.block.block_map import LINE_Y, block_map
from resnet_viz.figures.block.channel_mosaic import channel_map, channel_mosaic, strongest_channel
from resnet_viz.figures.block.map_measures import measures_for
from resnet_viz.figures.block.measures_by_depth import measures_by_depth
from resnet_viz.figures.block.predictions import predictions
from resnet_viz.figures.theme import DARK, IDENTITY, LIGHT, PLAIN, RESIDUAL, SIGNED, SUM, Theme, signed_palette
from resnet_viz.nets.preprocessing import Preprocessing


def every_figure(r: rv.Inspection, theme: Theme = LIGHT) -> dict[str, go.Figure]:
    block = r.blocks[4]
    return {
        "map": block_map(r, selected=block.name, theme=theme),
        "equation": block_equation(block, theme=theme),
        "mosaic": channel_mosaic(block, "output", 3, theme),
        "channel": channel_map(block, "output", 3, theme),
        "depth": measures_by_depth(r, block.name, theme),
        "cam": cam_overlay(r, block.name, theme),
        "predictions": predictions(r, theme=theme),
    }


def decoded(source: str) -> np.ndarray:
    png = base64.b64decode(source.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def travelling(figure: go.Figure) -> str:
    """The figure as it is sent, without the letters that encode images and arrays."""
    return re.sub(r'"(data:image[^"]*|[A-Za-z0-9+/=]{40,})"', '""', figure.to_json()).lower().replace("channan", "")


@pytest.mark.parametrize("model", ["resnet20-cifar10", "plain20-cifar10", "resnet20b-cifar10"])
@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_every_figure_carries_finding_reading_aid_and_alt(
    model: str, theme: Theme, inspect_noise: Callable[..., rv.Inspection]
) -> None:
    for name, figure in every_figure(inspect_noise(model), theme).items():
        meta = figure.layout.meta
        assert len(meta["finding"]) > 10, name
        assert len(meta["how_to_read"]) > 15, name
        assert meta["finding"] in meta["alt"] or name == "predictions", name
        assert figure.layout.title.text == meta["finding"]
        assert figure.layout.font.color == theme.text
        assert "nan" not in travelling(figure), name


class TestBlockMap:
    def test_the_finding_names_the_largest_and_the_smallest(self, residual: rv.Inspection) -> None:
        ratio = residual.table()["ratio"]
        finding = block_map(residual).layout.meta["finding"]
        most, least = str(ratio.idxmax())[5:], str(ratio.idxmin())[5:]
        assert finding == f"The residual is largest relative to its input in block {most}, smallest in {least}"

    def test_written_values_are_the_tables(self, residual: rv.Inspection) -> None:
        bold = [a.text for a in block_map(residual, "cosine").layout.annotations if re.fullmatch(r"<b>[+−].*</b>", a.text)]
        assert bold == [f"<b>{value:+.2f}</b>".replace("-", "−") for value in residual.table()["cosine"]]

    def test_identity_and_residual_are_never_collinear(self, residual: rv.Inspection) -> None:
        shapes = block_map(residual).layout.shapes
        line = [s for s in shapes if s.type == "line"]
        arcs = [s for s in shapes if s.type == "path" and s.line.color == RESIDUAL]
        assert {s.line.color for s in line} == {IDENTITY}
        assert {s.y0 for s in line} == {s.y1 for s in line} == {LINE_Y}
        assert len(arcs) == 9
        for arc in arcs:
            heights = [float(y) for y in re.findall(r",([\d.]+)", arc.path)]
            assert heights[0] == heights[-1] == LINE_Y
            assert 0.75 * (max(heights) - LINE_Y) > 60

    def test_the_widest_arc_is_the_largest_value(self, residual: rv.Inspection) -> None:
        arcs = [s.line.width for s in block_map(residual).layout.shapes if s.type == "path" and s.line.color == RESIDUAL]
        assert int(np.argmax(arcs)) == int(residual.table()["ratio"].to_numpy().argmax())

    def test_the_identity_path_is_unbroken_and_dotted_where_the_shape_changes(self, residual: rv.Inspection) -> None:
        lines = sorted((s for s in block_map(residual).layout.shapes if s.type == "line"), key=lambda s: s.x0)
        assert [line.line.dash for line in lines].count("4px,4px") == 2
        assert all(left.x1 == pytest.approx(right.x0) for left, right in pairwise(lines))

    def test_a_plain_network_is_grey_and_has_no_sum(self, plain: rv.Inspection) -> None:
        figure = block_map(plain)
        assert measures_for(plain) == ("response_std", "cam_mass")
        assert not [a for a in figure.layout.annotations if a.text == "+"]
        assert not [s for s in figure.layout.shapes if s.line.color in (IDENTITY, RESIDUAL)]
        assert len([s for s in figure.layout.shapes if s.type == "path" and s.line.color == PLAIN]) == 9

    def test_every_block_can_be_clicked(self, residual: rv.Inspection) -> None:
        targets = block_map(residual).data[-1]
        assert set(targets.customdata) == {block.name for block in residual.blocks}
        assert targets.marker.opacity == 0

    @pytest.mark.parametrize(("model", "blocks"), [("resnet110-cifar10", 54), ("resnet152", 50)])
    def test_a_deep_network_keeps_room_for_every_block(self, model: str, blocks: int) -> None:
        net = rv.load(model, weights=None, device="cpu")
        small = Preprocessing(32, 32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        r = rv.inspect(replace(net, preprocessing=small), Image.new("RGB", (32, 32), "red"))
        figure = block_map(r, selected=r.blocks[-1].name)
        centres = sorted(set(figure.data[-1].x))
        assert len(centres) == blocks
        assert min(np.diff(centres)) >= 60
        assert figure.layout.width > centres[-1] > 3000
        assert figure.layout.meta["focus"] > 0.9

    def test_an_impossible_measure_is_refused(self, plain: rv.Inspection) -> None:
        with pytest.raises(ValueError, match="response_std, cam_mass"):
            block_map(plain, "cosine")
        with pytest.raises(ValueError, match="response_std, cam_mass"):
            block_map(plain, "ablation")

    @pytest.mark.parametrize("model", ["resnet20-cifar10", "plain20-cifar10"])
    def test_what_the_class_loses_without_a_branch_is_what_ablate_says(
        self, model: str, make_image: Callable[..., Image.Image]
    ) -> None:
        net, image = rv.load(model, weights=None, device="cpu"), make_image()
        result = rv.inspect(net, image, target=3)
        figure = block_map(result, "ablation", ablation=sweep(net, image, 3))
        written = [a.text[3:-4] for a in figure.layout.annotations if re.fullmatch(r"<b>([+−].*|–)</b>", a.text)]
        whole = rv.ablate(net, image, {}).logits[3]
        expected = []
        for name, block in net.blocks.items():
            lost = whole - rv.ablate(net, image, {name: 0.0}).logits[3] if is_removable(block) else None
            expected.append("–" if lost is None else f"{lost:+.2f}".replace("-", "−"))
        assert written == expected
        assert expected.count("–") == (2 if model.startswith("plain") else 0)
        assert "nan" not in travelling(figure)


class TestBlockEquation:
    def test_pictures_are_the_channel_means_and_add_up(self, residual: rv.Inspection) -> None:
        block = residual.blocks[5]
        identity, branch, total, output = (np.asarray(trace.z) for trace in block_equation(block).data)
        np.testing.assert_allclose(identity + branch, total, atol=1e-6)
        np.testing.assert_allclose(output, block.output.mean(0))

    def test_one_channel_adds_up_exactly(self, residual: rv.Inspection) -> None:
        block = residual.blocks[3]
        identity, branch, total, output = (np.asarray(trace.z) for trace in block_equation(block, 7).data)
        assert np.array_equal(identity + branch, total)
        assert np.array_equal(np.maximum(total, 0), output)

    def test_one_symmetric_scale_by_default(self, residual: rv.Inspection) -> None:
        figure = block_equation(residual.blocks[5])
        largest = max(float(np.abs(trace.z).max()) for trace in figure.data)
        assert -figure.layout.coloraxis.cmin == figure.layout.coloraxis.cmax == pytest.approx(largest)
        assert {trace.coloraxis for trace in figure.data} == {"coloraxis"}

    def test_each_its_own_scale_on_request(self, residual: rv.Inspection) -> None:
        figure = block_equation(residual.blocks[5], scale="each")
        for trace in figure.data:
            assert trace.zmax == -trace.zmin == pytest.approx(float(np.abs(trace.z).max()))

    def test_frames_have_the_colours_of_the_paths(self, residual: rv.Inspection) -> None:
        layout = block_equation(residual.blocks[5]).layout
        frames = [layout[f"xaxis{n}"].linecolor for n in ("", 2, 3, 4)]
        assert frames == [IDENTITY, RESIDUAL, SUM, SUM]

    def test_a_plain_block_is_its_branch_and_a_relu(self, plain: rv.Inspection) -> None:
        assert terms_of(plain.blocks[2]) == ("residual", "output")
        assert len(block_equation(plain.blocks[2]).data) == 2
        texts = [note.text for note in block_equation(plain.blocks[2], width=350).layout.annotations]
        assert any(text.startswith("<b>layers' output<br>F(x)</b>") for text in texts)

    def test_on_a_phone_the_terms_stand_one_under_the_other_with_their_operators(self, residual: rv.Inspection) -> None:
        figure = block_equation(residual.blocks[5], width=350)
        layout = figure.layout
        ups = [layout[f"yaxis{n}"].domain for n in ("", 2, 3, 4)]
        assert all(upper[0] > lower[1] for upper, lower in pairwise(ups))
        assert len({layout[f"xaxis{n}"].domain for n in ("", 2, 3, 4)}) == 1
        signs = [a for a in layout.annotations if a.text in ("+", "=", "↓<br>ReLU")]
        assert [sign.text for sign in signs] == ["+", "=", "↓<br>ReLU"]
        assert [sign.y for sign in signs] == pytest.approx([sum(up) / 2 for up in ups[1:]])
        # Images are square: their share of the height in pixels is their share of the width.
        across = (layout.xaxis.domain[1] - layout.xaxis.domain[0]) * layout.width
        down = (ups[0][1] - ups[0][0]) * (layout.height - layout.margin.t - layout.margin.b)
        assert across == pytest.approx(down)
        assert layout.width == 350

    @pytest.mark.parametrize(("width", "picture"), [(1360, 266), (1160, 216), (760, 116)])
    def test_a_row_takes_the_room_there_is(self, residual: rv.Inspection, width: int, picture: int) -> None:
        layout = block_equation(residual.blocks[5], width=width).layout
        plot = (layout.width - layout.margin.l - layout.margin.r, layout.height - layout.margin.t - layout.margin.b)
        assert plot[1] == picture
        for number in ("", 2, 3, 4):
            domain = layout[f"xaxis{number}"].domain
            assert (domain[1] - domain[0]) * plot[0] == pytest.approx(picture)

    def test_each_number_says_what_it_is_of(self, residual: rv.Inspection) -> None:
        block = residual.blocks[4]
        assert block.identity is not None
        whole = [a.text for a in block_equation(block).layout.annotations]
        assert any(f"|F| = {block.measures.residual_norm:.4g}<br>all channels" in text for text in whole)
        one = [a.text for a in block_equation(block, 7).layout.annotations]
        norm = np.linalg.norm(block.residual[7])
        assert any(f"|F| = {norm:.4g}<br>channel 7" in text for text in one)
        x, f = block.identity[7].ravel(), block.residual[7].ravel()
        cosine = f"{x @ f / np.linalg.norm(x) / np.linalg.norm(f):+.2f}".replace("-", "−")
        assert any(f"cos(x, F) = {cosine}<br>channel 7" in text for text in one)
        zeroed = f"ReLU zeroes {100 * (block.sum[7] < 0).mean():.0f}%<br>channel 7"
        assert any(zeroed in text for text in one)

    def test_the_finding_is_of_what_is_drawn(self, residual: rv.Inspection) -> None:
        block = residual.blocks[4]
        assert block.identity is not None
        meta = block_equation(block).layout.meta
        assert f"the residual F(x) has {100 * block.measures.ratio:.0f}% of the norm of x" in meta["finding"]
        assert f"All numbers are of the {block.shape[0]} channels together" in meta["how_to_read"]
        own = 100 * np.linalg.norm(block.residual[7]) / np.linalg.norm(block.identity[7])
        assert f"channel 7: the residual F(x) has {own:.0f}% of the norm" in block_equation(block, 7).layout.meta["finding"]

    def test_channels_that_cancel_in_the_mean_are_told(self, residual: rv.Inspection) -> None:
        """Half of the channels are the others' negative: the mean is 0 and the norm is not."""
        block = residual.blocks[1]
        assert block.maps is not None
        assert block.identity is not None
        half = block.residual[:8]
        balanced = replace(block, maps=replace(block.maps, residual=np.concatenate([half, -half])))
        told = block_equation(balanced).layout.meta["how_to_read"]
        assert "cancel in the mean: its mean image has 0% of the norm of x's mean image" in told
        assert "cancel" not in block_equation(balanced, 3).layout.meta["how_to_read"]
        alike = replace(block, maps=replace(block.maps, residual=np.broadcast_to(block.identity.mean(0), block.shape)))
        assert "cancel" not in block_equation(alike).layout.meta["how_to_read"]

    @pytest.mark.parametrize("channel", [-1, 16])
    def test_a_channel_that_is_not_there(self, residual: rv.Inspection, channel: int) -> None:
        with pytest.raises(ValueError, match="channels 0 to 15"):
            block_equation(residual.blocks[0], channel)


class TestChannelMosaic:
    def test_tiles_show_the_maps(self, residual: rv.Inspection) -> None:
        block = residual.blocks[4]
        pixels = decoded(channel_mosaic(block, "sum").data[0].source).astype(int)
        limit = np.abs(block.sum).max()
        palette = signed_palette().astype(int)
        for channel, (row, column) in {0: (0, 0), 9: (1, 1), 31: (3, 7)}.items():
            tile = pixels[row * 17 : row * 17 + 16, column * 17 : column * 17 + 16]
            wanted = palette[np.rint(block.sum[channel] / limit * 127).astype(int) + 127]
            assert np.abs(tile - wanted).mean() < 6

    def test_hover_and_click_name_the_channel_under_the_pointer(self, residual: rv.Inspection) -> None:
        targets = channel_mosaic(residual.blocks[4], "residual").data[1]
        assert list(targets.customdata) == list(range(32))
        assert (targets.x[9], targets.y[9]) == (1 * 17 + 7.5, 1 * 17 + 7.5)
        assert f"mean {residual.blocks[4].residual[9].mean():.3f}" in targets.text[9]

    def test_zero_is_the_middle_colour(self) -> None:
        palette = signed_palette()
        assert len(palette) % 2 == 1
        assert palette[len(palette) // 2].min() > 240
        assert palette[0][2] > palette[0][0]
        assert palette[-1][0] > palette[-1][2]

    def test_64_maps_of_56_pixels_stay_small(self, residual: rv.Inspection) -> None:
        maps = np.random.default_rng(0).normal(size=(64, 56, 56)).astype(np.float32)
        block = residual.blocks[0]
        assert block.maps is not None
        noise = replace(block, maps=replace(block.maps, output=maps))
        assert len(channel_mosaic(noise, "output").to_json()) < 0.3e6

    def test_rows_are_shorter_on_a_phone(self, residual: rv.Inspection) -> None:
        wide, phone = (channel_mosaic(residual.blocks[4], "residual", width=width) for width in (840, 350))
        assert (phone.layout.width, wide.layout.width) == (350, 840)
        assert list(phone.data[1].x[:5]) == [7.5, 24.5, 41.5, 58.5, 7.5]
        assert list(wide.data[1].x[:5]) == [7.5, 24.5, 41.5, 58.5, 75.5]

    def test_the_strongest_channel_has_the_largest_norm(self, residual: rv.Inspection) -> None:
        block = residual.blocks[4]
        norms = [np.linalg.norm(channel) for channel in block.residual]
        assert strongest_channel(block, "residual") == int(np.argmax(norms))

    def test_the_channel_map_is_the_channel(self, residual: rv.Inspection) -> None:
        block = residual.blocks[4]
        assert np.array_equal(channel_map(block, "residual", 5).data[0].z, block.residual[5])

    def test_a_plain_blocks_layers_are_no_residual(self, residual: rv.Inspection, plain: rv.Inspection) -> None:
        findings = [channel_mosaic(side.blocks[4], "residual").layout.meta["finding"] for side in (residual, plain)]
        assert "has the largest norm in the residual F(x) of block 2.1" in findings[0]
        assert "has the largest norm in the layers' output F(x) of block 2.1" in findings[1]


class TestMeasuresByDepth:
    def test_lines_are_the_tables_columns(self, residual: rv.Inspection) -> None:
        table = residual.table()
        figure = measures_by_depth(residual)
        drawn = [np.asarray(trace.y) for trace in figure.data]
        wanted = ["identity_norm", "residual_norm", "ratio", "cosine", "response_std"]
        for values, name in zip(drawn, wanted, strict=False):
            np.testing.assert_array_equal(values, table[name])

    def test_the_finding_counts(self, residual: rv.Inspection) -> None:
        table = residual.table()
        larger, against = (table["ratio"] > 1).sum(), (table["cosine"] < 0).sum()
        finding = measures_by_depth(residual).layout.meta["finding"]
        assert finding == f"F is larger than x in {larger} of 9 blocks, and points against it in {against}"


class TestCamOverlay:
    def test_the_map_is_the_cam_in_its_own_cells(self, residual: rv.Inspection) -> None:
        (heatmap,) = cam_overlay(residual, "layer3.2").data
        cam = residual.block("layer3.2").cam
        assert np.array_equal(heatmap.z, cam)
        assert (heatmap.zmin, heatmap.zmax) == (0, pytest.approx(cam.max()))

    def test_it_lies_on_the_crop_in_grey(self, residual: rv.Inspection) -> None:
        pixels = decoded(cam_overlay(residual, "layer3.2").layout.images[0].source)
        assert (pixels.max(-1) == pixels.min(-1)).all()
        grey = np.asarray(Image.fromarray(residual.seen).convert("L")).astype(float)
        np.testing.assert_allclose(pixels[7::14, 7::14, 0], grey * 0.6 + 80, atol=0.51)

    def test_photo_and_cells_have_the_same_edges(self, residual: rv.Inspection) -> None:
        layout = cam_overlay(residual, "layer3.2").layout
        image, rows, columns = layout.images[0], *residual.block("layer3.2").cam.shape
        assert (image.x, image.x + image.sizex) == tuple(layout.xaxis.range) == (-0.5, columns - 0.5)
        assert (image.y + image.sizey, image.y) == tuple(layout.yaxis.range) == (rows - 0.5, -0.5)
        assert (image.xref, image.yref, image.sizing) == ("x", "y", "stretch")

    def test_cells_are_exact_or_smooth(self, residual: rv.Inspection) -> None:
        exact, smooth = (cam_overlay(residual, "layer3.2", cells=cells).data[0] for cells in ("exact", "smooth"))
        assert (exact.zsmooth, smooth.zsmooth) == (False, "best")
        assert "row %{y}, column %{x}" in exact.hovertemplate

    def test_the_slider_sets_the_opacity_of_the_map(self, residual: rv.Inspection) -> None:
        slider = cam_overlay(residual, "layer3.2").layout.sliders[0]
        assert [step.args for step in slider.steps] == [({"opacity": p / 100}, (0,)) for p in (0, 20, 40, 60, 80, 100)]

    def test_an_unknown_block_is_named(self, residual: rv.Inspection) -> None:
        with pytest.raises(KeyError, match="layer9"):
            cam_overlay(residual, "layer9.9")


def test_predictions_are_the_softmax_in_percent(residual: rv.Inspection) -> None:
    bars = predictions(residual, 4).data[0]
    logits = np.array([p.logit for p in sorted(residual.predictions, key=lambda p: p.index)])
    shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    np.testing.assert_allclose(bars.x, 100 * np.sort(shares)[::-1][:4], rtol=1e-5)
    assert math.isclose(sum(p.probability for p in residual.predictions), 1, rel_tol=1e-5)


def test_the_signed_scale_is_red_above_zero() -> None:
    assert SIGNED == "RdBu_r"


DRAWING_RESULTS = [
    name
    for name in rv.figures.__all__
    if "resnet_viz" in str(next(iter(get_type_hints(getattr(rv.figures, name)).values()))) and name != "attribution_so_far"
]


@pytest.mark.parametrize("given", ["cat.jpg", 3, [3]])
@pytest.mark.parametrize("name", DRAWING_RESULTS)
def test_what_is_no_result_is_refused_in_a_sentence(name: str, given: Any) -> None:
    kind = r"(int|list)" if given == [3] else type(given).__name__
    with pytest.raises(TypeError, match=rf"rv\.figures\.{name} draws .* and this is of the type {kind}$"):
        getattr(rv.figures, name)(given)


def test_the_sentence_names_the_function_that_makes_the_result(residual: rv.Inspection) -> None:
    assert len(DRAWING_RESULTS) > 40
    for name, words in (
        ("block_map", "draws the result of rv.inspect, and this is of the type"),
        ("block_equation", r"draws a block of an inspection, such as r.blocks\[0\]"),
        ("deletion_lines", "draws a list of results, each the result of rv.deletions"),
    ):
        with pytest.raises(TypeError, match=words):
            getattr(rv.figures, name)(rv.load)
    with pytest.raises(TypeError, match="of the type Inspection"):
        rv.figures.loss_contours(residual)  # type: ignore[arg-type]  # one that is not in a list


def test_a_photo_is_no_path(residual: rv.Inspection, tmp_path: Path) -> None:
    for draw in (
        lambda: rv.figures.cam_overlay(residual, "layer1.0", photo="cat.jpg"),  # type: ignore[arg-type]
        lambda: rv.report(residual, tmp_path / "cat.html", "cat.jpg"),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match=r"open it with rv.open_image\('cat.jpg'\)"):
            draw()
