"""Attributions over the photo that they explain: one method signed and as an overlay, several methods, or a block's places."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from PIL import Image

from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.attribution import Attribution
from resnet_viz.analyses.methods import METHODS, PER_UNIT, UNITS
from resnet_viz.figures.attribution.backdrop import Backdrop, Photo, backdrop
from resnet_viz.figures.attribution.overlay import COUNTED, HOVER, VEIL, Cells, heatmap, map_axes, tint
from resnet_viz.figures.cells import STACKED, Cell
from resnet_viz.figures.cells import cells as make_cells
from resnet_viz.figures.theme import LIGHT, SIGNED, Theme, finish, short

# A map has a few extremely strong pixels: the scale ends where all but this share of the pixels are within it.
PERCENTILE = 99.5

WIDTH, BAR, TOP = 1160, 84, 44
PANELS, CAPTION = 1340, 46
PLACES = {"shortcut": "shortcut", "residual": "residual branch", "output": "after the addition"}


def scale_of(*attributions: Attribution) -> float:
    """Return the limit of one colour scale for maps to be compared, in the units of the map; all-zero maps are ignored."""
    return max(_extent(drawn(attribution)) for attribution in attributions) or 1.0


def drawn(attribution: Attribution) -> Array:
    """Return the map as it was computed, (h, w): in the cells of a block's feature maps for methods that work on them."""
    return attribution.map if attribution.cells is None else attribution.cells


def attribution_map(
    attribution: Attribution,
    limit: float | None = None,
    theme: Theme = LIGHT,
    *,
    photo: Photo = None,
    cells: Cells = "exact",
    width: int = WIDTH,
) -> go.Figure:
    """Draw the map over the photo and by itself with its sign, on a scale from -limit to limit.

    `photo` is the network's crop as `Preprocessing.sharp` returns it; without it, the network's input is the background. The
    two images are drawn side by side, or one below the other if `width` pixels are too few for both.
    """
    values, chosen = drawn(attribution), limit or scale_of(attribution)
    method, (rows, columns) = METHODS[attribution.method], values.shape
    over, signed = _two(width)
    bar = {"thickness": 10, "outlinewidth": 0, "title": {"text": method.unit}, "exponentformat": "power"}
    bar |= {"orientation": "h", "y": 0, "yanchor": "top"} if width < STACKED else {}
    fig = go.Figure(
        [
            heatmap(values, over, cells, colorscale=VEIL, zmin=0, zmax=chosen, showscale=False),
            heatmap(values, signed, cells, colorscale=SIGNED, zmin=-chosen, zmax=chosen, colorbar=bar),
        ]
    )
    side = (width - BAR) // 2 if width >= STACKED else width
    fig.update_layout(
        **map_axes(over, rows, columns),
        **map_axes(signed, rows, columns),
        images=[backdrop(photo, attribution.seen).layer(over, rows, columns)],
        width=width,
        height=TOP + side if width >= STACKED else TOP + 2 * side + BAR,
        margin={"l": 0, "r": 0, "t": TOP, "b": 0 if width >= STACKED else BAR},
        overwrite=True,
    )
    finding = _finding(attribution, method.title)
    first, second = ("Left", "Right") if width >= STACKED else ("Top", "Bottom")
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"{method.sentence} {first}: where the {_what(method.unit)} is positive, over the photo in grey. "
        f"{second}: red is positive, blue negative. {COUNTED} Unit: {method.unit}, {UNITS[method.unit]}.",
        alt=f"{finding}. Map of {rows} by {columns} cells, {values.min():.3g} to {values.max():.3g}.",
    )


def attribution_so_far(ground: Backdrop | NDArray[np.uint8], so_far: Array, cells: Cells = "exact") -> Image.Image:
    """Draw an unfinished map (H, W) over the photo or the crop (H, W, 3), on its own scale, as a preview."""
    photo = ground if isinstance(ground, Backdrop) else Backdrop.of(Image.fromarray(ground))
    return tint(photo.picture(), so_far, _extent(so_far) or 1.0, cells)


def attribution_gallery(
    attributions: Sequence[Attribution],
    theme: Theme = LIGHT,
    *,
    photo: Photo = None,
    cells: Cells = "exact",
    width: int = PANELS,
) -> go.Figure:
    """Draw the overlays of several methods on one photo, each on its own scale, because their units differ.

    A value is sent as an integer percentage of its map's limit, in a quarter of the bytes. Otherwise as `attribution_map`.
    """
    methods = [METHODS[attribution.method] for attribution in attributions]
    limits = [scale_of(attribution) for attribution in attributions]
    captions = [
        _caption(method.title, f"{method.unit}, up to {limit:.2g}", theme)
        for method, limit in zip(methods, limits, strict=True)
    ]
    maps = [_percent(drawn(attribution), limit) for attribution, limit in zip(attributions, limits, strict=True)]
    hovers = [_percent_hover(limit, method.unit) for method, limit in zip(methods, limits, strict=True)]
    ground = backdrop(photo, attributions[0].seen) if attributions else None
    fig = _panels(zip(maps, [100.0] * len(maps), captions, hovers, strict=True), ground, theme, cells, width)
    agreement = _agreement(attributions)
    finding = f"{len(attributions)} methods on the same photo" + (f": {agreement}" if agreement else "")
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="The stronger the tint, the larger a pixel's attribution for the class by that method. Each method has "
        f"its own unit and scale: compare the positions, not the strengths. {COUNTED}",
        alt=f"{finding}. Methods: {', '.join(method.title for method in methods)}.",
    )


def cam_places(
    cams: Sequence[Attribution],
    theme: Theme = LIGHT,
    *,
    photo: Photo = None,
    cells: Cells = "smooth",
    width: int = PANELS,
) -> go.Figure:
    """Draw the Grad-CAMs of one block's places side by side on one scale; ValueError for maps that cannot be compared.

    Otherwise as `attribution_map`.
    """
    asked = {(cam.method, cam.options.get("block"), cam.target) for cam in cams}
    if len(asked) != 1 or cams[0].method != "grad_cam":
        raise ValueError(
            f"places can only be compared by Grad-CAM at one block and for one class, not by {sorted(map(str, asked))}"
        )
    limit = scale_of(*cams)
    peaks = {cam.options["place"]: float(drawn(cam).max()) for cam in cams}
    captions = [_caption(PLACES[place], f"peak {peak:.2g}", theme) for place, peak in peaks.items()]
    panels = zip([drawn(cam) for cam in cams], [limit] * len(cams), captions, [HOVER] * len(cams), strict=True)
    fig = _panels(panels, backdrop(photo, cams[0].seen), theme, cells, width)
    finding = _places_finding(cams)
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"One scale for all: the tint is full from {limit:.2g} logits per cell of the block's maps. Negative "
        f"values, which are not drawn, may cancel positive ones in the addition of both paths.",
        alt=f"{finding}. Peaks: {', '.join(f'{PLACES[place]} {peak:.3g}' for place, peak in peaks.items())}.",
    )


def _two(width: int) -> list[Cell]:
    """Two images side by side, the second with its colour bar, or one below the other."""
    if width < STACKED:
        return make_cells((1,), 2, row_gap=0.02)
    return make_cells((1, 1), gap=0.03)


def _panels(
    maps: Iterable[tuple[Any, float, str, str]], ground: Backdrop | None, theme: Theme, drawing: Cells, width: int
) -> go.Figure:
    """Maps over the photo in rows, each with its limit, its caption and its hover text."""
    panels = list(maps)
    columns = min(2 if width < STACKED else 4, max(1, len(panels)))
    rows, side = -(-len(panels) // columns), min(width // columns, 480) - 8
    height = rows * (side + CAPTION)
    places = make_cells((1,) * columns, rows, gap=8 / (columns * (side + 8)), row_gap=CAPTION / height)[: len(panels)]
    fig = go.Figure()
    axes: dict[str, dict[str, Any]] = {}
    images: list[dict[str, Any]] = []
    for (values, limit, _, hover), cell in zip(panels, places, strict=True):
        fig.add_trace(heatmap(values, cell, drawing, hover=hover, colorscale=VEIL, zmin=0, zmax=limit, showscale=False))
        axes |= map_axes(cell, *values.shape)
        images += [ground.layer(cell, *values.shape)] if ground else []
    fig.update_layout(
        **axes,
        images=images,
        annotations=[cell.title(caption, theme) for cell, (_, _, caption, _) in zip(places, panels, strict=True)],
        width=columns * (side + 8),
        height=TOP + height,
        margin={"l": 0, "r": 0, "t": TOP + CAPTION, "b": 0},
        overwrite=True,
    )
    return fig


def _caption(name: str, detail: str, theme: Theme) -> str:
    return f"{name}<br><span style='font-size:12px;color:{theme.muted}'>{detail}</span>"


def _percent(values: Array, limit: float) -> NDArray[np.int8]:
    """Values as integer percentages of the limit, clipped at both ends."""
    percentages: NDArray[np.int8] = np.rint(np.clip(values / limit, -1, 1) * 100).astype(np.int8)
    return percentages


def _percent_hover(limit: float, unit: str) -> str:
    return f"row %{{y}}, column %{{x}}<br><b>%{{z}}%</b> of {limit:.3g} {unit}"


def _extent(values: Array) -> float:
    return float(np.percentile(np.abs(values), PERCENTILE)) or float(np.abs(values).max())


def _finding(attribution: Attribution, title: str) -> str:
    positive = np.clip(attribution.map, 0, None)
    if not positive.sum():
        return f'{title}: no pixel has a positive {_what(METHODS[attribution.method].unit)} for "{attribution.target_label}"'
    ordered = np.sort(positive, axis=None)[::-1].cumsum()
    share = (int(np.searchsorted(ordered, ordered[-1] / 2)) + 1) / positive.size
    what = _what(METHODS[attribution.method].unit)
    return f'{title}: {100 * share:.1f}% of the pixels hold half of the positive {what} for "{attribution.target_label}"'


def _what(unit: str) -> str:
    """What a map of this unit contains: the sign of a gradient is no evidence for or against a class."""
    return "gradient" if unit == PER_UNIT else "attribution"


def _places_finding(cams: Sequence[Attribution]) -> str:
    """Say which path of the block carries more of the evidence."""
    block, label = short(cams[0].options["block"]) or "last", cams[0].target_label
    sums = {cam.options["place"]: float(cam.map.sum(dtype=np.float64)) for cam in cams}
    paths = sums.get("shortcut", 0.0) + sums.get("residual", 0.0)
    if not paths:
        return f"No cell at the addition of block {block} has a positive value for {label}"
    if "shortcut" not in sums:
        return f"Block {block} has no shortcut, so all evidence for {label} comes through its layers"
    return (
        f"Of the evidence for {label} at block {block}, the shortcut carries {sums['shortcut'] / paths:.0%} and the residual "
        f"branch {sums.get('residual', 0.0) / paths:.0%}"
    )


def _agreement(attributions: Sequence[Attribution]) -> str:
    """Say which two maps are most similar."""
    if len(attributions) < 2:
        return ""
    maps = [attribution.map.ravel() for attribution in attributions]
    alike = np.asarray(np.corrcoef(np.stack(maps)))
    np.fill_diagonal(alike, -np.inf)
    first, second = np.unravel_index(int(np.nan_to_num(alike, nan=-np.inf).argmax()), alike.shape)
    names = [METHODS[attributions[index].method].title for index in sorted((int(first), int(second)))]
    return f"{names[0]} and {names[1]} agree most (correlation {alike[first, second]:.2f})"
