"""Images and maps positioned by pixels on one figure, each with a coloured frame and a caption below it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from PIL import Image

from resnet_viz.analyses.activations import Array
from resnet_viz.figures.data_urls import data_url
from resnet_viz.figures.theme import SIGNED, Theme, plain
from resnet_viz.lessons.super_resolution import Picture

# An RGB image (H, W, 3), or signed values (H, W).
PanelContent = Picture | Array | NDArray[np.int16]

TOP, CAPTION = 44, 42


@dataclass(frozen=True, eq=False)
class Panel:
    """A panel at (left, top), `width` by `height` pixels: an RGB image, or signed values on a scale up to ±`limit`.

    `title` is drawn below it, and `note` in small type below that. A `sketch` is sent in fewer bytes, as a JPEG.
    """

    content: PanelContent
    left: float
    top: float
    width: float
    height: float
    colour: str
    title: str = ""
    note: str = ""
    limit: float = 0.0
    sketch: bool = False


@dataclass(frozen=True)
class Sign:
    """A sign such as + or = with its centre at (x, y) in pixels."""

    text: str
    x: float
    y: float


def lay_out(panels: Sequence[Panel], signs: Sequence[Sign], theme: Theme, size: tuple[int, int], unit: str = "") -> go.Figure:
    """Draw panels and signs on `size` (width, height) pixels, with a colour bar in `unit` next to the last signed panel."""
    fig = go.Figure()
    signed = [panel for panel in panels if panel.limit]
    for number, panel in enumerate(panels, start=1):
        axis = "" if number == 1 else str(number)
        bar = bool(unit) and bool(signed) and panel is signed[-1]
        fig.add_trace(_trace(panel, axis, _bar(panel, size, unit, theme) if bar else None))
        fig.update_layout(_axes(panel, axis, size), overwrite=True)
    annotations = [_caption(panel, size, theme) for panel in panels if panel.title or panel.note]
    annotations += [_note(sign.x / size[0], 1 - sign.y / size[1], sign.text, theme.text, 28) for sign in signs]
    fig.update_layout(
        annotations=annotations,
        width=size[0],
        height=size[1] + TOP,
        margin={"l": 0, "r": 0, "t": TOP, "b": 0},
        showlegend=False,
    )
    return fig


def _trace(panel: Panel, axis: str, bar: dict[str, Any] | None) -> Any:  # noqa: ANN401 - plotly is untyped
    axes = {"xaxis": f"x{axis}", "yaxis": f"y{axis}"}
    if not panel.limit:
        source = data_url(Image.fromarray(panel.content), "JPEG" if panel.sketch else "PNG")
        return go.Image(source=source, hoverinfo="skip", **axes)
    return go.Heatmap(
        z=panel.content,
        zmin=-panel.limit,
        zmax=panel.limit,
        colorscale=SIGNED,
        showscale=bar is not None,
        colorbar=bar,
        hovertemplate="x %{x}, y %{y}<br>%{z:.3g}<extra></extra>",
        **axes,
    )


def _bar(panel: Panel, size: tuple[int, int], unit: str, theme: Theme) -> dict[str, Any]:
    return {
        "x": (panel.left + panel.width + 6) / size[0],
        "y": 1 - (panel.top + panel.height / 2) / size[1],
        "len": panel.height,
        "lenmode": "pixels",
        "thickness": 8,
        "outlinewidth": 0,
        "xpad": 0,
        "ypad": 6,
        "nticks": 5,
        "tickfont": {"color": theme.muted, "size": 11},
        "title": {"text": unit, "font": {"color": theme.muted, "size": 11}},
    }


def _axes(panel: Panel, axis: str, size: tuple[int, int]) -> dict[str, Any]:
    height, width = panel.content.shape[:2]
    still = {"showgrid": False, "zeroline": False, "showticklabels": False, "ticks": ""}
    frame = {"showline": True, "mirror": True, "linecolor": panel.colour, "linewidth": 3}
    across = [panel.left / size[0], (panel.left + panel.width) / size[0]]
    down = [1 - (panel.top + panel.height) / size[1], 1 - panel.top / size[1]]
    return {
        f"xaxis{axis}": {"domain": across, "anchor": f"y{axis}", "range": [-0.5, width - 0.5], **still, **frame},
        # go.Image would reverse and couple the axes otherwise.
        f"yaxis{axis}": {
            "domain": down,
            "anchor": f"x{axis}",
            "range": [height - 0.5, -0.5],
            "scaleanchor": None,
            **still,
            **frame,
        },
    }


def _caption(panel: Panel, size: tuple[int, int], theme: Theme) -> dict[str, Any]:
    small = f"<br><span style='font-size:12px;color:{theme.muted}'>{plain(panel.note)}</span>" if panel.note else ""
    x, y = (panel.left + panel.width / 2) / size[0], 1 - (panel.top + panel.height + 3) / size[1]
    return _note(x, y, f"<b>{plain(panel.title)}</b>{small}", theme.text, 14) | {"yanchor": "top"}


def _note(x: float, y: float, text: str, colour: str, size: int) -> dict[str, Any]:
    return {
        "x": x,
        "y": y,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "center",
        "yanchor": "middle",
        "text": text,
        "showarrow": False,
        "font": {"color": colour, "size": size},
    }
