"""An attribution beside the crop it explains: as an overlay, and signed, pixel by pixel."""

import numpy as np
import plotly.graph_objects as go
from PIL import Image
from plotly.subplots import make_subplots

from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.attribution import Attribution
from resnet_viz.analyses.methods import METHODS
from resnet_viz.figures.pictures import data_url
from resnet_viz.figures.theme import ATTRIBUTION, LIGHT, SIGNED, Theme, finish

# The strongest pixels of a map are few and far off the rest: the scale ends where all but this share of them end.
PERCENTILE = 99.5


def scale_of(*attributions: Attribution) -> float:
    """Return the limit of one colour scale for maps that are compared, in the units of the map."""
    return max(_limit(attribution.map) for attribution in attributions)


def attribution_map(attribution: Attribution, limit: float | None = None, theme: Theme = LIGHT) -> go.Figure:
    """Draw the map over the crop (left) and by itself with its sign (right), on a scale from -limit to limit."""
    side = attribution.seen.shape[0]
    chosen = limit or _limit(attribution.map)
    title = METHODS[attribution.method].title
    fig = make_subplots(1, 2, horizontal_spacing=0.04)
    fig.add_trace(go.Image(source=data_url(overlay(attribution, chosen)), hoverinfo="skip"), row=1, col=1)
    fig.add_trace(_heatmap(attribution.map, chosen), row=1, col=2)
    for column in (1, 2):
        fig.update_xaxes(visible=False, range=[-0.5, side - 0.5], constrain="domain", fixedrange=True, row=1, col=column)
        anchor = "x" if column == 1 else "x2"
        fig.update_yaxes(
            visible=False, range=[side - 0.5, -0.5], scaleanchor=anchor, constrain="domain", fixedrange=True, row=1, col=column
        )
    fig.update_layout(width=860, height=450, margin={"l": 0, "r": 0, "t": 44, "b": 0}, dragmode=False)
    finding = _finding(attribution, title)
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"{METHODS[attribution.method].sentence} Left: what speaks for {attribution.target_label}, over the"
        " picture. Right: red for, blue against.",
        alt=f"{finding}. Map of {side} by {side} pixels, {attribution.map.min():.3g} to {attribution.map.max():.3g}.",
    )


def attribution_gallery(attributions: list[Attribution], theme: Theme = LIGHT) -> go.Figure:
    """Draw the overlays of several methods on one picture side by side, each on a scale of its own: their units differ."""
    columns = min(4, len(attributions))
    rows = -(-len(attributions) // columns)
    titles = [METHODS[attribution.method].title for attribution in attributions]
    fig = make_subplots(rows, columns, subplot_titles=titles, horizontal_spacing=0.02, vertical_spacing=0.06)
    for number, attribution in enumerate(attributions):
        row, column = divmod(number, columns)
        picture = overlay(attribution, _limit(attribution.map)).resize((240, 240), Image.Resampling.NEAREST)
        fig.add_trace(go.Image(source=data_url(picture), hoverinfo="skip"), row=row + 1, col=column + 1)
    fig.update_xaxes(visible=False, fixedrange=True, constrain="domain")
    fig.update_yaxes(visible=False, fixedrange=True, constrain="domain")
    fig.update_annotations(font={"size": 14, "color": theme.text})
    fig.update_layout(
        width=1080, height=60 + rows * (1080 // columns + 26), margin={"l": 0, "r": 0, "t": 74, "b": 0}, dragmode=False
    )
    agreement = _agreement(attributions)
    finding = f"{len(attributions)} methods on one picture" + (f": {agreement}" if agreement else "")
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="The darker, the more a pixel speaks for the class by that method; each has a scale of its own.",
        alt=f"{finding}. Methods: {', '.join(titles)}.",
    )


def overlay(attribution: Attribution, limit: float) -> Image.Image:
    """Lay what is positive of the map over the crop in grey."""
    grey = np.asarray(Image.fromarray(attribution.seen).convert("L"), np.float32)[..., None] * 0.6 + 90
    strength = np.clip(attribution.map / limit, 0, 1)[..., None] ** 0.7
    colour = np.array([int(ATTRIBUTION[i : i + 2], 16) for i in (1, 3, 5)], np.float32)
    mixed = grey * (1 - strength) + colour * strength
    return Image.fromarray(mixed.round().clip(0, 255).astype(np.uint8))


def _heatmap(values: Array, limit: float) -> go.Heatmap:
    return go.Heatmap(
        z=values,
        zmin=-limit,
        zmax=limit,
        colorscale=SIGNED,
        colorbar={"thickness": 10, "outlinewidth": 0, "title": {"text": "logit"}, "exponentformat": "power"},
        hovertemplate="x %{x}, y %{y}<br>%{z:.3g}<extra></extra>",
    )


def _limit(values: Array) -> float:
    return float(np.percentile(np.abs(values), PERCENTILE)) or float(np.abs(values).max()) or 1.0


def _finding(attribution: Attribution, title: str) -> str:
    positive = np.clip(attribution.map, 0, None)
    if not positive.sum():
        return f"{title} finds nothing that speaks for {attribution.target_label}"
    ordered = np.sort(positive, axis=None)[::-1].cumsum()
    share = (int(np.searchsorted(ordered, ordered[-1] / 2)) + 1) / positive.size
    return f"{title}: half of what speaks for {attribution.target_label} is in {share:.1%} of the pixels"


def _agreement(attributions: list[Attribution]) -> str:
    """Say which two maps are most alike."""
    if len(attributions) < 2:
        return ""
    maps = [attribution.map.ravel() for attribution in attributions]
    alike = np.asarray(np.corrcoef(np.stack(maps)))
    np.fill_diagonal(alike, -np.inf)
    first, second = np.unravel_index(int(np.nan_to_num(alike, nan=-np.inf).argmax()), alike.shape)
    names = [METHODS[attributions[index].method].title for index in sorted((int(first), int(second)))]
    return f"{names[0]} and {names[1]} agree most (correlation {alike[first, second]:.2f})"
