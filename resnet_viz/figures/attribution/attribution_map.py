"""Attributions over the crop that they explain: one as an overlay and signed, many methods, or the three places of a block."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from PIL import Image

from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.attribution import Attribution
from resnet_viz.analyses.methods import METHODS, PER_UNIT, UNITS
from resnet_viz.figures.attribution.overlay import tint
from resnet_viz.figures.cells import Cell, cells
from resnet_viz.figures.pictures import data_url
from resnet_viz.figures.theme import LIGHT, SIGNED, Theme, finish, short

# The strongest pixels of a map are few and far off the rest: the scale ends where all but this share of them end.
PERCENTILE = 99.5

PANEL, CAPTION, TOP, PANELS_TOP = 270, 26, 44, 74
MOST_COLUMNS = 4
HIDDEN = {"visible": False, "fixedrange": True, "constrain": "domain"}
PLACES = {"shortcut": "shortcut", "residual": "residual branch", "output": "after the addition"}


def scale_of(*attributions: Attribution) -> float:
    """Return the limit of one colour scale for maps that are compared, in the units of the map; maps of zeros do not count."""
    return max(_extent(attribution.map) for attribution in attributions) or 1.0


def attribution_map(attribution: Attribution, limit: float | None = None, theme: Theme = LIGHT) -> go.Figure:
    """Draw the map over the crop (left) and by itself with its sign (right), on a scale from -limit to limit."""
    side = attribution.seen.shape[0]
    chosen = limit or scale_of(attribution)
    method = METHODS[attribution.method]
    left, right = cells((1, 1), gap=0.04)
    fig = go.Figure([_picture(attribution, chosen, left), _heatmap(attribution.map, chosen, method.unit, right)])
    x, y = {**HIDDEN, "range": [-0.5, side - 0.5]}, {**HIDDEN, "range": [side - 0.5, -0.5]}
    fig.update_layout(
        **left.layout(x, {**y, "scaleanchor": "x"}),
        **right.layout(x, {**y, "scaleanchor": "x2"}),
        width=860,
        height=TOP + 372,
        margin={"l": 0, "r": 0, "t": TOP, "b": 0},
        dragmode=False,
        overwrite=True,
    )
    finding = _finding(attribution, method.title)
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"{method.sentence} Left: the positive values, over the image. Right: red above 0, blue below 0."
        f" Unit: {method.unit}, {UNITS[method.unit]}.",
        alt=f"{finding}. Map of {side} by {side} pixels, {attribution.map.min():.3g} to {attribution.map.max():.3g}.",
    )


def attribution_so_far(seen: NDArray[np.uint8], so_far: Array) -> Image.Image:
    """Draw a map (H, W) that is not finished over the crop (H, W, 3), on a scale of its own; a picture, for it is soon gone."""
    return tint(Image.fromarray(seen), so_far, _extent(so_far) or 1.0)


def attribution_gallery(attributions: Sequence[Attribution], theme: Theme = LIGHT) -> go.Figure:
    """Draw the overlays of several methods on one picture side by side, each on a scale of its own: their units differ."""
    methods = [METHODS[attribution.method] for attribution in attributions]
    limits = [scale_of(attribution) for attribution in attributions]
    captions = [_caption(method.title, method.unit, theme) for method in methods]
    fig = _panels(attributions, limits, captions, theme)
    agreement = _agreement(attributions)
    finding = f"{len(attributions)} methods on one picture" + (f": {agreement}" if agreement else "")
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="The stronger the tint, the more a pixel speaks for the class by that method. Each method has a unit of its"
        " own, so each has a scale of its own: compare where, not how much.",
        alt=f"{finding}. Methods: {', '.join(method.title for method in methods)}.",
    )


def cam_places(cams: Sequence[Attribution], theme: Theme = LIGHT) -> go.Figure:
    """Draw the Grad-CAMs of one block's places side by side on one scale; ValueError for maps that cannot be compared."""
    asked = {(cam.method, cam.options.get("block"), cam.target) for cam in cams}
    if len(asked) != 1 or cams[0].method != "grad_cam":
        raise ValueError(f"places are compared by Grad-CAM at one block and of one class, not by {sorted(map(str, asked))}")
    limit = scale_of(*cams)
    peaks = {cam.options["place"]: float(cam.map.max()) for cam in cams}
    captions = [_caption(PLACES[place], f"peak {peak:.2g}", theme) for place, peak in peaks.items()]
    fig = _panels(cams, [limit] * len(cams), captions, theme)
    finding = _places_finding(cams)
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"One scale for all: full tint from {limit:.2g} logits a cell of the block's maps on. The paths join in the"
        " addition, where what speaks against the class, which is not drawn, may cancel what speaks for it.",
        alt=f"{finding}. Peaks: {', '.join(f'{PLACES[place]} {peak:.3g}' for place, peak in peaks.items())}.",
    )


def overlay(attribution: Attribution, limit: float) -> Image.Image:
    """Lay what is positive of the map over the crop in grey; full tint from `limit` on."""
    return tint(Image.fromarray(attribution.seen), attribution.map, limit)


def _panels(attributions: Sequence[Attribution], limits: Sequence[float], captions: Sequence[str], theme: Theme) -> go.Figure:
    """Overlays in rows, each up to its own limit and under its own caption."""
    columns = min(MOST_COLUMNS, len(attributions))
    rows = -(-len(attributions) // columns)
    places = cells((1,) * columns, rows, gap=0.08 / columns, row_gap=0.12 / rows)[: len(attributions)]
    fig = go.Figure([_picture(*each) for each in zip(attributions, limits, places, strict=True)])
    axes: dict[str, Any] = {}
    for cell in places:
        axes |= cell.layout(HIDDEN, HIDDEN)
    fig.update_layout(
        **axes,
        annotations=[cell.title(caption, theme) for cell, caption in zip(places, captions, strict=True)],
        width=columns * PANEL,
        height=PANELS_TOP + rows * PANEL + (rows - 1) * CAPTION,
        margin={"l": 0, "r": 0, "t": PANELS_TOP, "b": 0},
        dragmode=False,
        overwrite=True,
    )
    return fig


def _caption(name: str, detail: str, theme: Theme) -> str:
    return f"{name} <span style='font-size:12px;color:{theme.muted}'>{detail}</span>"


def _picture(attribution: Attribution, limit: float, cell: Cell) -> go.Image:
    return go.Image(source=data_url(overlay(attribution, limit)), hoverinfo="skip", **cell.axes)


def _heatmap(values: Array, limit: float, unit: str, cell: Cell) -> go.Heatmap:
    return go.Heatmap(
        z=values,
        zmin=-limit,
        zmax=limit,
        colorscale=SIGNED,
        colorbar={"thickness": 10, "outlinewidth": 0, "title": {"text": unit}, "exponentformat": "power"},
        hovertemplate="x %{x}, y %{y}<br>%{z:.3g}<extra></extra>",
        **cell.axes,
    )


def _extent(values: Array) -> float:
    return float(np.percentile(np.abs(values), PERCENTILE)) or float(np.abs(values).max())


def _finding(attribution: Attribution, title: str) -> str:
    positive = np.clip(attribution.map, 0, None)
    if not positive.sum():
        return f"{title} has no positive value for {attribution.target_label} at any pixel"
    ordered = np.sort(positive, axis=None)[::-1].cumsum()
    share = (int(np.searchsorted(ordered, ordered[-1] / 2)) + 1) / positive.size
    # The sign of a gradient says which way the logit would change, not that a pixel is evidence for the class.
    what = "positive gradient of" if METHODS[attribution.method].unit == PER_UNIT else "positive attribution for"
    return f"{title}: {share:.1%} of the pixels hold half of the {what} {attribution.target_label}"


def _places_finding(cams: Sequence[Attribution]) -> str:
    """Say which path of the block holds more of the evidence."""
    block, label = short(cams[0].options["block"]) or "last", cams[0].target_label
    sums = {cam.options["place"]: float(cam.map.sum(dtype=np.float64)) for cam in cams}
    paths = sums.get("shortcut", 0.0) + sums.get("residual", 0.0)
    if not paths:
        return f"On the way into block {block}'s addition nothing speaks for {label}"
    if "shortcut" not in sums:
        return f"Block {block} has no shortcut: all evidence for {label} comes through its branch"
    return (
        f"Of the evidence for {label} at block {block}, the shortcut brings {sums['shortcut'] / paths:.0%} and the residual"
        f" branch {sums.get('residual', 0.0) / paths:.0%}"
    )


def _agreement(attributions: Sequence[Attribution]) -> str:
    """Say which two maps are most alike."""
    if len(attributions) < 2:
        return ""
    maps = [attribution.map.ravel() for attribution in attributions]
    alike = np.asarray(np.corrcoef(np.stack(maps)))
    np.fill_diagonal(alike, -np.inf)
    first, second = np.unravel_index(int(np.nan_to_num(alike, nan=-np.inf).argmax()), alike.shape)
    names = [METHODS[attributions[index].method].title for index in sorted((int(first), int(second)))]
    return f"{names[0]} and {names[1]} agree most (correlation {alike[first, second]:.2f})"
